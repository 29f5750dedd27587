"""How MSAL is told to prove to Entra that an OAuth app is itself."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.adapters.token_answer import TokenRefused
from shared.domain.failure import TokenError
from shared.domain.oauth_app import ClientCertificate, ClientCredential, ClientSecret, FederatedIdentity

if TYPE_CHECKING:
    from azure.core.pipeline import PipelineResponse
    from azure.identity import ManagedIdentityCredential

log = logging.getLogger(__name__)

# Entra: workload identity federation, "configure an application to trust a managed identity", audiences by cloud.
AUDIENCE = "api://AzureADTokenExchange"
AUDIENCES = {
    "login.microsoftonline.us": f"{AUDIENCE}USGov",
    "login.partner.microsoftonline.cn": f"{AUDIENCE}China",
    "login.chinacloudapi.cn": f"{AUDIENCE}China",
}
# What the identity endpoints ask to try again (Entra: how to use managed identities on a VM, error handling).
PASSING = {HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS}
# MSAL's calls hold one of its few threads; the SDK's own patience is minutes.
PATIENCE: dict[str, Any] = {
    "retry_total": 2,
    "retry_backoff_factor": 0.2,
    "connection_timeout": 5,
    "read_timeout": 10,
}

IDENTITY_AWAY = TokenError(HTTPStatus.SERVICE_UNAVAILABLE)
IDENTITY_REFUSED = TokenError(HTTPStatus.UNAUTHORIZED, "invalid_client")


class LastAnswer(threading.local):
    """The status of the identity endpoint's last answer, of which azure-identity's exceptions say nothing."""

    status: int | None = None

    def note(self, response: "PipelineResponse[Any, Any]") -> None:
        """A `raw_response_hook` (azure-core, CustomHookPolicy); it runs in the thread of the call."""
        self.status = response.http_response.status_code


@dataclass(slots=True)
class ClientAuthentication:
    """Makes MSAL's `client_credential` of ours. Federated ones connect to the managed identity's endpoint."""

    _open: ExitStack = field(default_factory=ExitStack)
    _assertions: dict[tuple[str, str], Callable[[], str]] = field(default_factory=dict)

    def credential(self, credential: ClientCredential, authority_host: str) -> str | dict[str, Any]:
        """What MSAL's ConfidentialClientApplication takes as `client_credential`, at the authority of a cloud."""
        match credential:
            case ClientSecret(secret):
                return secret.reveal()
            case ClientCertificate(private_key, certificate):
                # With the certificate and without a thumbprint MSAL signs as Entra asks: PS256 and x5t#S256.
                return {"private_key": private_key.reveal(), "public_certificate": certificate}
            case FederatedIdentity(identity):
                return {"client_assertion": self._assertion(identity, _audience(authority_host))}

    def close(self) -> None:
        """End all connections."""
        self._open.close()

    def _assertion(self, identity: str, audience: str) -> Callable[[], str]:
        """Asked by MSAL for each token request; the credential underneath keeps its token until that nears its end."""
        if (identity, audience) not in self._assertions:
            self._assertions[identity, audience] = self._new_assertion(identity, audience)
        return self._assertions[identity, audience]

    def _new_assertion(self, identity: str, audience: str) -> Callable[[], str]:
        from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415 - only federated apps need it
        from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - as above

        last = LastAnswer()
        # No proxy of the environment: it would see the identity endpoint's header and the tokens.
        transport = RequestsTransport(use_env_settings=False, **PATIENCE)
        credential = ManagedIdentityCredential(
            client_id=identity, raw_response_hook=last.note, transport=transport, **PATIENCE
        )
        self._open.callback(credential.close)
        return lambda: _token(credential, f"{audience}/.default", last)


def _audience(authority_host: str) -> str:
    return AUDIENCES.get(urlsplit(authority_host).hostname or "", AUDIENCE)


def _token(credential: "ManagedIdentityCredential", scope: str, last: LastAnswer) -> str:
    """A token of the managed identity. Raises TokenRefused: nothing about it is ever the person's fault."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError  # noqa: PLC0415 - as above

    last.status = None
    try:
        return str(credential.get_token(scope).token)
    except (AzureError, ValueError) as error:  # ValueError: MSAL reads something that is no JSON
        log.warning("managed identity has no token", extra={"status": last.status, "error": type(error).__name__})
        if not isinstance(error, ClientAuthenticationError) or _passes(last.status):
            raise TokenRefused(IDENTITY_AWAY) from None
        raise TokenRefused(IDENTITY_REFUSED) from None


def _passes(status: int | None) -> bool:
    return status is not None and (status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING)
