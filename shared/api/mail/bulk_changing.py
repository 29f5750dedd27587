"""PUT /v1/account/{account}/messages, and its move and delete: change, move and delete many messages."""

import math
from typing import Any

from msgspec import UNSET, UnsetType

from shared.api.field_types import AccountId
from shared.api.mail.bulk_fields import (
    BulkDeletion,
    BulkDeletionQuery,
    BulkMove,
    BulkQuery,
    BulkUpdate,
    DeletedMessages,
    FailedMessage,
    MessagesGone,
    MessagesInTrash,
    MovedMessages,
    NotTried,
    Totals,
    UpdatedMessages,
)
from shared.api.mail.changing import MessageUpdate, applied, message_change
from shared.api.mail.resource import resource
from shared.api.mail.search_fields import SearchFields, search_of
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.mail.folders import ALL, special_use_of
from shared.domain.mail.search import translated
from shared.http.audit import add_to_audit
from shared.http.bounds import SEARCH_BOUNDS
from shared.http.decoding import Faults
from shared.ports import App
from shared.usecases.mail import bulk_changes
from shared.usecases.mail.bulk_changes import BulkResult, Target
from shared.usecases.mail.folders import resolve_destination
from shared.usecases.mail.session import Identify, MailSession

ROUTE = "/v1/account/{account}/messages"


@resource.put(ROUTE, Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=SEARCH_BOUNDS, refusals=[400, 404])
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


@resource.put(f"{ROUTE}/move", Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=SEARCH_BOUNDS, refusals=[400, 404])
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
    folder = await resolve_destination(session, body.path)
    result = await bulk_changes.move_messages(session, target, folder)
    return MovedMessages(path=folder.path, email_ids=list(result.outcome.done), **_bulk_fields(result))


@resource.put(f"{ROUTE}/delete", Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=SEARCH_BOUNDS, refusals=[400, 404])
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
    """A session that needs the scope mail:read too, unless the caller names the messages by their ids."""

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
