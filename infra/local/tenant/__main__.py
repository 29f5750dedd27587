"""`python -m infra.local.tenant`: serve the tenant on 127.0.0.1 and say where it is, in one line of JSON."""

import argparse
import contextlib
import json
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

import uvicorn

from infra.local.tenant.app import build_app
from infra.local.tenant.certificates import load_authority, load_keys, server_context
from infra.local.tenant.imap import ImapFront
from infra.local.tenant.managed_identity import IdentityEndpoint
from infra.local.tenant.tenant import Tenant

# Access tokens of people in many groups are long; in pieces, uvicorn's parser takes 16 KiB of headers by default.
MAX_HEADER_BYTES = 256 * 1024


class AnnouncingServer(uvicorn.Server):
    """Prints its ready line as soon as it listens; IMAP is served beside it."""

    def __init__(self, config: uvicorn.Config, ready: dict[str, str], tenant: Tenant, context: ssl.SSLContext) -> None:
        super().__init__(config)
        self._ready = ready
        self._imap = ImapFront(tenant)
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        imap = await self._imap.serve(self._context)
        print(json.dumps({**self._ready, "imapServer": imap}), flush=True)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.tenant", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--folder", type=Path, help="where its keys are kept; without it they last as long as it runs")
    given = parser.parse_args()
    # uvicorn ends by raising the signal once more; this way the temporary folder still goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailbind-tenant-")))
        folder.mkdir(parents=True, exist_ok=True)
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it, every answer takes 40 ms more.
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", given.port))
        identities = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        serve(folder.resolve(), listener, identities)


def serve(folder: Path, listener: socket.socket, identities: socket.socket) -> None:
    """Serve the tenant whose keys are in the folder, and beside it the endpoint of managed identities."""
    origin = f"https://127.0.0.1:{listener.getsockname()[1]}"
    authority = load_authority(folder)
    tenant = Tenant(origin, load_keys(folder))
    config = uvicorn.Config(
        build_app(tenant),
        access_log=False,
        log_level="warning",
        lifespan="off",
        ssl_context_factory=lambda _config, _default: server_context(authority),
        timeout_graceful_shutdown=1,  # a request that hangs on purpose never ends
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    client = tenant.directory.first_client
    ready = {"url": origin, "controlUrl": f"{origin}/control", "caFile": str(folder / "ca.pem")}
    ready |= {"tenantId": tenant.directory.tenant_id, "clientId": client.id, "clientSecret": client.secret}
    endpoint = IdentityEndpoint(tenant)
    ready |= {"identityEndpoint": endpoint.serve(identities), "identityHeader": endpoint.header}
    api = tenant.directory.own_api
    ready |= {"apiUri": api.address, "apiClientId": api.app_id}
    AnnouncingServer(config, ready, tenant, server_context(authority)).run(sockets=[listener])


if __name__ == "__main__":
    main()
