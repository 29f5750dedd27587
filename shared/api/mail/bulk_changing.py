"""PUT /v1/account/{account}/messages, and its move and delete: change, move and delete many messages."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import NOT_BLANK, AccountId, Code, Count
from shared.api.mail.changing import AppliedChange, MessageUpdate, TargetPath, applied, destination, message_change
from shared.api.mail.message_fields import MESSAGE_ID, FolderPath, MessageId
from shared.api.mail.resource import resource
from shared.api.mail.search_fields import SearchFields, search_of
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.mail.folders import ALL, special_use_of
from shared.domain.mail.search import translated
from shared.http.audit import add_to_audit
from shared.http.bounds import MESSAGE_BOUNDS
from shared.http.decoding import Body, Faults
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.mail import bulk_changes
from shared.usecases.mail.bulk_changes import BulkResult, Target
from shared.usecases.mail.session import Identify, MailSession

ROUTE = "/v1/account/{account}/messages"

EmailIds = Annotated[list[MessageId], Meta(description="The messages for which this was done.")]


class BulkQuery(Body, kw_only=True):
    """Where to look."""

    path: (
        Annotated[
            str,
            Meta(
                description="The folder to search: a path, a special use, or \\All. Required unless the search is"
                " emailIds, which are found wherever they are.",
                examples=["INBOX"],
                max_length=1024,
                pattern=NOT_BLANK,
            ),
        ]
        | UnsetType
    ) = UNSET


class BulkDeletionQuery(BulkQuery, kw_only=True):
    """Where to look, and how to delete."""

    force: (
        Annotated[bool, Meta(description="Whether to delete them for good at once.", examples=[False])] | UnsetType
    ) = UNSET


class BulkUpdate(Body, kw_only=True):
    """Which messages, and what to change."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"unseen": True}, "update": {"flags": {"add": ["\\Seen"]}}}

    search: SearchFields
    update: MessageUpdate


class BulkMove(Body, kw_only=True):
    """Which messages, and where to move them."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"from": "news@fabrikam.example"}, "path": "Archive"}

    search: SearchFields
    path: TargetPath


class BulkDeletion(Body, kw_only=True):
    """Which messages."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"before": "2026-01-01T00:00:00Z"}}

    search: SearchFields


class FailedMessage(Answer, kw_only=True):
    """A message for which it failed."""

    email_id: MessageId
    code: Code
    message: Annotated[str, Meta(description="What happened.", examples=["No such message in this mailbox"])]


class NotTried(Answer, kw_only=True):
    """The messages that had no turn, and why."""

    code: Annotated[str, Meta(description="A stable code for programs.", examples=["out_of_time"])]
    message: Annotated[str, Meta(description="Why.", examples=["The time of one request is up"])]
    retry_after: (
        Annotated[int, Meta(description="After how many seconds to try again.", examples=[10], ge=0)] | UnsetType
    ) = UNSET
    email_ids: Annotated[list[MessageId], Meta(description="The messages.", examples=[[MESSAGE_ID]])]


class Totals(Answer, kw_only=True):
    """How many messages."""

    done: Annotated[Count, Meta(description="Those for which it was done.")]
    unchanged: Annotated[Count, Meta(description="Those that were found, and already as they have to be.")]
    failed: Annotated[Count, Meta(description="Those for which it failed.")]
    not_tried: Annotated[Count, Meta(description="Those that had no turn.")]


class BulkAnswer(Answer, kw_only=True):
    """What happened to each message."""

    failed: Annotated[list[FailedMessage], Meta(description="The messages for which it failed.")]
    not_tried: NotTried | UnsetType = UNSET
    totals: Totals
    complete: Annotated[
        bool,
        Meta(description="Whether every message that matches had its turn. If not, send the same request again."),
    ]


class UpdatedMessages(BulkAnswer, kw_only=True):
    """The change, and what happened to each message."""

    flags: AppliedChange | UnsetType = UNSET
    labels: AppliedChange | UnsetType = UNSET
    email_ids: EmailIds


class MovedMessages(BulkAnswer, kw_only=True):
    """The folder, and what happened to each message."""

    path: FolderPath
    email_ids: EmailIds


class MessagesInTrash(Answer, kw_only=True):
    """Where the messages are now."""

    destination: Annotated[str, Meta(description="The path of Deleted Items.", examples=["Deleted Items"])]
    email_ids: EmailIds


class MessagesGone(Answer, kw_only=True):
    """The messages that were deleted for good."""

    email_ids: EmailIds


class DeletedMessages(BulkAnswer, kw_only=True):
    """What happened to each message."""

    deleted: Annotated[bool, Meta(description="Whether any message was deleted.", examples=[True])]
    moved: MessagesInTrash | UnsetType = UNSET
    deleted_messages: MessagesGone | UnsetType = UNSET


@resource.put(ROUTE, Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=MESSAGE_BOUNDS, refusals=[400, 404])
async def change_messages(
    app: App, identify: Identify, account_id: AccountId, query: BulkQuery, body: BulkUpdate, faults: Faults
) -> UpdatedMessages:
    """Change the flags and labels of many messages.

    A search needs the scope mail:read too; emailIds do not. The answer says for each message what happened. If it is
    not `complete`, the same request again continues.
    """
    target = _target(query, body.search, faults)
    wanted = message_change(body.update or MessageUpdate(), faults, "update.")
    result = await bulk_changes.change_messages(_session(app, identify, account_id, target), target, wanted)
    return UpdatedMessages(
        flags=applied(body.update.flags),
        labels=applied(body.update.labels),
        email_ids=list(result.outcome.done),
        **_bulk_fields(result),
    )


@resource.put(f"{ROUTE}/move", Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=MESSAGE_BOUNDS, refusals=[400, 404])
async def move_messages(
    app: App, identify: Identify, account_id: AccountId, query: BulkQuery, body: BulkMove, faults: Faults
) -> MovedMessages:
    """Move many messages to another folder.

    A search needs the scope mail:read too; emailIds do not. The answer says for each message what happened. If it is
    not `complete`, the same request again continues.
    """
    target = _target(query, body.search, faults)
    faults.refuse()
    session = _session(app, identify, account_id, target)
    folder = await destination(session, body.path)
    result = await bulk_changes.move_messages(session, target, folder)
    return MovedMessages(path=folder.path, email_ids=list(result.outcome.done), **_bulk_fields(result))


@resource.put(f"{ROUTE}/delete", Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=MESSAGE_BOUNDS, refusals=[400, 404])
async def delete_messages(
    app: App, identify: Identify, account_id: AccountId, query: BulkDeletionQuery, body: BulkDeletion, faults: Faults
) -> DeletedMessages:
    """Delete many messages.

    Moves the messages to Deleted Items. With `force`, or if `path` is Deleted Items itself, they are deleted for good.
    A search needs the scope mail:read too; emailIds do not. The answer says for each message what happened. If it is
    not `complete`, the same request again continues.
    """
    target = _target(query, body.search, faults)
    faults.refuse()
    session = _session(app, identify, account_id, target)
    result, trash = await bulk_changes.delete_messages(session, target, force=query.force is True)
    done = list(result.outcome.done)
    return DeletedMessages(
        deleted=bool(done),
        moved=MessagesInTrash(destination=trash.path, email_ids=done) if trash else UNSET,
        deleted_messages=UNSET if trash else MessagesGone(email_ids=done),
        **_bulk_fields(result),
    )


def _session(app: App, identify: Identify, account_id: str, target: Target) -> MailSession:
    """Finding messages is reading. Whoever may only write has to know the ids."""

    async def identify_reader() -> Caller:
        caller = await identify()
        caller.require_scope(Scope.MAIL_READ)
        return caller

    return MailSession(app, identify if target.search.ids else identify_reader, account_id, Scope.MAIL_WRITE)


def _target(query: BulkQuery, fields: SearchFields, faults: Faults) -> Target:
    """The messages that a request means. Adds faults."""
    search = search_of(fields) if fields else {}
    path = query.path or ""
    if "emailIds" in search:
        if path and special_use_of(path) != ALL.special_use:
            faults.add("path", "must be absent beside emailIds: they are found wherever they are")
        path = ALL.path
    elif not path:
        faults.add("path", "is required; \\All is the whole mailbox")
    return Target(path, translated({} if faults else search))


def _bulk_fields(result: BulkResult) -> dict[str, Any]:
    """The fields of a BulkAnswer. The number of messages goes into the audit record."""
    outcome, selection = result.outcome, result.selection
    add_to_audit(messages=len(outcome.done))
    return {
        "failed": [
            FailedMessage(email_id=each, code=failure.code or "", message=str(failure))
            for each, failure in outcome.failed.items()
        ],
        "not_tried": _not_tried(result),
        "totals": Totals(
            done=len(outcome.done),
            unchanged=selection.unchanged,
            failed=len(outcome.failed),
            not_tried=len(outcome.not_tried),
        ),
        "complete": selection.is_complete and not outcome.not_tried,
    }


def _not_tried(result: BulkResult) -> NotTried | UnsetType:
    reason = result.outcome.reason
    if reason is None or not result.outcome.not_tried:
        return UNSET
    wait = reason.retry_after
    return NotTried(
        code=reason.code or "",
        message=str(reason),
        retry_after=UNSET if wait is None else math.ceil(wait.total_seconds()),
        email_ids=list(result.outcome.not_tried),
    )
