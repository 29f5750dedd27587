"""Confined access in the description, made of the table of operations."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPMethod, HTTPStatus
from typing import Any

from shared.domain.caller import Scope
from shared.domain.confined.operations import OPERATIONS, AnswerKind, BodyKind, MailOperation
from shared.domain.confined.paths import ID_PATTERN
from shared.domain.confined.queries import SEALED_OPTIONS, SPELLINGS
from shared.domain.confined.refused import LinkNotValid, OutcomeUnknown, WrongSender
from shared.domain.errors import MailbindError, MissingScope
from shared.http.refusals import LengthRequired, UnsupportedMediaType, status_of
from shared.http.responses import JSON
from shared.reference.confined_refusals import MAILBOX, PART_REFUSALS, REFUSALS, Part, responses_of

TAG = "Confined access"
ABOUT = (
    "Microsoft Graph's mail, held to one bound mailbox: keep your Graph code, and change the host name and the token."
    " What is not listed here is refused. Errors have Microsoft Graph's shape."
)
BYTES, TEXT = "application/octet-stream", "text/plain"
# Graph: "message: get", example 1.
ITEM_ID = (
    "AAMkAGVmMDEzMTM4LTZmYWUtNDdkNC1hMDZiLTU1OGY5OTZhYmY4OABGAAAAAAAiQ8W967B7TKBjgx9rVEURBwAiIsqMbYjsT5e-T7KzowPTAAA="
)
TEXT_SCHEMA: Part = {"type": "string", "minLength": 1}
ID_SCHEMA: Part = {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}
SWITCH_SCHEMA: Part = {"type": "boolean"}
PLACES: Mapping[str, tuple[str, Part, str]] = {
    "mailbox": ("The address of the bound mailbox in any case, or the id of its account.", TEXT_SCHEMA, MAILBOX),
    "message": ("The id of a message.", ID_SCHEMA, ITEM_ID),
    "attachment": ("The id of an attachment.", ID_SCHEMA, ITEM_ID),
    "folder": ("The id of a folder, or a well-known name such as inbox.", ID_SCHEMA, "inbox"),
    "child": ("The id of a folder in the folder.", ID_SCHEMA, ITEM_ID),
}
QUERY_OPTIONS: Mapping[str, tuple[str, Part, Any]] = {
    "select": ("The properties to return.", TEXT_SCHEMA, "id"),
    "filter": ("A condition.", TEXT_SCHEMA, "isRead eq false"),
    "search": ("Words to search for.", TEXT_SCHEMA, '"order"'),
    "orderby": ("The order of the list.", TEXT_SCHEMA, "receivedDateTime desc"),
    "top": ("The size of a page.", {"type": "integer", "minimum": 1, "maximum": 1000}, 10),
    "skip": ("How many to leave out.", {"type": "integer", "minimum": 0}, 10),
    "count": ("Whether to return the number of all.", SWITCH_SCHEMA, True),
    "expand": ("What to include: ", TEXT_SCHEMA, "attachments"),
    "skiptoken": ("From a next link. It is valid for this account only.", TEXT_SCHEMA, "v1.aB3x"),
    "deltatoken": ("From a delta link. It is valid for this account only.", TEXT_SCHEMA, "v1.aB3x"),
    "changetype": (
        "Which changes to list.",
        {"type": "string", "enum": ["created", "updated", "deleted"]},
        "created",
    ),
    "includehiddenfolders": ("Whether to list hidden folders.", SWITCH_SCHEMA, True),
}
EXPAND_SPELLINGS = {
    "childfolders": "childFolders",
    "singlevalueextendedproperties": "singleValueExtendedProperties",
    "multivalueextendedproperties": "multiValueExtendedProperties",
    "microsoft.graph.itemattachment/item": "microsoft.graph.itemAttachment/item",
}
RECIPIENTS = [{"emailAddress": {"address": "customer@fabrikam.example"}}]
MESSAGE = {
    "subject": "Your order",
    "body": {"contentType": "text", "content": "It leaves today."},
    "toRecipients": RECIPIENTS,
}
BODIES: Mapping[BodyKind, Part] = {
    BodyKind.EMPTY: {},
    BodyKind.DRAFT: MESSAGE,
    BodyKind.CHANGES: {"isRead": True},
    BodyKind.FOLDER: {"displayName": "Orders"},
    BodyKind.ATTACHMENT: {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "order.txt",
        "contentBytes": "T3JkZXIgNDcxMQ==",
    },
    BodyKind.DESTINATION: {"destinationId": "archive"},
    BodyKind.SENT_MESSAGE: {"message": MESSAGE},
    BodyKind.REPLY: {"comment": "It leaves today."},
    BodyKind.FORWARD: {"comment": "Please answer.", "toRecipients": RECIPIENTS},
}
OPTIONAL_BODIES = {BodyKind.EMPTY, BodyKind.REPLY}
# What the batch as a whole may be answered; the rest is the answer of a part.
BATCH_STATUSES = frozenset({400, 401, 411, 413, 414, 415, 429, 431, 503})
ANSWERS: Mapping[AnswerKind, tuple[str, str, Any]] = {
    AnswerKind.JSON: (JSON, "object", {"id": ITEM_ID}),
    AnswerKind.BYTES: (BYTES, "string", "Subject: Your order"),
    AnswerKind.NUMBER: (TEXT, "string", "10"),
}


def paths() -> Part:
    """The operations of the table by path, and the batch."""
    described: Part = {}
    for each in OPERATIONS:
        path = f"/v1.0/users/{{mailbox}}/{each.shape}"
        described.setdefault(path, {})[each.method.lower()] = _operation(each)
    return {**described, "/v1.0/$batch": {"post": _batch()}}


def options_of(operation: MailOperation) -> list[str]:
    """The query options of an operation, by their keys in SPELLINGS and in its order."""
    return [name for name in SPELLINGS if name in operation.options and (name != "expand" or operation.expands)]


def expanded_names(operation: MailOperation) -> list[str]:
    """What `$expand` may name, as Graph spells it."""
    return sorted(EXPAND_SPELLINGS.get(name, name) for name in operation.expands)


def success_status(operation: MailOperation) -> HTTPStatus:
    """The status of Graph's answer (Graph: the pages of the operations, section Response)."""
    match operation:
        case MailOperation(method=HTTPMethod.DELETE):
            return HTTPStatus.NO_CONTENT
        case MailOperation(answer=AnswerKind.NOTHING):
            return HTTPStatus.ACCEPTED
        case MailOperation(method=HTTPMethod.POST):
            return HTTPStatus.CREATED
    return HTTPStatus.OK


def _operation(each: MailOperation) -> Part:
    described: Part = {
        "operationId": "".join(word.capitalize() for word in re.split(r"[.-]", each.name)),
        "summary": each.about,
        "description": " ".join(_sentences(each)),
        "tags": [TAG],
        "security": [{"bearer": [each.scope]}],
        "parameters": [*_parameters(each)],
        "responses": {str(int(success_status(each))): _answer(each), **_refusals(each)},
    }
    if each.body is not BodyKind.NONE:
        content = {JSON: {"schema": {"type": "object"}, "example": BODIES[each.body]}}
        described["requestBody"] = {"content": content, "required": each.body not in OPTIONAL_BODIES}
    return described


def _sentences(each: MailOperation) -> Iterator[str]:
    yield "As in Microsoft Graph v1.0."
    if each.body is not BodyKind.NONE:
        yield f"Body: {each.body}."
    if each.in_folders:
        yield (
            "The path may also lead through a folder (`/mailFolders/{folder}/…`), or through a folder in it"
            " (`/mailFolders/{folder}/childFolders/{child}/…`)."
        )


def _parameters(each: MailOperation) -> Iterator[Part]:
    for name in ("mailbox", *re.findall(r"{(\w+)}", each.shape)):
        yield {**_parameter("path", name, *PLACES[name]), "required": True}
    for name in options_of(each):
        about, schema, example = QUERY_OPTIONS[name]
        if name == "expand":
            names = expanded_names(each)
            about, example = f"{about}{', '.join(names)}.", names[0]
        yield _parameter("query", SPELLINGS[name], about, schema, example)


def _parameter(where: str, name: str, about: str, schema: Part, example: object) -> Part:
    return {"in": where, "name": name, "description": about, "required": False, "schema": schema, "example": example}


def _answer(each: MailOperation) -> Part:
    if each.answer is AnswerKind.NOTHING:
        return {"description": "Done."}
    media_type, kind, example = ANSWERS[each.answer]
    if each.answer is AnswerKind.JSON and "top" in each.options:
        example = {"value": [example]}
    return {
        "description": "Graph's answer, with links that lead back to Mailbind.",
        "content": {media_type: {"schema": {"type": kind}, "example": example}},
    }


def _refusals(each: MailOperation) -> Part:
    impossible: set[type[MailbindError]] = set()
    if each.method is HTTPMethod.GET:
        impossible |= {WrongSender, LengthRequired, UnsupportedMediaType}
    if each.is_repeatable:
        impossible.add(OutcomeUnknown)
    if not SEALED_OPTIONS & each.options:
        impossible.add(LinkNotValid)
    possible = [error for error in REFUSALS if type(error) not in impossible]
    return responses_of(
        [MissingScope([each.scope]) if isinstance(error, MissingScope) else error for error in possible]
    )


def _batch() -> Part:
    part = {"id": "1", "method": "GET", "url": f"/users/{MAILBOX}/messages?$top=1"}
    answer = {"id": "1", "status": 200, "headers": {"Content-Type": JSON}, "body": {"value": [{"id": ITEM_ID}]}}
    codes = " and ".join(f"{int(status_of(error))} `{error.code}`" for error in PART_REFUSALS)
    return {
        "operationId": "MakeBatch",
        "summary": "Make up to twenty calls in one request",
        "description": "Each part is checked, made and audited as a call of its own, and every part is answered, also"
        f" with {codes}. `dependsOn` names parts that have to succeed first.",
        "tags": [TAG],
        "security": [{"bearer": [scope]} for scope in (Scope.MAIL_READ, Scope.MAIL_WRITE, Scope.MAIL_SEND)],
        "parameters": [],
        "requestBody": {
            "content": {JSON: {"schema": {"type": "object"}, "example": {"requests": [part]}}},
            "required": True,
        },
        "responses": {
            "200": {
                "description": "The answers of all parts, each with its own status.",
                "content": {JSON: {"schema": {"type": "object"}, "example": {"responses": [answer]}}},
            },
            **responses_of([error for error in REFUSALS if int(status_of(error)) in BATCH_STATUSES]),
        },
    }
