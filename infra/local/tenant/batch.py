"""Several requests in one: POST /v1.0/$batch.

https://learn.microsoft.com/graph/json-batching
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer, GraphRequest

MAX_PARTS = 20
# Requests of a batch to one mailbox run four at a time. https://learn.microsoft.com/graph/throttling-limits
MAX_CONCURRENT_PARTS = 4

Respond = Callable[[GraphRequest, Callable[[], Awaitable[bytes]]], Awaitable[Response]]


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """One request of a batch. `url` is relative to /v1.0."""

    id: str
    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    depends_on: list[str] = []


class _Batch(msgspec.Struct, frozen=True):
    requests: list[Part]


async def answer_batch(request: GraphRequest, respond: Respond) -> Answer:
    """Answer all parts. Each has the caller's token, and none of the batch's other headers. Raises Refusals."""
    if request.method != "POST":
        raise Refusal("methodNotAllowed")
    parts = _read(request.body)
    slots, tasks = asyncio.Semaphore(MAX_CONCURRENT_PARTS), dict[str, asyncio.Task[dict[str, Any]]]()

    async def answer(part: Part) -> dict[str, Any]:
        waited_for = [await tasks[name] for name in part.depends_on]
        if any(one["status"] >= HTTPStatus.BAD_REQUEST for one in waited_for):
            return _failed_dependency(part)
        async with slots:
            part_request = _request(part, request.headers["authorization"])
            return _shown(part, await respond(part_request, _body_of(part_request)))

    for part in parts:
        tasks[part.id] = asyncio.create_task(answer(part))
    return Answer({"responses": [await task for task in tasks.values()]})


def _read(body: bytes) -> list[Part]:
    try:
        parts = msgspec.json.decode(body, type=_Batch).requests
    except ValueError as error:
        raise Refusal("BadRequest", reason="Invalid batch payload format.") from error
    if len(parts) > MAX_PARTS:
        reason = f"Number of batch request steps exceeds the maximum value of {MAX_PARTS}."
        raise Refusal("BadRequest", reason=reason)
    known: set[str] = set()
    for part in parts:
        if part.id in known or not known.issuperset(part.depends_on):
            raise Refusal(
                "BadRequest", reason="The ids of the requests must be unique, and dependsOn must name earlier ones."
            )
        known.add(part.id)
    return parts


def _request(part: Part, authorization: str) -> GraphRequest:
    path, _, query = part.url.partition("?")
    headers = {name.lower(): value for name, value in part.headers.items()}
    body = (
        b""
        if part.body is None
        else part.body.encode()
        if isinstance(part.body, str)
        else json.dumps(part.body).encode()
    )
    return GraphRequest(
        method=part.method.upper(),
        path=f"/v1.0/{unquote(path).removeprefix('/')}",
        query=query,
        headers={"authorization": authorization, **headers},
        body=body,
    )


def _body_of(request: GraphRequest) -> Callable[[], Awaitable[bytes]]:
    async def body() -> bytes:
        return request.body

    return body


def _shown(part: Part, response: Response) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": part.id, "status": response.status_code}
    content_type = response.headers.get("content-type", "")
    shown["headers"] = {
        "-".join(word.capitalize() for word in name.split("-")): value
        for name, value in response.headers.items()
        if name in {"content-type", "preference-applied", "retry-after"}
    }
    if response.body:
        content = bytes(response.body)
        is_json = content_type.startswith("application/json")
        shown["body"] = json.loads(content) if is_json else base64.b64encode(content).decode()
    return shown


def _failed_dependency(part: Part) -> dict[str, Any]:
    error = {"code": "FailedDependency", "message": "A request that this one depends on has failed."}
    return {"id": part.id, "status": int(HTTPStatus.FAILED_DEPENDENCY), "headers": {}, "body": {"error": error}}
