"""A receiver of events as a developer would write one: it checks signatures by the Standard Webhooks library.

What it took is in a file, line by line, so that it can be killed. The first part of the path says how it behaves.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

HANGS = 20  # seconds
STATUS = {"ok": 204, "fails": 500, "gone": 410, "hangs": 200, "picky": 200, "busy": 429}


def app(took: Path, secret: str) -> Starlette:
    """Answers as the path says, and writes down what came."""
    verifier = Webhook(secret)

    async def receive(request: Request) -> Response:
        body, way = await request.body(), request.path_params["way"]
        record: dict[str, Any] = {
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": json.loads(body),
            "text": body.decode(),
        }
        try:
            verifier.verify(body, dict(request.headers))
            record["verified"] = True
        except WebhookVerificationError:
            record["verified"] = False
        if way == "hangs":
            await asyncio.sleep(HANGS)
        status = STATUS.get(way, 200)
        if way == "picky" and str(record["body"]["account"]).endswith("sick"):
            status = 500
        with took.open("a") as file:
            file.write(json.dumps({**record, "status": status}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if way == "redirects":
            return RedirectResponse("/ok/redirected", 307)
        return Response(status_code=status, headers={"Retry-After": "40"} if way == "busy" else None)

    return Starlette(routes=[Route("/{way}/{rest:path}", receive, methods=["POST"])])


def main() -> None:
    """Serve until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--took", type=Path, required=True)
    parser.add_argument("--secret", required=True)
    given = parser.parse_args()
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", given.port))
    listening.listen()
    sys.stdout.write(json.dumps({"port": given.port}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(app(given.took, given.secret), log_level="warning", access_log=False)
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
