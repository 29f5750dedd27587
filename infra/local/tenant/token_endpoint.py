"""Entra's token endpoint exchanges codes, refresh tokens and an app's own credentials for tokens.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#redeem-a-code-for-an-access-token
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import base64
import binascii
import hmac
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.client_authentication import check_assertion
from infra.local.tenant.discovery import check_tenant
from infra.local.tenant.entities import Client, Person
from infra.local.tenant.error_responses import entra_error_response
from infra.local.tenant.failures import Refusal
from infra.local.tenant.grants import (
    CODE_SECONDS,
    IDLE_SECONDS,
    Grant,
    new_refresh_token,
    s256_challenge,
    unseal_grant,
)
from infra.local.tenant.scopes import Scopes, read_scopes
from infra.local.tenant.tenant import Tenant, timestamp
from infra.local.tenant.tokens import access_token, app_token_body, client_info, id_token

# Grant type: the form parameter with the grant.
GRANT_PARAMETERS = {"authorization_code": "code", "refresh_token": "refresh_token"}
CLIENT_CREDENTIALS = "client_credentials"
EVENTS = {"authorization_code": "code redeemed", "refresh_token": "refreshed", CLIENT_CREDENTIALS: "app token issued"}
HEADERS = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
Form = Mapping[str, str]


class TokenEndpoint:
    """POST /{tenant}/oauth2/v2.0/token."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def handle(self, request: Request) -> Response:
        """Redeem the grant in the form, or respond with Microsoft's error."""
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        kind = form.get("grant_type", "")
        grant = unseal_grant(form.get(GRANT_PARAMETERS.get(kind, ""), ""), self._tenant.keys.seal, kind)
        ids = {
            "grant": kind or None,
            "person": self._sign_in_name(grant),
            "request_id": request.headers.get("client-request-id"),
        }
        try:
            check_tenant(self._tenant, request.path_params["tenant"])
            self._raise_fault(grant, kind)
            body = self._redeem(_with_basic_credentials(form, request), kind, grant, str(request.url))
        except Refusal as refusal:
            self._tenant.note("failed", endpoint="token", failure=refusal.key, **ids)
            return entra_error_response(self._tenant, refusal, request)
        self._tenant.note(EVENTS[kind], **ids, scope=body.get("scope", form.get("scope")), claims=form.get("claims"))
        return JSONResponse(body, headers=HEADERS | {"x-ms-request-id": str(uuid.uuid4())})

    def _sign_in_name(self, grant: Grant | None) -> str | None:
        person = self._tenant.directory.people.get(grant.person) if grant else None
        return person.upn if person else None

    def _raise_fault(self, grant: Grant | None, kind: str) -> None:
        person = grant.person if grant else None
        if fault := self._tenant.conditions.next_fault("token", person=person, grant=kind):
            name = self._sign_in_name(grant) or ""
            raise Refusal(fault.failure, retry_after=fault.retry_after, person=name)

    def _redeem(self, form: Form, kind: str, grant: Grant | None, endpoint: str) -> dict[str, Any]:
        if kind not in {*GRANT_PARAMETERS, CLIENT_CREDENTIALS}:
            raise Refusal("70003", parameter=kind) if kind else Refusal("900144", parameter="grant_type")
        client = _authenticate(self._tenant, form, endpoint)
        if kind == CLIENT_CREDENTIALS:
            return app_token_body(self._tenant, client, form.get("scope", ""))
        if not form.get(GRANT_PARAMETERS[kind]):
            raise Refusal("900144", parameter=GRANT_PARAMETERS[kind])
        if grant is None or grant.client != client.id:  # refresh tokens are bound to person and client
            raise Refusal("70000")
        person = self._check_person(grant)
        if kind == "authorization_code":
            self._check_code(form, grant)
        elif grant.issued + IDLE_SECONDS < self._tenant.now():
            raise Refusal("700082", issued=timestamp(grant.issued))
        scopes = self._scopes(form, client, grant, person)
        if kind == "authorization_code":
            self._mark_redeemed(grant)
        info = {"client_info": client_info(person)} if form.get("client_info") == "1" else {}
        return self._token_body(client, person, grant, scopes) | info

    def _check_person(self, grant: Grant) -> Person:
        """The person of the grant, unless they are gone, disabled or refused, or the sign-in was revoked."""
        person = self._tenant.directory.people.get(grant.person)
        if person is None:
            raise Refusal("50034")
        if person.disabled:
            raise Refusal("50057")
        if grant.signed_in <= person.revoked_at:
            raise Refusal("50173", issued=timestamp(grant.signed_in), valid_from=timestamp(person.revoked_at))
        if person.refusal:
            raise Refusal(person.refusal, person=person.upn)
        return person

    def _check_code(self, form: Form, grant: Grant) -> None:
        if grant.id in self._tenant.redeemed_codes:
            raise Refusal("54005")
        if grant.issued + CODE_SECONDS < self._tenant.now():
            raise Refusal("70008")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refusal("500112", redirect_uri=form.get("redirect_uri", ""))
        verifier = form.get("code_verifier", "")
        # A verifier without a challenge is refused as well, so that PKCE cannot be stripped (RFC 9700 section 4.8.2).
        if (s256_challenge(verifier) if verifier else "") != grant.challenge:
            raise Refusal("501481")

    def _mark_redeemed(self, grant: Grant) -> None:
        now = self._tenant.now()
        recent = {code: until for code, until in self._tenant.redeemed_codes.items() if until > now}
        self._tenant.redeemed_codes = recent | {grant.id: now + 2 * CODE_SECONDS}

    def _scopes(self, form: Form, client: Client, grant: Grant, person: Person) -> Scopes:
        directory, scope = self._tenant.directory, form.get("scope")
        scopes = read_scopes(scope or grant.scope, client, directory, self._tenant.origin)
        if len(scopes.audiences) > 1:
            # A token is for one resource. A refresh, or a request without scope, gets a token for the first resource.
            if scope and grant.kind == "authorization_code":
                raise Refusal("28000", scope=scope)
            scopes = scopes.of_first_resource()
        consented_scopes = directory.consented_scopes(person, client)
        if not {scope.address for scope in scopes.permissions} <= consented_scopes:
            raise Refusal("65001", client=client.id, client_name=client.name)
        return scopes.with_consented(consented_scopes)

    def _token_body(self, client: Client, person: Person, grant: Grant, scopes: Scopes) -> dict[str, Any]:
        tenant, seconds = self._tenant, self._tenant.conditions.access_token_seconds
        audience = (scopes.audiences or [tenant.directory.graph.address])[0]
        oidc_scopes = sorted(scopes.oidc - {"offline_access"})
        token_scopes = [*(scope.name for scope in scopes.permissions), *oidc_scopes]
        body: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join([*(scope.text for scope in scopes.permissions), *oidc_scopes]),
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": access_token(tenant, person, client, audience, token_scopes),
        }
        if grant.kind == "refresh_token" or "offline_access" in grant.scope.split():
            # The old refresh token stays valid.
            # https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
            body["refresh_token"] = new_refresh_token(tenant, person, client, grant.scope, grant.signed_in)
        if "openid" in scopes.oidc:
            body["id_token"] = id_token(tenant, person, client, grant.nonce)
        return body


def _with_basic_credentials(form: Form, request: Request) -> Form:
    """The form with the client's id and secret from HTTP Basic, which are form-encoded (RFC 6749 section 2.3.1)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal("9002313") from error
    return {**form, "client_id": unquote_plus(client_id), "client_secret": unquote_plus(secret)}


def _authenticate(tenant: Tenant, form: Form, endpoint: str) -> Client:
    client_id = form.get("client_id", "")
    if not client_id:
        raise Refusal("900144", parameter="client_id")
    client = tenant.directory.clients.get(client_id)
    if client is None:
        raise Refusal("700016", client=client_id)
    if form.get("client_assertion"):
        check_assertion(tenant, client, form, endpoint)
        return client
    if not form.get("client_secret"):
        raise Refusal("7000218", client=client_id)
    if form["client_secret"] in client.expired_secrets:
        raise Refusal("7000222", client=client_id)
    if not hmac.compare_digest(form["client_secret"].encode(), client.secret.encode()):
        raise Refusal("7000215", client=client_id)
    return client
