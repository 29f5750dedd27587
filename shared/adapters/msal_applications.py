"""MSAL's applications: built once for each OAuth app and credential, after the authority's metadata was read."""

from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from shared.adapters.token_answer import TokenRefused
from shared.adapters.token_calls import TokenCalls
from shared.domain.failure import TokenError
from shared.domain.oauth_app import ClientCredential, OAuthApp
from shared.domain.ttl_cache import SharedCalls

if TYPE_CHECKING:
    from msal import ConfidentialClientApplication

    from shared.adapters.client_authentication import ClientAuthentication
    from shared.adapters.token_transport import TokenTransport

# What MSAL raises when the authority's metadata is unavailable or no JSON object with endpoints (msal/authority.py).
UNUSABLE_METADATA = (ValueError, KeyError, RuntimeError, AttributeError, TypeError)

type Registered = tuple[str, str, ClientCredential]
"""A client id, its authority, and how the client authenticates."""


@dataclass(slots=True)
class MsalApplications:
    """Kept for all principals, without tokens. Metadata is read in threads of its own, which token calls never fill."""

    ca_file: str | None
    connections: int
    metadata_calls: TokenCalls
    _built: dict[str, dict[Registered, "ConfidentialClientApplication"]] = field(default_factory=dict)
    _building: SharedCalls = field(default_factory=SharedCalls)
    _lock: Lock = field(default_factory=Lock)
    _authentication: "ClientAuthentication | None" = None
    _transport: "TokenTransport | None" = None

    async def get(self, app: OAuthApp, credential: ClientCredential) -> "ConfidentialClientApplication":
        """The application; built once however many wait. Raises TokenRefused, EntraBusy and urllib3's errors."""
        registered = (app.client_id, f"{app.cloud.authority}/{app.tenant}", credential)
        known = self._built.get(app.id, {}).get(registered)
        if known is not None:
            return known
        return await self._building((app.id, registered), partial(self._build, app, registered))

    async def read(self, address: str) -> dict[str, Any]:
        """A JSON document of the authority's. Raises TokenRefused, EntraBusy and urllib3's errors."""
        return await self.metadata_calls.run(lambda: self._connected().read(address))

    def close(self) -> None:
        """End threads and connections."""
        self.metadata_calls.close()
        if self._transport is not None:
            self._transport.close()
        if self._authentication is not None:
            self._authentication.close()

    async def _build(self, app: OAuthApp, registered: Registered) -> "ConfidentialClientApplication":
        built = await self.metadata_calls.run(partial(self._new, app, registered[2]))
        known = self._built.get(app.id, {})
        # What the app does not authenticate with any more goes, so that changing it often costs no memory.
        kept = {key: one for key, one in known.items() if key[:2] == registered[:2] and key[2] in app.credentials}
        self._built[app.id] = {**kept, registered: built}
        return built

    def _new(self, app: OAuthApp, credential: ClientCredential) -> "ConfidentialClientApplication":
        """In a thread: MSAL takes long to import, and reads the authority's metadata right away."""
        from msal import ConfidentialClientApplication  # noqa: PLC0415 - the hand-out path does without

        from shared.adapters.token_transport import NoCache  # noqa: PLC0415 - as above

        transport = self._connected()
        try:
            return ConfidentialClientApplication(
                app.client_id,
                client_credential=self._authenticating().credential(credential, app.cloud.authority),
                authority=f"{app.cloud.authority}/{app.tenant}",
                instance_discovery=False,
                http_client=transport,
                token_cache=NoCache(),
            )
        except UNUSABLE_METADATA:
            raise TokenRefused(TokenError(503)) from None

    def _authenticating(self) -> "ClientAuthentication":
        from shared.adapters.client_authentication import ClientAuthentication  # noqa: PLC0415 - as above

        with self._lock:
            self._authentication = self._authentication or ClientAuthentication()
        return self._authentication

    def _connected(self) -> "TokenTransport":
        from shared.adapters.token_transport import TokenTransport  # noqa: PLC0415 - as above

        with self._lock:
            self._transport = self._transport or TokenTransport(self.connections, self.ca_file)
        return self._transport
