"""Entra: sign-in and refresh through MSAL, which blocks and therefore runs in a thread pool of its own."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.adapters.id_token import issuer, principal_of
from shared.domain.client_credential import ClientCredential
from shared.domain.clouds import Resource
from shared.domain.failure import NO_CREDENTIAL, UNREACHABLE, Failure, TokenError, classify
from shared.domain.kinds import FailureKind
from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import is_guid
from shared.domain.secret import Secret
from shared.domain.tokens import HANDED_OUT_LIFE, TokenSet, token_life
from shared.ports import Clock, EntraFailed, SignedIn, SignInInvalid

if TYPE_CHECKING:
    from msal import ConfidentialClientApplication

    from shared.adapters.client_authentication import ClientAuthentication
    from shared.adapters.token_transport import TokenTransport

log = logging.getLogger(__name__)

type Registered = tuple[str, str, ClientCredential]
"""A client id, its authority, and how the client authenticates."""

type Call = Callable[["ConfidentialClientApplication"], dict[str, Any]]


@dataclass(slots=True)
class MsalEntra:
    """One long-lived MSAL application for each OAuth app serves all principals, and keeps no tokens in memory."""

    redirect_uri: str
    ca_file: str | None
    threads: int
    clock: Clock
    _applications: dict[str, dict[Registered, "ConfidentialClientApplication"]] = field(default_factory=dict)
    _accepted: dict[str, ClientCredential] = field(default_factory=dict)
    _pool: ThreadPoolExecutor | None = None
    _authentication: "ClientAuthentication | None" = None
    _transport: "TokenTransport | None" = None

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """The authorize URL (code flow, PKCE S256, nonce, form_post), and the flow that must stay on the server."""
        flow = await self._run(
            app,
            lambda application: application.initiate_auth_code_flow(
                scopes=list(app.scopes),
                redirect_uri=self.redirect_uri,
                state=state.reveal(),
                prompt="select_account",
                login_hint=login_hint,
                claims_challenge=claims,
                response_mode="form_post",
            ),
        )
        return str(flow["auth_uri"]), Secret(json.dumps(flow))

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Redeem the code. Raises EntraFailed when there is none to redeem, SignInInvalid when it proves nothing."""
        if "iss" in answer and answer["iss"] not in {issuer(app, tenant) for tenant in app.tenants}:
            raise SignInInvalid("id_token_invalid")  # another server's answer (RFC 9207 section 2.4)
        if "error" in answer:
            raise _authorize_error(answer)
        try:
            result = await self._run(
                app,
                # The flow may be for two resources; a code is redeemed for one of them.
                lambda application: application.acquire_token_by_auth_code_flow(
                    json.loads(flow.reveal()), dict(answer), scopes=list(app.scopes_of(app.home))
                ),
            )
        except ValueError:
            raise SignInInvalid("sign_in_unknown") from None
        except RuntimeError:  # MSAL: the nonce is another one
            raise SignInInvalid("id_token_invalid") from None
        principal = principal_of(app, result.get("id_token_claims") or {}, self.clock())
        if "refresh_token" not in result:
            raise SignInInvalid("app_configuration")
        return SignedIn(principal, self._tokens(app, result, result["refresh_token"], app.home))

    async def refresh(
        self, app: OAuthApp, refresh_token: Secret, resource: Resource | None = None, claims: str | None = None
    ) -> TokenSet:
        """New tokens. Entra answers with a newer refresh token, and leaves the older one alive.

        A claims challenge has to get past every cache (Entra: claims challenges). MSAL has none here, and
        `acquire_token_by_refresh_token` takes claims as a field of the form (msal/oauth2cli/oauth2.py, `data`). The
        client capability `cp1` is not declared: it would mean tokens of a day, which nobody could call back.
        """
        held, wanted = refresh_token.reveal(), resource or app.home
        more = {"data": {"claims": claims}} if claims else {}
        result = await self._run(
            app,
            lambda application: application.acquire_token_by_refresh_token(held, list(app.scopes_of(wanted)), **more),
        )
        return self._tokens(app, result, result.get("refresh_token", held), wanted)

    async def discover(self, app: OAuthApp) -> None:
        """Read the authority's OpenID configuration (OpenID Connect Discovery section 4); the issuer has to be it."""
        address = f"{app.cloud.authority}/{app.tenant}/v2.0/.well-known/openid-configuration"
        found = await self._attempt(lambda: self._connected().read(address))
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

    def close(self) -> None:
        """End threads and connections."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        if self._transport is not None:
            self._transport.close()
        if self._authentication is not None:
            self._authentication.close()

    async def _run(self, app: OAuthApp, call: Call) -> dict[str, Any]:
        """One call in the pool, with the credential that was accepted last, or else with each in turn."""
        accepted, failed = self._accepted.get(app.id), EntraFailed(NO_CREDENTIAL)
        for credential in sorted(app.credentials, key=lambda one: one != accepted):
            try:
                result = await self._attempt(partial(self._call, app, credential, call))
            except EntraFailed as refused:
                failed = refused
                if failed.failure.code != "app_credential":
                    break
            else:
                self._accepted[app.id] = credential
                return result
        raise failed

    async def _attempt(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        import urllib3.exceptions  # noqa: PLC0415 - the hand-out path does without

        from shared.adapters.token_transport import TokenRefused  # noqa: PLC0415 - as above

        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="msal")
        try:
            # A thread of the pool knows nothing of the request that it works for.
            return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, call)
        except TokenRefused as refused:
            raise EntraFailed(classify(refused.answer)) from None
        except (urllib3.exceptions.HTTPError, OSError):
            raise EntraFailed(UNREACHABLE) from None

    def _call(self, app: OAuthApp, credential: ClientCredential, call: Call) -> dict[str, Any]:
        return call(self._application(app, credential))

    def _application(self, app: OAuthApp, credential: ClientCredential) -> "ConfidentialClientApplication":
        """Built in the pool's thread, because MSAL asks for the authority's configuration right away."""
        registered = (app.client_id, f"{app.cloud.authority}/{app.tenant}", credential)
        known = self._applications.get(app.id, {})
        if registered not in known:
            # What the app does not authenticate with any more goes, so that changing it often costs no memory.
            kept = {key: one for key, one in known.items() if key[:2] == registered[:2] and key[2] in app.credentials}
            self._applications[app.id] = known = {**kept, registered: self._built(app, credential)}
        return known[registered]

    def _built(self, app: OAuthApp, credential: ClientCredential) -> "ConfidentialClientApplication":
        from msal import ConfidentialClientApplication  # noqa: PLC0415 - the hand-out path does without

        from shared.adapters.client_authentication import ClientAuthentication  # noqa: PLC0415 - as above
        from shared.adapters.token_transport import NoCache, TokenRefused  # noqa: PLC0415 - as above

        self._authentication = self._authentication or ClientAuthentication()
        try:
            return ConfidentialClientApplication(
                app.client_id,
                client_credential=self._authentication.credential(credential, app.cloud.authority),
                authority=f"{app.cloud.authority}/{app.tenant}",
                instance_discovery=False,
                http_client=self._connected(),
                token_cache=NoCache(),
            )
        except ValueError:  # MSAL: the authority's configuration is not to be had
            raise TokenRefused(TokenError(503)) from None

    def _connected(self) -> "TokenTransport":
        from shared.adapters.token_transport import TokenTransport  # noqa: PLC0415 - as above

        self._transport = self._transport or TokenTransport(self.threads, self.ca_file)
        return self._transport

    def _tokens(self, app: OAuthApp, result: Mapping[str, Any], refresh_token: str, resource: Resource) -> TokenSet:
        """With an end that is HANDED_OUT_LIFE away at most, whatever Entra says."""
        lifetime = token_life(result.get("expires_in"))
        if lifetime > HANDED_OUT_LIFE:
            log.error("access token lives too long", extra={"app": app.id, "resource": resource})
        return TokenSet(
            refresh_token=Secret(refresh_token),
            access_token=Secret(result["access_token"]),
            expires=self.clock() + min(lifetime, HANDED_OUT_LIFE),
            scopes=tuple(str(result.get("scope", "")).split()),
            resource=resource,
        )


def _authorize_error(answer: Mapping[str, str]) -> Exception:
    """What the authorize endpoint reports in place of a code (Entra: v2-oauth2-auth-code-flow, error response)."""
    from shared.adapters.token_transport import AADSTS  # noqa: PLC0415 - as above

    numbers = tuple(int(number) for number in AADSTS.findall(answer.get("error_description", "")))
    if answer["error"] == "access_denied" and (answer.get("error_subcode") == "cancel" or not numbers):
        return SignInInvalid("access_denied")
    # An error that Entra redirects with has no HTTP status of its own; 400 says that the request was answered.
    return EntraFailed(classify(TokenError(400, answer["error"], numbers=numbers)))
