"""Answers of the API: JSON, camelCase, and one shape for every error."""

import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

import azure.functions as func
import msgspec

from shared.domain.errors import Forbidden, InvalidInput, InvalidToken, MailbindError, Unauthorized
from shared.domain.moment import written

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
    return None if when is None else written(when)


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
    if isinstance(error, (Unauthorized, Forbidden)):
        headers["WWW-Authenticate"] = challenge(error)
    if isinstance(error, Forbidden) and error.scope is not None:
        body["requestedScope"] = error.scope
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return answer(body, error.status, headers)


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
