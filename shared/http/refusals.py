"""Turns exceptions of a request into refusals with a status, so that no exception reaches the host."""

import logging
import traceback
from collections.abc import Collection, Mapping
from http import HTTPStatus
from pathlib import Path

from shared.domain.confined.refused import (
    AnswerNotUnderstood,
    AnswerOverLimit,
    BadMailRequest,
    DependencyFailed,
    LinkNotValid,
    OutcomeUnknown,
    PartNotSent,
)
from shared.domain.errors import (
    BindingConflict,
    Conflict,
    Forbidden,
    InternalError,
    InvalidInput,
    MailbindError,
    NotAuthorized,
    NotBound,
    NotFound,
    NotStorable,
    RowUnreadable,
    SealBroken,
    StaleWrite,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from shared.domain.mail.composition import MessageTooLarge
from shared.domain.mail.graph_error import RefusedByGraph
from shared.usecases.mail.bulk import OutOfTime
from shared.usecases.mail.send_once import Interrupted

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]


class InvalidJson(MailbindError):
    """The body is not JSON."""

    code = "InvalidJson"


class NoSuchRoute(NotFound):
    """No route answers this path."""

    def __init__(self) -> None:
        super().__init__("There is no such route. Check the address")


class MethodNotAllowed(MailbindError):
    """The path is a route, but not for this method (RFC 9110 section 15.5.6), only for the `allowed` ones."""

    code = "MethodNotAllowed"

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(f"This route answers {', '.join(allowed)} only")
        self.allowed = allowed


class LengthRequired(MailbindError):
    """The body came without a Content-Length, and therefore not at all (RFC 9110 section 15.5.12)."""

    code = "LengthRequired"

    def __init__(self) -> None:
        super().__init__("Chunked bodies do not arrive here. Send the body whole, with a Content-Length header")


class TooLarge(MailbindError):
    """The body is over the limit (RFC 9110 section 15.5.14)."""

    code = "BodyTooLarge"


class UriTooLong(MailbindError):
    """The path or the query is over the limit (RFC 9110 section 15.5.15)."""

    code = "UriTooLong"


class UnsupportedMediaType(MailbindError):
    """The body is of a type that the route does not read (RFC 9110 section 15.5.16)."""

    code = "UnsupportedMediaType"


class HeadersTooLarge(MailbindError):
    """The headers are over the limit (RFC 6585 section 5)."""

    code = "HeadersTooLarge"


STATUSES: Mapping[type[MailbindError], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    InvalidJson: HTTPStatus.BAD_REQUEST,
    NotStorable: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotAuthorized: HTTPStatus.FORBIDDEN,
    NotBound: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    Conflict: HTTPStatus.CONFLICT,
    BindingConflict: HTTPStatus.CONFLICT,
    LengthRequired: HTTPStatus.LENGTH_REQUIRED,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    MessageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UriTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    BadMailRequest: HTTPStatus.BAD_REQUEST,
    RefusedByGraph: HTTPStatus.BAD_REQUEST,
    LinkNotValid: HTTPStatus.GONE,
    AnswerOverLimit: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    DependencyFailed: HTTPStatus.FAILED_DEPENDENCY,
    PartNotSent: HTTPStatus.SERVICE_UNAVAILABLE,
    OutOfTime: HTTPStatus.SERVICE_UNAVAILABLE,
    Interrupted: HTTPStatus.SERVICE_UNAVAILABLE,
    # A status that no client repeats by itself: Graph's SDKs repeat 429, 503 and 504, flows 408, 429 and every 5xx
    # ("Handle errors and exceptions in Azure Logic Apps"). The caller may resolve it and send again, which is what 409
    # says (RFC 9110 section 15.5.10).
    OutcomeUnknown: HTTPStatus.CONFLICT,
    AnswerNotUnderstood: HTTPStatus.BAD_GATEWAY,
    InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    RowUnreadable: HTTPStatus.SERVICE_UNAVAILABLE,
    SealBroken: HTTPStatus.SERVICE_UNAVAILABLE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: MailbindError) -> HTTPStatus:
    """The status of a refusal: that of its class, or of the nearest class that has one."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), HTTPStatus.INTERNAL_SERVER_ERROR)


def refusal_of(error: Exception) -> MailbindError:
    """The refusal for an exception. Any but a MailbindError is an internal error, and is logged without its message.

    A foreign exception may quote the request, so the log line has its type and its place only.
    """
    if isinstance(error, MailbindError):
        _log_for_operator(error)
        return error
    if isinstance(error, StaleWrite):
        return Conflict()
    log.error("request failed", extra={"error": type(error).__name__, "at": _place(error)})
    return InternalError()


def _log_for_operator(error: MailbindError) -> None:
    """The message sends the caller to the operator, who finds the reason in this line."""
    reason = error.why if isinstance(error, SealBroken) else type(error.__cause__).__name__ if error.__cause__ else None
    if isinstance(error, (RowUnreadable, SealBroken, Unavailable)) and reason is not None:
        status = getattr(error.__cause__, "status_code", None)
        log.warning("request unavailable", extra={"code": error.code, "error": reason, "status": status})


def _place(error: Exception) -> str:
    """The innermost line of shared/ that the exception passed through, such as `http/bounds.py:42`."""
    ours = [
        f"{Path(frame.f_code.co_filename).relative_to(ROOT)}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(ROOT)
    ]
    return ours[-1] if ours else "?"
