"""Send a message at most once, whatever crashes: claim its row, compose its draft, send it, look what became of it.

What Graph promises decides the order. `POST …/send` answers 202 before the message has left, and takes no key of ours
(Graph: "message: send"), so a send that got no answer is never repeated. The draft's immutable id finds the copy in
Sent Items, though that "may not succeed immediately" (Graph: "Obtain immutable identifiers for Outlook resources"). So
the row says `sending` before the call, and afterwards the message is looked at a few times. What is no draft any more
was sent. What still is one has an unknown outcome: that is reported, and the timer and its key's requests look again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPMethod, HTTPStatus
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.confined.json_bodies import member
from shared.domain.confined.messages import check_sender
from shared.domain.confined.refused import AnswerOverLimit, OutcomeUnknown
from shared.domain.errors import Conflict, MailbindError, NotFound, StaleWrite, Unavailable
from shared.domain.event import Event, EventName, Origin, message_data
from shared.domain.failure import GRAPH_UNAVAILABLE
from shared.domain.formats import same_address
from shared.domain.mail.graph_error import error_of
from shared.domain.mail.submission import LEASE, Submission, SubmissionState, submission_id
from shared.domain.work import Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.events.outbox import queue_event
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX
from shared.usecases.mail.session import MailCall, MailSession

log = logging.getLogger(__name__)

ACCEPTED = "Accepted by Microsoft Graph"
SEEN = "isDraft,internetMessageId,from,toRecipients,ccRecipients,bccRecipients"
RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients")

type Compose = Callable[[str], Awaitable[str]]
"""Makes the draft with this Internet-Message-ID, and returns its id."""


class KeyReused(Conflict):
    """An idempotency key that came with another request before."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another message. Use a new key for each message")


class StillSending(Conflict):
    """Another request, or one that died a moment ago, has the message in work."""

    code = "submission_in_progress"
    retry_after = LEASE

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being worked. Ask again with the same key")


class DraftGone(NotFound):
    """The draft was deleted, or was sent by somebody else."""

    code = "draft_gone"

    def __init__(self) -> None:
        super().__init__("There is no such draft in this mailbox: it was deleted, or sent already. Nothing was sent")


class Order(NamedTuple):
    """What a request asks for. `fingerprint` tells requests with one `key` apart. `draft` is a draft that it names."""

    caller: str
    key: str | None
    fingerprint: str
    send_at: datetime
    draft: str | None = None


class Submitted(NamedTuple):
    """A submission that was sent or waits for its time. `is_repeated`: an earlier request with the same key did it."""

    submission: Submission
    is_repeated: bool


class Seen(NamedTuple):
    """A message as it was looked at."""

    is_draft: bool
    message_id: str | None
    sender: object
    recipients: tuple[str, ...]


async def submit(app: App, session: MailSession, order: Order, compose: Compose) -> Submitted:
    """Send a message, or keep its draft until its time.

    Raises KeyReused and StillSending, what composing raises, DraftGone, WrongSender, and Graph's refusals: then nothing
    was sent and the key is free again. Raises OutcomeUnknown if nobody knows.
    """
    stored, is_new = await _claimed(app, session, await session.account(), order)
    if is_new:
        return Submitted(await _composed_and_sent(app, session, stored, order, compose), is_repeated=False)
    if stored.value.state in {SubmissionState.SENDING, SubmissionState.UNKNOWN}:
        return Submitted(await settle(app, session, stored), is_repeated=True)
    return Submitted(stored.value, is_repeated=True)


async def _claimed(app: App, session: MailSession, account: Account, order: Order) -> tuple[Stored[Submission], bool]:
    """The row, and whether this request has to compose its message."""
    identity = submission_id(order.caller, account.id, order.key) if order.key is not None else app.entropy(20).hex()
    stored = await app.stores.submissions.get(identity) if order.key is not None else None
    try:
        if stored is None:
            return await _inserted(app, identity, account, order), True
        return await _taken(app, session, stored, order)
    except StaleWrite:
        raise StillSending from None


async def _inserted(app: App, identity: str, account: Account, order: Order) -> Stored[Submission]:
    submission = Submission(
        id=identity,
        account=account.id,
        mailbox=account.email,
        caller=order.caller,
        fingerprint=order.fingerprint,
        state=SubmissionState.COMPOSING,
        leased=app.clock() + LEASE,
        send_at=order.send_at,
        is_given=order.draft is not None,
    )
    await look_again(app, submission)
    return await app.stores.submissions.insert(submission)


async def _taken(
    app: App, session: MailSession, stored: Stored[Submission], order: Order
) -> tuple[Stored[Submission], bool]:
    """Take over what crashed, try anew what failed, and leave the rest as it is."""
    current, now = stored.value, app.clock()
    if current.holds_key and current.fingerprint != order.fingerprint:
        raise KeyReused
    if current.is_worked(now):
        raise StillSending
    match current.state:
        case SubmissionState.COMPOSING | SubmissionState.FAILED:
            again = current.composing_again(order.fingerprint, order.send_at, now)
            await look_again(app, again)
            taken = await app.stores.submissions.replace(stored, again)
            await discard(session, current)
            return taken, True
        case SubmissionState.SENDING:
            return await app.stores.submissions.replace(stored, current.taken(now)), False
    return stored, False


async def _composed_and_sent(
    app: App, session: MailSession, stored: Stored[Submission], order: Order, compose: Compose
) -> Submission:
    draft = order.draft or await _composed(app, session, stored, compose)
    try:
        seen = await checked_draft(session, stored.value, draft)
    except MailbindError as error:
        await fail(app, session, stored, draft, error)
        raise
    try:
        if order.send_at > app.clock():
            return await _queued(app, stored, draft)
        return await send(app, session, stored, draft, seen)
    except StaleWrite:  # this request took longer than its lease, and another one began anew with a draft of its own
        await discard(session, replace(stored.value, draft=draft))
        raise StillSending from None


async def _composed(app: App, session: MailSession, stored: Stored[Submission], compose: Compose) -> str:
    """The id of the new draft. If it cannot be made, the row is deleted, and the draft too if there is one."""
    try:
        return await compose(stored.value.internet_message_id)
    except MailbindError as error:
        with suppress(StaleWrite, Unavailable):  # another worker has the row by now, or the timer discards
            await app.stores.submissions.remove(stored)
            await discard(session, stored.value)
        if isinstance(error, OutcomeUnknown):
            message = "Microsoft Graph did not answer. Nothing was sent; try again"
            raise Unavailable(GRAPH_UNAVAILABLE, message) from None
        raise


async def checked_draft(session: MailSession, submission: Submission, draft: str) -> Seen:
    """The draft, if it may be sent. Somebody may have changed it with Outlook, or the account's mailbox.

    Raises DraftGone, WrongSender, and NotFound if the account has another mailbox now.
    """
    account = await session.account()
    if not same_address(account.email, submission.mailbox):
        raise NotFound(NO_SUCH_MAILBOX)
    seen = await look(session, draft)
    if seen is None or not seen.is_draft:
        raise DraftGone
    check_sender(seen.sender, account.email)
    return seen


async def _queued(app: App, stored: Stored[Submission], draft: str) -> Submission:
    queued = stored.value.queued(draft, app.clock())
    await look_again(app, queued)
    return (await app.stores.submissions.replace(stored, queued)).value


async def send(app: App, session: MailSession, stored: Stored[Submission], draft: str, seen: Seen) -> Submission:
    """Send a draft that was checked. Only the worker whose write succeeds makes the call, and makes it once.

    Raises StaleWrite if another worker has the row, Graph's refusals and what the session raises: nothing was sent.
    Raises OutcomeUnknown.
    """
    stored = await app.stores.submissions.replace(stored, stored.value.sending(draft, seen.message_id, app.clock()))
    try:
        answer = await session.attempt(MailCall(HTTPMethod.POST, ("messages", draft, "send")))
    except (OutcomeUnknown, AnswerOverLimit):
        return await settle(app, session, stored)
    except MailbindError as error:  # the call was not made
        await fail(app, session, stored, draft, error, seen)
        raise
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # Graph may have done it all the same
        return await settle(app, session, stored)
    if refusal := error_of(answer.status, answer.headers, answer.body, await session.account()):
        await fail(app, session, stored, draft, refusal, seen)
        raise refusal
    return await _sent(app, stored, seen)


async def settle(app: App, session: MailSession, stored: Stored[Submission]) -> Submission:
    """Find out whether a message was sent whose sending got no answer. Raises OutcomeUnknown if it looks unsent."""
    submission = stored.value
    was_seen = False
    for pause in (timedelta(), *app.timeouts.looks_at_sent):
        await asyncio.sleep(pause.total_seconds())
        with suppress(MailbindError):
            seen = await look(session, submission.draft or "")
            was_seen = True
            if seen is not None and not seen.is_draft:
                return await _sent(app, stored, seen)
    if was_seen and submission.state is SubmissionState.SENDING:
        await give_up(app, stored)
    raise OutcomeUnknown


async def give_up(app: App, stored: Stored[Submission]) -> None:
    """Record that nobody knows whether a message was sent."""
    unknown = stored.value.unknown(app.clock())
    with suppress(StaleWrite, Unavailable):  # the timer looks at it again
        event = await _event(app, unknown, EventName.MESSAGE_FAILED, str(OutcomeUnknown()))
        await app.stores.submissions.replace(stored, unknown, [event])
    log.warning("message of unknown outcome", extra={"submission": unknown.id, "account": unknown.account})


async def _sent(app: App, stored: Stored[Submission], seen: Seen) -> Submission:
    """Record that the message was sent. If that is impossible now, the caller is told so all the same."""
    sent = stored.value.sent(seen.message_id, app.clock())
    try:
        event = await _event(app, sent, EventName.MESSAGE_SENT, ACCEPTED, seen)
        await app.stores.submissions.replace(stored, sent, [event])
    except (StaleWrite, Unavailable):
        log.warning("sent message not recorded", extra={"submission": sent.id, "account": sent.account})
    return sent


async def fail(
    app: App,
    session: MailSession,
    stored: Stored[Submission],
    draft: str | None,
    error: MailbindError,
    seen: Seen | None = None,
) -> None:
    """Record why nothing was sent, and delete the draft. A draft that the caller named stays."""
    failed = stored.value.failed(error.code or "failed", app.clock())
    try:
        event = await _event(app, failed, EventName.MESSAGE_FAILED, str(error), seen)
        await app.stores.submissions.replace(stored, failed, [event])
    except (StaleWrite, Unavailable):  # another worker has it, or the timer will
        return
    await discard(session, replace(failed, draft=draft))


async def look(session: MailSession, message: str) -> Seen | None:
    """A message by its immutable id, in any folder; None if there is none. Raises what the session raises."""
    answer = await session.attempt(MailCall(HTTPMethod.GET, ("messages", message), {"$select": SEEN}))
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if error := error_of(answer.status, answer.headers, answer.body, await session.account()):
        raise error
    found = decoded(answer.body)
    recipients = [_address(each) for name in RECIPIENTS for each in member(found, name) or ()]
    message_id = member(found, "internetMessageId")
    return Seen(
        is_draft=member(found, "isDraft") is True,
        message_id=message_id if isinstance(message_id, str) else None,
        sender=member(found, "from"),
        recipients=tuple(dict.fromkeys(recipients)),
    )


async def discard(session: MailSession, submission: Submission) -> None:
    """Delete the draft of a submission that failed or was interrupted, as far as the mailbox can be reached.

    Drafts whose creation got no answer are found by their Internet-Message-ID.
    """
    if submission.is_given:
        return
    with suppress(MailbindError):
        message_id = submission.internet_message_id
        drafts = [submission.draft] if submission.draft else await find_drafts(session, message_id)
        for draft in drafts:
            seen = await look(session, draft)
            if seen is not None and seen.is_draft:  # otherwise somebody sent it by hand
                await session.call(MailCall(HTTPMethod.DELETE, ("messages", draft)))


async def find_drafts(session: MailSession, message_id: str) -> list[str]:
    """The ids of the drafts with this Internet-Message-ID."""
    where = {"$filter": f"internetMessageId eq '{message_id}'", "$select": "id"}
    page = await session.get("mailFolders", "drafts", "messages", query=where)
    return [str(member(each, "id")) for each in member(page, "value") or ()]


async def look_again(app: App, submission: Submission) -> None:
    """Let the timer look at it when it is due. Written before the row, so that no crash leaves a row without it."""
    await app.stores.agenda.add(Work(WorkKind.SEND, submission.due, submission.id))


async def _event(app: App, submission: Submission, name: EventName, response: str, seen: Seen | None = None) -> Event:
    data = message_data(submission, seen.recipients if seen else (), response)
    return await queue_event(app, Origin.SUBMISSION, submission.id, name, data, submission.account)


def _address(recipient: object) -> str:
    return str(member(member(recipient, "emailAddress"), "address"))
