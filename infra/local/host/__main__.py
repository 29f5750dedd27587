"""Run a Functions app and print one line of JSON when it is ready: `python -m infra.local.host --app DIR --port N`."""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from infra.local.host.log import start_log
from infra.local.host.protocol import Protocol
from infra.local.host.server import host
from infra.local.host.settings import HostError, prepare_environment
from infra.local.host.worker import IndexingError


def main() -> None:
    """Read the command line and run the app until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder with function_app.py and host.json")
    address = parser.add_mutually_exclusive_group()
    address.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 picks a free port")
    address.add_argument("--fd", type=int, help="file descriptor of a listening socket of the parent")
    parser.add_argument("--settings", type=Path, help="a local.settings.json file")
    parser.add_argument("--certificate", type=Path, help="PEM file with a certificate and its key, to serve https")
    arguments = parser.parse_args()
    # https://learn.microsoft.com/azure/azure-functions/functions-app-settings#python_enable_debug_logging
    start_log(debug=os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING") == "1")
    prepare_environment(arguments.settings)
    own_socket = arguments.fd is None
    descriptor = socket.create_server(("127.0.0.1", arguments.port)).detach() if own_socket else arguments.fd
    # asyncio disables Nagle's algorithm only if the socket names the protocol, as one made from a descriptor does.
    # Otherwise each response on a kept connection takes 40 ms longer.
    listener = socket.socket(fileno=descriptor)
    try:
        # What the app prints goes to the log, because the parent process reads our standard output.
        with redirect_stdout(sys.stderr):
            asyncio.run(serve(arguments.app.resolve(), listener, clock, arguments.certificate))
    except (HostError, IndexingError) as error:
        sys.exit(f"the app cannot run: {error}")


def clock() -> datetime:
    """The current time."""
    return datetime.now(UTC)  # noqa: TID251 - the only place in the host that reads the clock


async def serve(
    app: Path, listener: socket.socket, now: Callable[[], datetime], certificate: Path | None = None
) -> None:
    """Serve the app on a listening socket. After a signal, finish the invocations in progress and return."""
    async with host(app, now) as loaded:
        server = uvicorn.Server(
            uvicorn.Config(
                loaded,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                ssl_certfile=certificate,
            )
        )
        # uvicorn handles signals only while it serves, and raises them again when it ends.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, server.handle_exit)
        address, port = listener.getsockname()
        ready = {
            "url": f"{'https' if certificate else 'http'}://{address}:{port}",
            "functions": loaded.functions,
            "keys": asdict(loaded.keys),
        }
        print(json.dumps(ready), file=sys.__stdout__, flush=True)
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    main()
