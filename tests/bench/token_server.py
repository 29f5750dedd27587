"""`python -m tests.bench.token_server FOLDER MILLISECONDS`: a token endpoint, and a Graph, that only wait and answer.

The local tenant signs and keeps books, and would be what is measured. This one has Entra's shape and size of answers,
over TLS, and prints {"url", "caFile"} when it is ready.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# Sizes as Entra's: an access token of about 2 KB, a refresh token of about 1 KB.
ANSWER = {
    "token_type": "Bearer",
    "scope": "Mail.ReadWrite.Shared Mail.Send.Shared User.Read",
    "expires_in": 4500,
    "ext_expires_in": 4500,
    "access_token": "a" * 2200,
    "refresh_token": "r" * 1100,
}
# A list of one message, as `$select=subject,from,receivedDateTime,isRead` gives it.
MESSAGES = {
    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('b1a6a0de-0000-4000-8000-0000000000a1')/messages",
    "value": [
        {
            "@odata.etag": 'W/"CQAAABYAAAC4ofQHEIqCSbQPot83AFcbAAAW/0tB"',
            "id": "AAMk" + "G" * 144 + "AAA=",
            "receivedDateTime": "2026-11-29T08:14:05Z",
            "subject": "Where is my order?",
            "isRead": False,
            "from": {"emailAddress": {"name": "Ann Customer", "address": "ann@fabrikam.example"}},
        }
    ],
}


def application(origin: str, seconds: float) -> Starlette:
    """Discovery and token; `/given` says how many tokens were given."""
    given = 0

    async def discover(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        base = f"{origin}/{tenant}"
        return JSONResponse(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
        )

    async def token(_: Request) -> Response:
        await asyncio.sleep(seconds)
        nonlocal given
        given += 1
        return JSONResponse(ANSWER)

    async def messages(_: Request) -> Response:
        await asyncio.sleep(seconds)
        return JSONResponse(MESSAGES)

    async def count(_: Request) -> Response:
        return JSONResponse(given)

    return Starlette(
        routes=[
            Route("/{tenant}/v2.0/.well-known/openid-configuration", discover),
            Route("/given", count),
            Route("/v1.0/users/{mailbox}/messages", messages),
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
        ]
    )


def main() -> None:
    """Serve until a signal comes."""
    folder, milliseconds = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.tempfile(str(folder)) as certificate:
        # Port first, because discovery has to name it. A listening socket of ours would leave Nagle's algorithm on.
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        origin = f"https://127.0.0.1:{port}"
        config = uvicorn.Config(
            application(origin, milliseconds / 1000),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            ssl_certfile=certificate,
        )
        asyncio.run(_serve(uvicorn.Server(config), {"url": origin, "caFile": str(folder / "ca.pem")}))


async def _serve(server: uvicorn.Server, ready: dict[str, str]) -> None:
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn says it in no other way
        await asyncio.sleep(0.01)
    print(json.dumps(ready), flush=True)
    await serving


if __name__ == "__main__":
    main()
