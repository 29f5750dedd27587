"""Answers of the API: JSON, camelCase, and one shape for every error."""

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any

import azure.functions as func
import msgspec

from shared.domain.errors import InvalidInput, MailbindError, Unauthorized

type Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

SEVERE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def answer(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer that nobody caches."""
    return func.HttpResponse(
        msgspec.json.encode(body),
        status_code=status,
        headers={**SEVERE, **(headers or {})},
        mimetype="application/json",
    )


def moment(when: datetime | None) -> str | None:
    """A moment as the contract writes it: UTC, milliseconds, Z."""
    if when is None:
        return None
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def problem(error: MailbindError) -> func.HttpResponse:
    """The error envelope: statusCode, error, message, code, and the fields that were wrong."""
    body: dict[str, Any] = {
        "statusCode": error.status,
        "error": HTTPStatus(error.status).phrase,
        "message": str(error),
        "code": error.code,
    }
    headers = {}
    if isinstance(error, InvalidInput):
        body["fields"] = [{"message": message, "key": name} for name, message in error.fields.items()]
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return answer(body, error.status, headers)


def with_problems(handler: Handler) -> Handler:
    """Answer a refusal with the error envelope."""

    @wraps(handler)
    async def answering(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await handler(req)
        except MailbindError as error:
            return problem(error)

    return answering
