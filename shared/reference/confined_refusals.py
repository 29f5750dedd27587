"""The refusals of confined access in the description, made of the errors that the app raises."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from shared.domain.caller import Scope
from shared.domain.confined.refused import (
    TABLE,
    AnswerNotUnderstood,
    AnswerOverLimit,
    BadMailRequest,
    DependencyFailed,
    LinkNotValid,
    NotConfined,
    OutcomeUnknown,
    PartNotSent,
    WrongSender,
)
from shared.domain.errors import (
    MailbindError,
    MissingScope,
    NotAuthorized,
    NotFound,
    StorageUnavailable,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from shared.domain.remedy import Reader, remedy
from shared.http.refusals import HeadersTooLarge, LengthRequired, TooLarge, UnsupportedMediaType, UriTooLong, status_of
from shared.http.responses import JSON
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX

type Part = dict[str, Any]

MAILBOX = "support@contoso.example"
GRAPH_ERROR = {"$ref": "#/components/schemas/GraphError"}
GRAPH_ERROR_SCHEMAS: Part = {
    "GraphError": {
        "type": "object",
        "description": "An error in Microsoft Graph's shape. Graph's own errors pass unchanged.",
        "properties": {
            "error": {
                "type": "object",
                "description": "`code` is for programs, `message` for people. `innerError` has `request-id`, which"
                " finds the request in the log.",
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                "required": ["code", "message"],
            }
        },
        "required": ["error"],
    }
}
NEEDS_SIGN_IN = NotAuthorized("needs_sign_in", remedy("needs_sign_in", Reader.CALLER).message)
# What the app answers by itself on these routes, with what to do about it.
REFUSALS: Sequence[MailbindError] = (
    BadMailRequest("The body is not a JSON object in UTF-8"),
    Unauthorized("Missing authentication"),
    NotConfined(f"This path is not part of confined access, which reaches messages and mail folders only; {TABLE}"),
    WrongSender(MAILBOX),
    MissingScope([Scope.MAIL_READ]),
    NEEDS_SIGN_IN,
    NotFound(NO_SUCH_MAILBOX),
    LinkNotValid(),
    LengthRequired(),
    TooLarge("The body is larger than 4096 KiB"),
    AnswerOverLimit(32 * 2**20),
    UriTooLong("The query is larger than 6 KiB, or has more than 64 parameters"),
    UnsupportedMediaType("The body has to be application/json or text/plain, and Content-Type has to say so"),
    TooManyRequests(timedelta(seconds=5)),
    HeadersTooLarge("The headers are larger than 24 KiB, or there are more than 80"),
    OutcomeUnknown(),
    AnswerNotUnderstood(),
    Unavailable(
        "graph_unavailable",
        "Microsoft Graph cannot be reached. Nothing was sent. Try again in a moment",
        timedelta(seconds=10),
    ),
    StorageUnavailable(),
)
# What only a part of a batch is answered.
PART_REFUSALS: Sequence[MailbindError] = (DependencyFailed(), PartNotSent())
EXAMPLE_INNER_ERROR = {"date": "2026-11-25T10:00:00", "request-id": "7f1c9a4e2b5d4c0e9b1f5a3d8c6e0b27"}


def responses_of(errors: Sequence[MailbindError]) -> Part:
    """The refusals by status; the first error of each status is the example. Graph's own errors have any status."""
    by_status: dict[int, list[MailbindError]] = {}
    for error in errors:
        by_status.setdefault(int(status_of(error)), []).append(error)
    described = {
        str(status): _response(f"{HTTPStatus(status).phrase}: {_codes(each)}", _example(each[0]))
        for status, each in sorted(by_status.items())
    }
    unknown_item = {"code": "ErrorItemNotFound", "message": "The specified object was not found in the store."}
    other = {"error": {**unknown_item, "innerError": EXAMPLE_INNER_ERROR}}
    return {**described, "default": _response("An error of Microsoft Graph, unchanged", other)}


def _codes(errors: Sequence[MailbindError]) -> str:
    return ", ".join(dict.fromkeys(f"`{error.code}`" for error in errors))


def _example(error: MailbindError) -> Part:
    return {"error": {"code": error.code, "message": str(error), "innerError": EXAMPLE_INNER_ERROR}}


def _response(about: str, example: Part) -> Part:
    return {"description": about, "content": {JSON: {"schema": GRAPH_ERROR, "example": example}}}
