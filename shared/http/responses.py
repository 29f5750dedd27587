"""Creates every response. The API's are JSON in camelCase, with one shape for every error."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, overload
from urllib.parse import quote

import azure.functions as func
import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.domain.errors import (
    Forbidden,
    InvalidInput,
    InvalidToken,
    MailbindError,
    Unauthorized,
)
from shared.domain.formats import format_timestamp
from shared.domain.secret import Secret
from shared.http.refusals import MethodNotAllowed, status_of

type Handler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]

JSON = "application/json"
HTML = "text/html"
NO_STORE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """An answer. Fields may be added later; ignore those that you do not know."""

    def __repr__(self) -> str:
        """Without values, which may be secrets."""
        return f"{type(self).__name__}(…)"


class FieldError(Answer, kw_only=True):
    """An error of one field."""

    message: Annotated[str, Meta(description="What is wrong.", examples=['"redirectUrl" is required'])]
    key: Annotated[str, Meta(description="The field.", examples=["redirectUrl"])]


class Error(Answer, kw_only=True):
    """An error. It never repeats a value of the request."""

    status_code: Annotated[int, Meta(description="The status.", examples=[400])]
    error: Annotated[str, Meta(description="The status in words.", examples=["Bad Request"])]
    message: Annotated[str, Meta(description="What is wrong, in a sentence for people.", examples=["Invalid input"])]
    code: Annotated[str, Meta(description="A stable code for programs.", examples=["InvalidInput"])]
    fields: Annotated[list[FieldError], Meta(description="The errors of all fields.")] | UnsetType = UNSET
    requested_scope: Annotated[str, Meta(description="The missing scope.")] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Answered[A: Answer]:
    """An answer with headers, or with another status than the operation's."""

    body: A
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None


def reply(
    body: bytes | str | None, status: int, headers: Mapping[str, str], media_type: str | None = None
) -> func.HttpResponse:
    """A response with headers that the host can send."""
    response = func.HttpResponse(body, status_code=status, mimetype=media_type, charset="utf-8")
    for name, value in headers.items():
        add_header(response, name, value)
    return response


def add_header(response: func.HttpResponse, name: str, value: str) -> None:
    """Add a header. The host answers 500 for a value with a line break or a non-ASCII letter.

    Such letters are percent-encoded as UTF-8, as in URLs (RFC 3987 section 3.1). Printable ASCII stays as it is.
    """
    response.headers.add(name, quote(value, safe=PRINTABLE_ASCII, errors="replace"))


def answer(
    body: Answer | dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """A JSON response that is not cached."""
    return reply(ENCODER.encode(body), status, {**NO_STORE_HEADERS, **(headers or {})}, JSON)


def _revealed(value: object) -> str:
    """Reveal a secret of an answer, whose type says that it is meant for the caller. Nothing else reveals one."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


ENCODER = msgspec.json.Encoder(enc_hook=_revealed)


@overload
def moment(when: datetime) -> str: ...
@overload
def moment(when: datetime | None) -> str | None: ...
def moment(when: datetime | None) -> str | None:
    """A timestamp as the contract writes it: UTC, milliseconds, Z."""
    return None if when is None else format_timestamp(when)


def problem(error: MailbindError) -> func.HttpResponse:
    """The error envelope: statusCode, error, message, code, and the fields that were wrong."""
    body = Error(
        status_code=status_of(error),
        error=status_of(error).phrase,
        message=str(error),
        code=error.code or "",
    )
    if isinstance(error, InvalidInput):
        body.fields = [FieldError(message=message, key=name) for name, message in error.fields.items()]
    if isinstance(error, Forbidden) and error.scope is not None:
        body.requested_scope = error.scope
    return answer(body, status_of(error), refusal_headers(error))


def refusal_headers(error: MailbindError) -> dict[str, str]:
    """The headers that belong to an error."""
    headers = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, (Unauthorized, Forbidden)):
        headers["WWW-Authenticate"] = challenge(error)
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return headers


def challenge(error: Unauthorized | Forbidden) -> str:
    """The WWW-Authenticate challenge (RFC 6750 section 3); without an error if the request had no token."""
    match error:
        case InvalidToken():
            return 'Bearer error="invalid_token"'
        case Forbidden(scope=str(scope)):
            return f'Bearer error="insufficient_scope", scope="{scope}"'
        case Forbidden():
            return 'Bearer error="insufficient_scope"'
        case _:
            return "Bearer"
