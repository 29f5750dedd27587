"""Serve the tenant on 127.0.0.1 and print its addresses as one line of JSON: `python -m infra.local.tenant`."""

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
from infra.local.tenant.imap import ImapServer
from infra.local.tenant.keys import load_authority, load_keys, server_context
from infra.local.tenant.managed_identity import IdentityEndpoint
from infra.local.tenant.tenant import Tenant

# Access tokens of people in many groups are long. By default uvicorn's parser accepts 16 KiB of incomplete headers.
MAX_HEADER_BYTES = 256 * 1024


class AnnouncingServer(uvicorn.Server):
    """Prints the ready line when HTTPS and IMAP listen."""

    def __init__(self, config: uvicorn.Config, ready: dict[str, str], tenant: Tenant, context: ssl.SSLContext) -> None:
        super().__init__(config)
        self._ready = ready
        self._imap = ImapServer(tenant)
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the ready line."""
        await super().startup(sockets)
        imap_address = await self._imap.serve(self._context)
        print(json.dumps({**self._ready, "imapServer": imap_address}), flush=True)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.tenant", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--folder", type=Path, help="where the keys are kept; by default they end with the process")
    arguments = parser.parse_args()
    # uvicorn ends by raising the signal again; sys.exit lets the temporary folder be removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailbind-tenant-")))
        folder.mkdir(parents=True, exist_ok=True)
        # asyncio disables Nagle's algorithm only if the socket names the protocol. Otherwise each response takes
        # 40 ms longer.
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", arguments.port))
        identity_listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        serve(folder.resolve(), listener, identity_listener)


def serve(folder: Path, listener: socket.socket, identity_listener: socket.socket) -> None:
    """Serve the tenant with the keys in `folder`, and the managed identity endpoint beside it."""
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
    client, api = tenant.directory.mailbind_client, tenant.directory.mailbind_api
    identity_endpoint = IdentityEndpoint(tenant)
    ready = {
        "url": origin,
        "controlUrl": f"{origin}/control",
        "caFile": str(folder / "ca.pem"),
        "tenantId": tenant.directory.tenant_id,
        "clientId": client.id,
        "clientSecret": client.secret,
        "identityEndpoint": identity_endpoint.serve(identity_listener),
        "identityHeader": identity_endpoint.header,
        "apiUri": api.address,
        "apiClientId": api.app_id,
    }
    AnnouncingServer(config, ready, tenant, server_context(authority)).run(sockets=[listener])


if __name__ == "__main__":
    main()
