"""Which refusals an operation may answer, and an example of each: the body that the app itself makes of the error."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPMethod, HTTPStatus
from typing import Any

import msgspec

from shared.api import access_tokens, add_account, oauth_apps
from shared.api.mail import contents, drafts, submit
from shared.domain.confined.refused import OutcomeUnknown, WrongSender
from shared.domain.errors import (
    AppInUse,
    BindingConflict,
    Conflict,
    InvalidInput,
    MailbindError,
    MissingScope,
    NotAuthorized,
    NotBound,
    NotFound,
    StorageUnavailable,
    TooManyRequests,
    Unauthorized,
)
from shared.domain.mail.composition import MessageTooLarge
from shared.domain.mail.refused import AttachmentIsLink, ContentOverLimit
from shared.domain.remedy import Reader, remedy
from shared.http.decoding import Faults, decode
from shared.http.operations import Operation
from shared.http.refusals import HeadersTooLarge, LengthRequired, TooLarge, UnsupportedMediaType, UriTooLong, status_of
from shared.http.responses import problem

# What a request can do wrong on any route, and what can be wrong with Mailbind.
SHARED: Mapping[int, MailbindError] = {
    401: Unauthorized("Missing authentication"),
    411: LengthRequired(),
    413: TooLarge("The body is larger than 64 KiB"),
    414: UriTooLong("A segment of the path is longer than 256 characters"),
    415: UnsupportedMediaType("The body has to be application/json, and Content-Type has to say so"),
    429: TooManyRequests(timedelta(minutes=1)),
    431: HeadersTooLarge("The headers are larger than 24 KiB, or there are more than 80"),
    503: StorageUnavailable(),
}
MAX_CONTENT_BYTES = 32 * 2**20  # by default
OF_BOUNDS = {413, 414, 431}
OF_CALLERS = {401, 403, 429, 503}
OF_METHODS: Mapping[HTTPMethod, set[int]] = {
    HTTPMethod.GET: set(),
    HTTPMethod.DELETE: {415},
    HTTPMethod.POST: {411, 415},
    HTTPMethod.PUT: {411, 415},
}


def _about_account(error: Callable[[str, str], MailbindError], code: str) -> MailbindError:
    return error(code, remedy(code, Reader.CALLER).message)


# What only these handlers answer, or what their callers most need to know.
OWN: Mapping[Callable[..., Any], Sequence[MailbindError]] = {
    access_tokens.get_access_token: (_about_account(NotAuthorized, "needs_sign_in"), access_tokens.MailboxChanged()),
    access_tokens.answer_claims_challenge: (
        _about_account(NotAuthorized, "claims_challenge"),
        access_tokens.MailboxChanged(),
    ),
    add_account.add_account: (
        _about_account(NotBound, "no_mailbox_access"),
        _about_account(BindingConflict, "other_mailbox"),
    ),
    oauth_apps.remove_oauth_app: (AppInUse(3),),
    contents.get_message_source: (ContentOverLimit(MAX_CONTENT_BYTES),),
    drafts.write_draft: (
        InvalidInput({"messageId": '"messageId" must be a Message-ID such as <id@example.com>'}),
        MessageTooLarge("A stored attachment is 3 MB or larger"),
        WrongSender("support@contoso.example"),
        OutcomeUnknown(),
    ),
    contents.get_attachment: (ContentOverLimit(MAX_CONTENT_BYTES), AttachmentIsLink()),
    submit.submit_message: (MessageTooLarge("A stored attachment is 3 MB or larger"), OutcomeUnknown()),
    submit.submit_draft: (OutcomeUnknown(),),
}
SUBJECTS = {"app": "OAuth app"}  # what a path's parameter is called in messages, where it is another word


def refusal_statuses(operation: Operation) -> list[int]:
    """The statuses that answer what cannot be done."""
    of_callers = OF_CALLERS if operation.scopes else set()
    return sorted({*of_callers, *OF_BOUNDS, *OF_METHODS[operation.method], *operation.refusals} - {operation.status})


def refusal_example(operation: Operation, status: int, schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """The body of a refusal with this status."""
    own = {int(status_of(error)): error for error in OWN.get(operation.handler, ())}
    error = own.get(status) or SHARED.get(status) or _usual_error(operation, status, schemas)
    return msgspec.json.decode(problem(error).get_body())


def _usual_error(operation: Operation, status: int, schemas: Mapping[str, Any]) -> MailbindError:
    match status:
        case HTTPStatus.BAD_REQUEST:
            return InvalidInput(_faults(operation, schemas))
        case HTTPStatus.FORBIDDEN:
            return MissingScope([operation.further_scope] if operation.further_scope else operation.scopes)
        case HTTPStatus.NOT_FOUND:
            *_, parameter = re.findall(r"{(\w+)}", operation.path) or ["account"]
            return NotFound(f"No such {SUBJECTS.get(parameter, parameter)}")
        case HTTPStatus.CONFLICT:
            return Conflict()
    raise LookupError(f"{operation.name} has no example for {status}")


def _faults(operation: Operation, schemas: Mapping[str, Any]) -> Faults:
    """What the decoder says when the required fields are missing or, if there are none, the first field is wrong."""
    body_type = operation.types.get("body") or operation.types["query"]
    schema, faults = schemas[body_type.__name__], Faults()
    wrong: Mapping[str, Any] = {} if schema.get("required") else {next(iter(schema["properties"])): [{}]}
    decode(body_type, wrong, faults)
    return faults
