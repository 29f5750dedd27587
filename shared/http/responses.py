"""Every answer is made here. Those of the API are JSON, camelCase, with one shape for every error."""

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import azure.functions as func
import msgspec

from shared.domain.errors import (
    Forbidden,
    InvalidInput,
    InvalidToken,
    MailbindError,
    MethodNotAllowed,
    Unauthorized,
)
from shared.domain.formats import format_timestamp

type Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

SEVERE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
VISIBLE = "".join(map(chr, range(0x20, 0x7F)))


def reply(
    body: bytes | str | None, status: int, headers: Mapping[str, str], media_type: str | None = None
) -> func.HttpResponse:
    """An answer with headers that the host can send."""
    response = func.HttpResponse(body, status_code=status, mimetype=media_type, charset="utf-8")
    for name, value in headers.items():
        add_header(response, name, value)
    return response


def add_header(response: func.HttpResponse, name: str, value: str) -> None:
    """Add a header. Of a value with a line break, or with a letter beyond ASCII, the host makes a 500.

    Such letters are percent-encoded as UTF-8, as URLs want them (RFC 3987 section 3.1). What is ASCII stays as it is.
    """
    response.headers.add(name, quote(value, safe=VISIBLE, errors="replace"))


def answer(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer that nobody caches."""
    return reply(msgspec.json.encode(body), status, {**SEVERE, **(headers or {})}, "application/json")


def moment(when: datetime | None) -> str | None:
    """A moment as the contract writes it: UTC, milliseconds, Z."""
    return None if when is None else format_timestamp(when)


def problem(error: MailbindError) -> func.HttpResponse:
    """The error envelope: statusCode, error, message, code, and the fields that were wrong."""
    body: dict[str, Any] = {
        "statusCode": error.status,
        "error": HTTPStatus(error.status).phrase,
        "message": str(error),
        "code": error.code,
    }
    if isinstance(error, InvalidInput):
        body["fields"] = [{"message": message, "key": name} for name, message in error.fields.items()]
    if isinstance(error, Forbidden) and error.scope is not None:
        body["requestedScope"] = error.scope
    return answer(body, error.status, refusal_headers(error))


def refusal_headers(error: MailbindError) -> dict[str, str]:
    """What the headers of an answer say of an error."""
    headers = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, (Unauthorized, Forbidden)):
        headers["WWW-Authenticate"] = challenge(error)
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return headers


def challenge(error: Unauthorized | Forbidden) -> str:
    """What a bearer token has to be like (RFC 6750 section 3): without an error when there was none at all."""
    match error:
        case InvalidToken():
            return 'Bearer error="invalid_token"'
        case Forbidden(scope=str(scope)):
            return f'Bearer error="insufficient_scope", scope="{scope}"'
        case Forbidden():
            return 'Bearer error="insufficient_scope"'
        case _:
            return "Bearer"
