"""Entra's token endpoint: codes, refresh tokens or an app's own credentials in, tokens out.

As entra-docs v2-oauth2-auth-code-flow.md and v2-oauth2-client-creds-grant-flow.md have it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from jwt.utils import base64url_encode
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.answers import entra_answer
from infra.local.tenant.app_tokens import app_token
from infra.local.tenant.client_authentication import check_assertion
from infra.local.tenant.directory import Client, Person
from infra.local.tenant.discovery import check_tenant
from infra.local.tenant.failures import Refusal
from infra.local.tenant.grants import CODE_SECONDS, IDLE_SECONDS, Grant, seal_grant, unseal_grant
from infra.local.tenant.scopes import Scopes, read_scopes
from infra.local.tenant.tenant import Tenant, stamp
from infra.local.tenant.tokens import access_token, id_token

TEXT_OF = {"authorization_code": "code", "refresh_token": "refresh_token"}  # grant type: the parameter it comes in
CLIENT_CREDENTIALS = "client_credentials"
NOTES = {"authorization_code": "code redeemed", "refresh_token": "refreshed", CLIENT_CREDENTIALS: "app token issued"}
HEADERS = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
Form = Mapping[str, str]


class TokenEndpoint:
    """POST /{tenant}/oauth2/v2.0/token."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def answer(self, request: Request) -> Response:
        """Redeem the grant in the form, or say in Microsoft's words why not."""
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        kind = form.get("grant_type", "")
        grant = unseal_grant(form.get(TEXT_OF.get(kind, ""), ""), self._tenant.keys.seal, kind)
        about = {
            "grant": kind or None,
            "person": self._name(grant),
            "request_id": request.headers.get("client-request-id"),
        }
        try:
            check_tenant(self._tenant, request.path_params["tenant"])
            self._meet_fault(grant, kind)
            body = self._redeem(_credentials(form, request), kind, grant, str(request.url))
        except Refusal as refusal:
            self._tenant.note("failed", endpoint="token", failure=refusal.key, **about)
            return entra_answer(self._tenant, refusal, request)
        self._tenant.note(NOTES[kind], **about, scope=body.get("scope", form.get("scope")), claims=form.get("claims"))
        return JSONResponse(body, headers=HEADERS | {"x-ms-request-id": str(uuid.uuid4())})

    def _name(self, grant: Grant | None) -> str | None:
        person = self._tenant.directory.people.get(grant.person) if grant else None
        return person.upn if person else None

    def _meet_fault(self, grant: Grant | None, kind: str) -> None:
        person = grant.person if grant else None
        if fault := self._tenant.conditions.next_fault("token", person=person, grant=kind):
            raise Refusal(fault.failure, retry_after=fault.retry_after, person=self._name(grant) or "")

    def _redeem(self, form: Form, kind: str, grant: Grant | None, endpoint: str) -> dict[str, Any]:
        if kind not in {*TEXT_OF, CLIENT_CREDENTIALS}:
            raise Refusal("70003", parameter=kind) if kind else Refusal("900144", parameter="grant_type")
        client = _authenticate(self._tenant, form, endpoint)
        if kind == CLIENT_CREDENTIALS:
            return app_token(self._tenant, client, form.get("scope", ""))
        if not form.get(TEXT_OF[kind]):
            raise Refusal("900144", parameter=TEXT_OF[kind])
        if grant is None or grant.client != client.id:  # refresh tokens are bound to user and client
            raise Refusal("70000")
        person = self._standing_person(grant)
        if kind == "authorization_code":
            self._check_code(form, grant)
        elif grant.issued + IDLE_SECONDS < self._tenant.now():
            raise Refusal("700082", issued=stamp(grant.issued))
        scopes = self._scopes(form, client, grant, person)
        if kind == "authorization_code":
            self._use_up(grant)
        return self._tokens(client, person, grant, scopes) | _client_info(form, person)

    def _standing_person(self, grant: Grant) -> Person:
        person = self._tenant.directory.people.get(grant.person)
        if person is None:
            raise Refusal("50034")
        if person.disabled:
            raise Refusal("50057")
        if grant.signed_in <= person.revoked_at:
            raise Refusal("50173", issued=stamp(grant.signed_in), valid_from=stamp(person.revoked_at))
        return person

    def _check_code(self, form: Form, grant: Grant) -> None:
        if grant.id in self._tenant.redeemed:
            raise Refusal("54005")
        if grant.issued + CODE_SECONDS < self._tenant.now():
            raise Refusal("70008")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refusal("500112", redirect_uri=form.get("redirect_uri", ""))
        verifier = form.get("code_verifier", "")
        # A verifier without a challenge is refused as well, so that PKCE cannot be stripped (RFC 9700 section 4.8.2).
        if (s256(verifier) if verifier else "") != grant.challenge:
            raise Refusal("501481")

    def _use_up(self, grant: Grant) -> None:
        now = self._tenant.now()
        kept = {code: until for code, until in self._tenant.redeemed.items() if until > now}
        self._tenant.redeemed = kept | {grant.id: now + 2 * CODE_SECONDS}

    def _scopes(self, form: Form, client: Client, grant: Grant, person: Person) -> Scopes:
        directory, asked = self._tenant.directory, form.get("scope")
        scopes = read_scopes(asked or grant.scope, client, directory, self._tenant.origin)
        if len(scopes.audiences) > 1:
            # One resource a token; a refresh, or a request that leaves scope out, is for the first one.
            if asked and grant.kind == "authorization_code":
                raise Refusal("28000", scope=asked)
            scopes = scopes.of_first_resource()
        consented = directory.consents(person, client)
        if not {scope.address for scope in scopes.permissions} <= consented:
            raise Refusal("65001", client=client.id, client_name=client.name)
        return scopes.with_consented(consented)

    def _tokens(self, client: Client, person: Person, grant: Grant, scopes: Scopes) -> dict[str, Any]:
        tenant, seconds = self._tenant, self._tenant.conditions.access_token_seconds
        audience = (scopes.audiences or [tenant.directory.resources[0].address])[0]
        named = sorted(scopes.oidc - {"offline_access"})
        body: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": " ".join([*(scope.text for scope in scopes.permissions), *named]),
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": access_token(
                tenant, person, client, audience, [*(scope.name for scope in scopes.permissions), *named]
            ),
        }
        if grant.kind == "refresh_token" or "offline_access" in grant.scope.split():
            # The one that was used stays valid: "doesn't revoke old refresh tokens" (entra-docs refresh-tokens.md).
            body["refresh_token"] = new_refresh_token(tenant, person, client, grant.scope, grant.signed_in)
        if "openid" in scopes.oidc:
            body["id_token"] = id_token(tenant, person, client, grant.nonce)
        return body


def new_refresh_token(tenant: Tenant, person: Person, client: Client, scope: str, signed_in: float) -> str:
    """Make a refresh token of the person for the client."""
    grant = Grant(
        kind="refresh_token",
        id=str(uuid.uuid4()),
        person=person.oid,
        client=client.id,
        scope=scope,
        signed_in=signed_in,
        issued=tenant.now(),
    )
    return seal_grant(grant, tenant.keys.seal)


def s256(verifier: str) -> str:
    """The PKCE challenge of a verifier (RFC 7636 section 4.2)."""
    return base64url_encode(hashlib.sha256(verifier.encode()).digest()).decode()


def _credentials(form: Form, request: Request) -> Form:
    """The form, with the client's id and secret put in from HTTP Basic, form-encoded there (RFC 6749 section 2.3.1)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal("9002313") from error
    return {**form, "client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


def _authenticate(tenant: Tenant, form: Form, endpoint: str) -> Client:
    name = form.get("client_id", "")
    if not name:
        raise Refusal("900144", parameter="client_id")
    client = tenant.directory.clients.get(name)
    if client is None:
        raise Refusal("700016", client=name)
    if form.get("client_assertion"):
        check_assertion(tenant, client, form, endpoint)
        return client
    if not form.get("client_secret"):
        raise Refusal("7000218", client=name)
    if not hmac.compare_digest(form["client_secret"].encode(), client.secret.encode()):
        raise Refusal("7000215", client=name)
    return client


def _client_info(form: Form, person: Person) -> dict[str, str]:
    return {"client_info": client_info(person)} if form.get("client_info") == "1" else {}


def client_info(person: Person) -> str:
    """Who signed in, as MSAL reads it from `client_info` (msal/token_cache.py)."""
    return base64url_encode(json.dumps({"uid": person.oid, "utid": person.tenant_id}).encode()).decode()
