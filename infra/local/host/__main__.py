"""`python -m infra.local.host --app DIR --port N`: runs a Functions app and prints one JSON line when it is ready."""

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
    """Read the command line and run the app until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    listener = parser.add_mutually_exclusive_group()
    listener.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 picks a free one")
    listener.add_argument("--fd", type=int, help="a listening socket that the parent opened")
    parser.add_argument("--settings", type=Path, help="a local.settings.json file")
    chosen = parser.parse_args()
    # https://learn.microsoft.com/azure/azure-functions/functions-app-settings#python_enable_debug_logging
    start_log(debug=os.environ.get("PYTHON_ENABLE_DEBUG_LOGGING") == "1")
    prepare_environment(chosen.settings)
    opened = socket.create_server(("127.0.0.1", chosen.port)).detach() if chosen.fd is None else chosen.fd
    # A socket made from its descriptor knows that it is TCP. asyncio turns Nagle's algorithm off only for those, and
    # with it every answer on a connection that is kept takes 40 ms more.
    listening = socket.socket(fileno=opened)
    try:
        # What the app prints belongs to the log: a parent reads our standard output.
        with redirect_stdout(sys.stderr):
            asyncio.run(serve(chosen.app.resolve(), listening, clock))
    except (HostError, IndexingError) as error:
        sys.exit(f"the app cannot run: {error}")


def clock() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)  # noqa: TID251 - the only place in the host that reads it


async def serve(app: Path, listening: socket.socket, now: Callable[[], datetime]) -> None:
    """Run the app behind a listening socket; ends after a signal, when what was under way is done."""
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
            )
        )
        # uvicorn listens to signals only while it serves, and raises what stopped it once more at its end.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, server.handle_exit)
        address, port = listening.getsockname()
        ready = {"url": f"http://{address}:{port}", "functions": loaded.functions, "keys": asdict(loaded.keys)}
        print(json.dumps(ready), file=sys.__stdout__, flush=True)
        await server.serve(sockets=[listening])


if __name__ == "__main__":
    main()
