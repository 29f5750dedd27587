"""Send a message at most once, whatever crashes: claim its row, compose its draft, send it, look what became of it.

What Graph promises decides the order. `POST …/send` answers 202 before the message has left, and takes no key of ours
(Graph: "message: send"), so a send that got no answer is never repeated. The draft's immutable id finds the copy in
Sent Items, though that "may not succeed immediately" (Graph: "Obtain immutable identifiers for Outlook resources"). So
the row says `sending` before the call, and afterwards the message is looked at a few times. What is no draft any more
was sent. What still is one has an unknown outcome: that is reported, and the timer and its key's requests look again.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.confined.refused import OutcomeUnknown
from shared.domain.errors import Conflict, MailbindError, StaleWrite, Unavailable
from shared.domain.failure import GRAPH_UNAVAILABLE
from shared.domain.mail.submission import LEASE, Submission, SubmissionState, submission_id
from shared.ports import App, Stored
from shared.usecases.mail.send_once import checked_draft, discard, fail, look_again, send, settle
from shared.usecases.mail.session import MailSession

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
        super().__init__("A request with this Idempotency-Key is still in progress. Ask again with the same key")


class Order(NamedTuple):
    """What a request asks for. `fingerprint` tells requests with one `key` apart. `draft` is a draft that it names.

    `message_id` is the Internet-Message-ID that it asks for.
    """

    caller: str
    key: str | None
    fingerprint: str
    send_at: datetime
    draft: str | None = None
    message_id: str | None = None


class Submitted(NamedTuple):
    """A submission that was sent or waits for its time. `is_repeated`: an earlier request with the same key did it."""

    submission: Submission
    is_repeated: bool


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
        given_message_id=order.message_id,
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
            again = current.composing_again(
                order.fingerprint, order.send_at, now, (await session.account()).email, order.message_id
            )
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


async def _queued(app: App, stored: Stored[Submission], draft: str) -> Submission:
    queued = stored.value.queued(draft, app.clock())
    await look_again(app, queued)
    return (await app.stores.submissions.replace(stored, queued)).value
