"""Entra: sign-in and refresh through MSAL, which blocks and therefore runs in threads of its own."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.adapters.id_token import issuer, principal_of
from shared.adapters.msal_applications import MsalApplications
from shared.adapters.token_answer import TokenRefused
from shared.adapters.token_calls import TokenCalls
from shared.domain.account import is_guid
from shared.domain.clouds import Resource
from shared.domain.failure import (
    APP_CREDENTIAL_FAILURE,
    ENTRA_UNAVAILABLE,
    Failure,
    FailureKind,
    classify,
    sign_in_refusal,
)
from shared.domain.oauth_app import ClientCredential, OAuthApp
from shared.domain.secret import Secret
from shared.domain.tokens import MAX_HAND_OUT_LIFETIME, TokenSet, parse_token_lifetime
from shared.ports import Clock, EntraFailed, SignedIn, SignInInvalid, SignInRefused

if TYPE_CHECKING:
    from msal import ConfidentialClientApplication

log = logging.getLogger(__name__)

type Call = Callable[["ConfidentialClientApplication"], dict[str, Any]]


@dataclass(slots=True)
class MsalEntra:
    """One long-lived MSAL application for each OAuth app serves all principals, and keeps no tokens in memory.

    `calls` are threads: the timer has its own, so that people and callers never wait behind it.
    """

    redirect_uri: str
    applications: MsalApplications
    calls: TokenCalls
    clock: Clock
    _accepted: dict[str, ClientCredential] = field(default_factory=dict)

    def with_calls(self, calls: TokenCalls) -> "MsalEntra":
        """The same applications, called in other threads."""
        return replace(self, calls=calls)

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """The authorize URL (code flow, PKCE S256, nonce, form_post), and the flow that must stay on the server.

        MSAL builds it from the authority's metadata without any network (msal/application.py,
        `initiate_auth_code_flow`), so that it waits for no thread once the metadata was read.
        """
        credential = next(iter(self._by_acceptance(app)), None)
        if credential is None:
            raise EntraFailed(APP_CREDENTIAL_FAILURE)
        with _failures():
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
        """Redeem the code. Raises SignInRefused when there is none, SignInInvalid when it proves nothing.

        EntraFailed is raised for answers of the token endpoint only, never for what the browser says.
        """
        if "iss" in answer and answer["iss"] not in {issuer(app, tenant) for tenant in app.tenants}:
            raise SignInInvalid("id_token_invalid")  # another server's answer (RFC 9207 section 2.4)
        if "error" in answer:
            raise SignInRefused(sign_in_refusal(answer))
        try:
            result = await self._run(
                app,
                # The flow may be for two resources; a code is redeemed for one of them.
                lambda application: application.acquire_token_by_auth_code_flow(
                    json.loads(flow.reveal()), dict(answer), scopes=list(app.scopes_of(app.primary_resource))
                ),
            )
        except ValueError:
            raise SignInInvalid("sign_in_unknown") from None
        except RuntimeError:  # MSAL: the nonce is another one
            raise SignInInvalid("id_token_invalid") from None
        principal = principal_of(app, result.get("id_token_claims") or {}, self.clock())
        if "refresh_token" not in result:
            raise SignInInvalid("app_configuration")
        return SignedIn(principal, self._tokens(app, result, result["refresh_token"], app.primary_resource))

    async def refresh(
        self, app: OAuthApp, refresh_token: Secret, resource: Resource | None = None, claims: str | None = None
    ) -> TokenSet:
        """New tokens. Entra answers with a newer refresh token, and leaves the older one alive.

        A claims challenge has to get past every cache (Entra: claims challenges). MSAL has none here, and
        `acquire_token_by_refresh_token` takes claims as a field of the form (msal/oauth2cli/oauth2.py, `data`). The
        client capability `cp1` is not declared: it would mean tokens of a day, which nobody could call back.
        """
        held, wanted = refresh_token.reveal(), resource or app.primary_resource
        more = {"data": {"claims": claims}} if claims else {}
        result = await self._run(
            app,
            lambda application: application.acquire_token_by_refresh_token(held, list(app.scopes_of(wanted)), **more),
        )
        return self._tokens(app, result, result.get("refresh_token", held), wanted)

    async def discover(self, app: OAuthApp) -> None:
        """Read the authority's OpenID configuration (OpenID Connect Discovery section 4); the issuer has to be it."""
        address = f"{app.cloud.authority}/{app.tenant}/v2.0/.well-known/openid-configuration"
        with _failures():
            found = await self.applications.read(address)
        issuers = {issuer(app, tenant) for tenant in (app.tenant, "{tenantid}")}
        if found.get("issuer") not in issuers:
            raise EntraFailed(Failure(FailureKind.APP_FAULT, "app_configuration"))

    async def authenticate(self, app: OAuthApp) -> None:
        """Ask for a token of the application's own, which is thrown away (Entra: v2-oauth2-client-creds-grant-flow).

        Entra answers with one whether or not the application has permissions; what it refuses is the client. There is
        none for `organizations`, so any tenant whose people may sign in is asked.
        """
        tenant = app.tenant if is_guid(app.tenant) else min(app.tenants)
        scope = f"{app.cloud.graph}/.default"
        await self._run(replace(app, tenant=tenant), lambda application: application.acquire_token_for_client([scope]))

    async def _run(self, app: OAuthApp, call: Call) -> dict[str, Any]:
        """One call in a thread, with the credential that was accepted last, or else with each in turn."""
        failed = EntraFailed(APP_CREDENTIAL_FAILURE)
        for credential in self._by_acceptance(app):
            try:
                with _failures():
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
        return sorted(app.credentials, key=lambda one: one != accepted)

    def _tokens(self, app: OAuthApp, result: Mapping[str, Any], refresh_token: str, resource: Resource) -> TokenSet:
        """With an end that is MAX_HAND_OUT_LIFETIME away at most, whatever Entra says."""
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
def _failures() -> Iterator[None]:
    """Turn refusals and network errors of the token endpoint, or of the authority, into EntraFailed."""
    import urllib3.exceptions  # noqa: PLC0415 - the hand-out path does without

    try:
        yield
    except TokenRefused as refused:
        raise EntraFailed(classify(refused.answer)) from None
    except (urllib3.exceptions.HTTPError, OSError):
        raise EntraFailed(ENTRA_UNAVAILABLE) from None
