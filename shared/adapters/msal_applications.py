"""MSAL's application objects: one for each OAuth app and credential, and how each authenticates to Entra."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.adapters.token_calls import TokenCalls, TokenRefused
from shared.domain.failure import TokenError
from shared.domain.oauth_app import ClientCertificate, ClientCredential, ClientSecret, FederatedIdentity, OAuthApp
from shared.domain.ttl_cache import SharedCalls

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineResponse
    from azure.identity import ManagedIdentityCredential
    from msal import ConfidentialClientApplication

    from shared.adapters.token_transport import TokenTransport

log = logging.getLogger(__name__)

# What MSAL raises when the authority's metadata is unavailable or is no JSON object with endpoints (msal/authority.py).
METADATA_ERRORS = (ValueError, KeyError, RuntimeError, AttributeError, TypeError)

# Entra: workload identity federation, "configure an application to trust a managed identity", audiences by cloud.
FEDERATION_AUDIENCE = "api://AzureADTokenExchange"
FEDERATION_AUDIENCES_BY_HOST = {
    "login.microsoftonline.us": f"{FEDERATION_AUDIENCE}USGov",
    "login.partner.microsoftonline.cn": f"{FEDERATION_AUDIENCE}China",
    "login.chinacloudapi.cn": f"{FEDERATION_AUDIENCE}China",
}
# Errors of identity endpoints that are worth a retry (Entra: how to use managed identities on a VM, error handling).
TRANSIENT_STATUSES = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.GONE,
    HTTPStatus.TOO_MANY_REQUESTS,
}
# The SDK's defaults retry for minutes, and a call occupies one of MSAL's few threads.
IDENTITY_CLIENT_OPTIONS: dict[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.2,
    "connection_timeout": 5,
    "read_timeout": 10,
}
IDENTITY_UNAVAILABLE = TokenError(HTTPStatus.SERVICE_UNAVAILABLE)
IDENTITY_REFUSED = TokenError(HTTPStatus.UNAUTHORIZED, "invalid_client")

type Registration = tuple[str, str, ClientCredential]
"""A client id, its authority, and the credential."""


class MsalApplications:
    """Applications without tokens, shared by all principals.

    Metadata is read in threads of its own, so that it never waits behind token calls.
    """

    def __init__(self, ca_file: str | None, connections: int, metadata_calls: TokenCalls) -> None:
        self._ca_file = ca_file
        self._connections = connections
        self._metadata_calls = metadata_calls
        self._applications: dict[str, dict[Registration, ConfidentialClientApplication]] = {}
        self._builds = SharedCalls()
        self._authentication = ClientAuthentication()
        self._transport: TokenTransport | None = None
        self._transport_lock = threading.Lock()

    async def get(self, app: OAuthApp, credential: ClientCredential) -> "ConfidentialClientApplication":
        """The application. Concurrent callers share one build. Raises TokenRefused, EntraBusy and urllib3's errors."""
        registration = (app.client_id, f"{app.cloud.authority}/{app.tenant}", credential)
        application = self._applications.get(app.id, {}).get(registration)
        if application is not None:
            return application
        return await self._builds((app.id, registration), partial(self._build, app, registration))

    async def read(self, url: str) -> dict[str, Any]:
        """Fetch a JSON document of the authority. Raises TokenRefused, EntraBusy and urllib3's errors."""
        return await self._metadata_calls.run(lambda: self._open_transport().read(url))

    def close(self) -> None:
        """End the threads and close all connections."""
        self._metadata_calls.close()
        if self._transport is not None:
            self._transport.close()
        self._authentication.close()

    async def _build(self, app: OAuthApp, registration: Registration) -> "ConfidentialClientApplication":
        application = await self._metadata_calls.run(partial(self._new, app, registration[2]))
        applications = self._applications.get(app.id, {})
        # Applications with credentials that the app no longer has are dropped, so that changes do not use up memory.
        current = {
            key: value
            for key, value in applications.items()
            if key[:2] == registration[:2] and key[2] in app.credentials
        }
        self._applications[app.id] = {**current, registration: application}
        return application

    def _new(self, app: OAuthApp, credential: ClientCredential) -> "ConfidentialClientApplication":
        """Runs in a thread, because importing MSAL takes long and its constructor reads the authority's metadata."""
        from msal import ConfidentialClientApplication  # noqa: PLC0415 - not needed for hand-outs

        from shared.adapters.token_transport import NoCache  # noqa: PLC0415 - as above

        transport = self._open_transport()
        try:
            return ConfidentialClientApplication(
                app.client_id,
                client_credential=self._authentication.credential(credential, app.cloud.authority),
                authority=f"{app.cloud.authority}/{app.tenant}",
                instance_discovery=False,
                http_client=transport,
                token_cache=NoCache(),
            )
        except METADATA_ERRORS:
            raise TokenRefused(TokenError(HTTPStatus.SERVICE_UNAVAILABLE)) from None

    def _open_transport(self) -> "TokenTransport":
        from shared.adapters.token_transport import TokenTransport  # noqa: PLC0415 - as above

        with self._transport_lock:
            self._transport = self._transport or TokenTransport(self._connections, self._ca_file)
        return self._transport


class ClientAuthentication:
    """Converts client credentials to MSAL's `client_credential`. Federated ones call the managed identity endpoint."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._assertions: dict[tuple[str, str], Callable[[], str]] = {}
        self._lock = threading.Lock()

    def credential(self, credential: ClientCredential, authority: str) -> str | dict[str, Any]:
        """The `client_credential` of MSAL's ConfidentialClientApplication, for the authority of a cloud."""
        match credential:
            case ClientSecret(secret):
                return secret.reveal()
            case ClientCertificate(private_key, certificate):
                # With the certificate and without a thumbprint MSAL signs as Entra recommends: PS256 and x5t#S256.
                return {"private_key": private_key.reveal(), "public_certificate": certificate}
            case FederatedIdentity(identity):
                host = urlsplit(authority).hostname or ""
                audience = FEDERATION_AUDIENCES_BY_HOST.get(host, FEDERATION_AUDIENCE)
                return {"client_assertion": self._assertion(identity, audience)}

    def close(self) -> None:
        """Close all connections."""
        self._open.close()

    def _assertion(self, identity: str, audience: str) -> Callable[[], str]:
        """MSAL calls it for each token request; the SDK's credential caches its token until it is about to expire."""
        with self._lock:
            if (identity, audience) not in self._assertions:
                self._assertions[identity, audience] = self._new_assertion(identity, audience)
        return self._assertions[identity, audience]

    def _new_assertion(self, identity: str, audience: str) -> Callable[[], str]:
        from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415 - only federated apps need it
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - as above

        last_status = LastStatus()
        # A proxy from the environment would see the identity endpoint's header and the tokens.
        transport = RequestsTransport(use_env_settings=False, **IDENTITY_CLIENT_OPTIONS)
        credential = ManagedIdentityCredential(
            client_id=identity, raw_response_hook=last_status.record, transport=transport, **IDENTITY_CLIENT_OPTIONS
        )
        self._open.callback(credential.close)
        return lambda: _identity_token(credential, f"{audience}/.default", last_status)


class LastStatus(threading.local):
    """The status of the identity endpoint's last response in this thread, which azure-identity's exceptions omit."""

    status: int | None = None

    def record(self, response: "PipelineResponse[Any, Any]") -> None:
        """A `raw_response_hook` (azure-core, CustomHookPolicy), called in the thread of the request."""
        self.status = response.http_response.status_code


def _identity_token(credential: "ManagedIdentityCredential", scope: str, last_status: LastStatus) -> str:
    """A token of the managed identity. Raises TokenRefused with an error that never blames the person."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError  # noqa: PLC0415 - as above

    last_status.status = None
    try:
        return str(credential.get_token(scope).token)
    except (AzureError, ValueError) as error:  # ValueError: MSAL's parser got no JSON
        status = last_status.status
        log.warning("managed identity has no token", extra={"status": status, "error": type(error).__name__})
        if not isinstance(error, ClientAuthenticationError) or _is_transient(status):
            raise TokenRefused(IDENTITY_UNAVAILABLE) from None
        raise TokenRefused(IDENTITY_REFUSED) from None


def _is_transient(status: int | None) -> bool:
    return status is not None and (status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in TRANSIENT_STATUSES)
