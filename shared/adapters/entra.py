"""Sign-ins and refreshes at Entra through MSAL, which blocks and therefore runs in threads of its own."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.adapters.connection_faults import own_fault
from shared.adapters.msal_applications import MsalApplications
from shared.adapters.token_calls import TokenCalls, TokenRefused
from shared.domain.account import Principal, is_guid
from shared.domain.clouds import Resource
from shared.domain.entra_errors import UNKNOWN, classify
from shared.domain.failure import (
    APP_CREDENTIAL_FAILURE,
    ENTRA_SETUP,
    ENTRA_UNAVAILABLE,
    Failure,
    FailureKind,
    is_finite_number,
)
from shared.domain.oauth_app import ClientCredential, OAuthApp
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import sign_in_refusal
from shared.domain.tokens import MAX_HAND_OUT_LIFETIME, TokenSet, parse_token_lifetime
from shared.ports import Clock, EntraFailed, SignedIn, SignInInvalid, SignInRefused

if TYPE_CHECKING:
    from msal import ConfidentialClientApplication

log = logging.getLogger(__name__)

MAX_TOKEN_CLOCK_SKEW = timedelta(minutes=5)
MAX_SIGN_IN_NAME_CHARACTERS = 1024

type Call = Callable[["ConfidentialClientApplication"], dict[str, Any]]


class MsalEntra:
    """One long-lived MSAL application for each OAuth app serves all principals, and keeps no tokens in memory.

    `calls` runs MSAL in threads. Timers have threads of their own, so that people and callers never wait behind them.
    """

    def __init__(self, redirect_uri: str, applications: MsalApplications, calls: TokenCalls, clock: Clock) -> None:
        self.redirect_uri = redirect_uri
        self.applications = applications
        self.calls = calls
        self.clock = clock
        self._accepted: dict[str, ClientCredential] = {}

    def with_calls(self, calls: TokenCalls) -> "MsalEntra":
        """The same applications, called in other threads."""
        return MsalEntra(self.redirect_uri, self.applications, calls, self.clock)

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """The authorize URL (code flow, PKCE S256, nonce, form_post), and the flow, which must stay on the server.

        Once the authority's metadata was read, MSAL builds both without network calls (msal/application.py,
        `initiate_auth_code_flow`), so no thread is needed.
        """
        credential = next(iter(self._by_acceptance(app)), None)
        if credential is None:
            raise EntraFailed(APP_CREDENTIAL_FAILURE)
        with _as_entra_failed():
            application = await self.applications.get(app, credential)
        flow = application.initiate_auth_code_flow(
            scopes=list(app.scopes),
            redirect_uri=self.redirect_uri,
            state=state.reveal(),
            prompt="select_account",
            login_hint=login_hint,
            claims_challenge=claims,
            response_mode="form_post",
        )
        return str(flow["auth_uri"]), Secret(json.dumps(flow))

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Redeem the authorization code. Raises SignInRefused without a code, and SignInInvalid if it proves nothing.

        Only the token endpoint's responses raise EntraFailed; nothing that the browser says does.
        """
        if "iss" in answer and answer["iss"] not in {issuer(app, tenant) for tenant in app.tenants}:
            raise SignInInvalid("id_token_invalid")  # the response is another server's (RFC 9207 section 2.4)
        if "error" in answer:
            raise SignInRefused(sign_in_refusal(answer))
        try:
            result = await self._run(
                app,
                # The flow may be for two resources; a code is redeemed for one.
                lambda application: application.acquire_token_by_auth_code_flow(
                    json.loads(flow.reveal()), dict(answer), scopes=list(app.scopes_of(app.primary_resource))
                ),
            )
        except ValueError:
            raise SignInInvalid("sign_in_unknown") from None
        except RuntimeError:  # MSAL: the nonce does not match
            raise SignInInvalid("id_token_invalid") from None
        principal = principal_of(app, result.get("id_token_claims") or {}, self.clock())
        if "refresh_token" not in result:
            raise SignInInvalid("app_configuration")
        return SignedIn(principal, self._tokens(app, result, result["refresh_token"], app.primary_resource))

    async def refresh(
        self,
        app: OAuthApp,
        refresh_token: Secret,
        resource: Resource | None = None,
        claims: str | None = None,
        *,
        principal: Principal | None = None,
    ) -> TokenSet:
        """Get new tokens. Entra issues a newer refresh token, and the older one stays valid.

        A claims challenge must bypass every cache (Entra: claims challenges). MSAL has none here, and
        `acquire_token_by_refresh_token` takes claims as a form field (msal/oauth2cli/oauth2.py, `data`). The client
        capability `cp1` is not declared, because tokens would then be valid for a day and could not be revoked.
        """
        old_refresh_token, resource = refresh_token.reveal(), resource or app.primary_resource
        scopes = list(app.scopes_of(resource))
        options = {"data": {"claims": claims}} if claims else {}
        result = await self._run(
            app,
            lambda application: application.acquire_token_by_refresh_token(old_refresh_token, scopes, **options),
        )
        named = named_principal(app, result.get("id_token_claims") or {})
        if principal is not None and named is not None and named.id != principal.id:
            log.error("refresh names another person", extra={"principal": principal.id, "app": app.id})
            raise EntraFailed(Failure(FailureKind.TRANSIENT, UNKNOWN.code))
        tokens = self._tokens(app, result, result.get("refresh_token", old_refresh_token), resource)
        return tokens._replace(principal=named)

    async def discover(self, app: OAuthApp) -> None:
        """Read the authority's OpenID configuration and check its issuer (OpenID Connect Discovery section 4)."""
        url = f"{app.cloud.authority}/{app.tenant}/v2.0/.well-known/openid-configuration"
        with _as_entra_failed():
            configuration = await self.applications.read(url)
        issuers = {issuer(app, tenant) for tenant in (app.tenant, "{tenantid}")}
        if configuration.get("issuer") not in issuers:
            raise EntraFailed(Failure(FailureKind.APP_FAULT, "app_configuration"))

    async def authenticate(self, app: OAuthApp) -> None:
        """Request a token for the application itself, and discard it (Entra: v2-oauth2-client-creds-grant-flow).

        Entra issues one even to an application without permissions, so a refusal is about the client. `organizations`
        issues none, so the request goes to any tenant whose people may sign in.
        """
        tenant = app.tenant if is_guid(app.tenant) else min(app.tenants)
        scope = f"{app.cloud.graph}/.default"
        await self._run(replace(app, tenant=tenant), lambda application: application.acquire_token_for_client([scope]))

    async def _run(self, app: OAuthApp, call: Call) -> dict[str, Any]:
        """Run a call in a thread, with the credential that was accepted last, and then with the others in turn."""
        failed = EntraFailed(APP_CREDENTIAL_FAILURE)
        for credential in self._by_acceptance(app):
            try:
                with _as_entra_failed():
                    application = await self.applications.get(app, credential)
                    result = await self.calls.run(partial(call, application))
            except EntraFailed as refused:
                failed = refused
                if failed.failure.code != "app_credential":
                    break
            else:
                self._accepted[app.id] = credential
                return result
        raise failed

    def _by_acceptance(self, app: OAuthApp) -> list[ClientCredential]:
        accepted = self._accepted.get(app.id)
        return sorted(app.credentials, key=lambda credential: credential != accepted)

    def _tokens(self, app: OAuthApp, result: Mapping[str, Any], refresh_token: str, resource: Resource) -> TokenSet:
        """The tokens of a result. They expire after at most MAX_HAND_OUT_LIFETIME, even if Entra says later."""
        lifetime = parse_token_lifetime(result.get("expires_in"))
        if lifetime > MAX_HAND_OUT_LIFETIME:
            log.error("access token lives too long", extra={"app": app.id, "resource": resource})
        return TokenSet(
            refresh_token=Secret(refresh_token),
            access_token=Secret(result["access_token"]),
            expires=self.clock() + min(lifetime, MAX_HAND_OUT_LIFETIME),
            scopes=tuple(str(result.get("scope", "")).split()),
            resource=resource,
        )


@contextmanager
def _as_entra_failed() -> Iterator[None]:
    """Turn refusals and network errors of the token endpoint, or of the authority, into EntraFailed."""
    import urllib3.exceptions  # noqa: PLC0415 - not needed for hand-outs

    try:
        yield
    except TokenRefused as refused:
        raise EntraFailed(classify(refused.answer)) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        fault = own_fault(error)
        failure = Failure(FailureKind.APP_FAULT, ENTRA_SETUP, trace=fault) if fault else ENTRA_UNAVAILABLE
        raise EntraFailed(failure) from None


def principal_of(app: OAuthApp, claims: Mapping[str, Any], now: datetime) -> Principal:
    """The principal of an ID token's claims. Raises SignInInvalid.

    MSAL no longer checks these claims (OpenID Connect Core section 3.1.3.7, Entra: ID token claims). The signature need
    not be checked, because the token came from the token endpoint over TLS.
    """
    tenant, person, name = (_text(claims, claim) for claim in ("tid", "oid", "preferred_username"))
    valid = (
        _is_meant_for(app, claims)
        and is_guid(tenant)
        and is_guid(person)
        and _is_time(claims.get("exp", 0), after=now - MAX_TOKEN_CLOCK_SKEW)
        and _is_time(claims.get("nbf", 0), before=now + MAX_TOKEN_CLOCK_SKEW)
        and 0 < len(name) <= MAX_SIGN_IN_NAME_CHARACTERS
    )
    if not valid:
        raise SignInInvalid("id_token_invalid")
    if tenant.lower() not in app.tenants:
        raise SignInInvalid("tenant_not_allowed")
    return Principal(tenant.lower(), person.lower(), name, token_name=name)


def named_principal(app: OAuthApp, claims: Mapping[str, Any]) -> Principal | None:
    """Whom the ID token of a refresh names, or None; without a sign-in name if the token is not meant for the app.

    Its times are not checked, because the answer to a request that was just made is not an old one.
    """
    tenant, person, name = (_text(claims, claim) for claim in ("tid", "oid", "preferred_username"))
    if not (is_guid(tenant) and is_guid(person)):
        return None
    name = name if _is_meant_for(app, claims) and len(name) <= MAX_SIGN_IN_NAME_CHARACTERS else ""
    return Principal(tenant.lower(), person.lower(), name, token_name=name)


def _is_meant_for(app: OAuthApp, claims: Mapping[str, Any]) -> bool:
    return claims.get("aud") == app.client_id and claims.get("iss") == issuer(app, _text(claims, "tid"))


def issuer(app: OAuthApp, tenant: str) -> str:
    """The issuer of a tenant's ID tokens in the app's cloud."""
    return f"{app.cloud.authority}/{tenant}/v2.0"


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _is_time(value: Any, *, after: datetime | None = None, before: datetime | None = None) -> bool:  # noqa: ANN401 - any JSON
    """Whether it is a NumericDate (RFC 7519 section 2) that is later than `after` and earlier than `before`."""
    return (
        is_finite_number(value)
        and (after is None or value > after.timestamp())
        and (before is None or value < before.timestamp())
    )
