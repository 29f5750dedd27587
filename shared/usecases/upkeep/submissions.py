"""Submissions: send what is due, settle what crashed, and delete what ended a day ago."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

from shared.domain.caller import Caller, Scope
from shared.domain.confined.refused import OutcomeUnknown
from shared.domain.errors import Forbidden, MailbindError, StaleWrite, TooManyRequests, Unavailable
from shared.domain.failure import GRAPH_UNAVAILABLE
from shared.domain.mail.submission import MAX_RETRY_PERIOD, Submission, SubmissionState
from shared.domain.work import Work
from shared.ports import App, Stored
from shared.usecases.callers.identify import standing_caller
from shared.usecases.mail.send_once import (
    Interrupted,
    checked_draft,
    discard,
    fail,
    give_up,
    look_again,
    send,
    settle,
)
from shared.usecases.mail.session import MailSession
from shared.usecases.upkeep.agenda import EARLY

# Outcomes of agenda rows.
LEFTOVER, PUT_OFF, SETTLED = "leftover", "putOff", "settled"


async def work_submission(app: App, work: Work, _until: datetime) -> str | None:
    """Send, settle or delete a submission. Works the agenda's `send` rows; the row of the submission decides."""
    stored = await app.stores.submissions.get(work.owner)
    if stored is None:
        return LEFTOVER
    submission, now = stored.value, app.clock()
    session = MailSession(app, _standing(app, submission.caller), submission.account, Scope.MAIL_SEND)
    if submission.state is SubmissionState.UNKNOWN:
        with suppress(OutcomeUnknown):
            await settle(app, session, stored)
    elif now >= submission.due and submission.ended is None:
        await _end(app, session, stored)
    return await _put_off_or_deleted(app, session, work, now)


async def _end(app: App, session: MailSession, stored: Stored[Submission]) -> None:
    """Send what is due; settle what a crashed request left behind."""
    match stored.value.state:
        case SubmissionState.QUEUED:
            await _send_due(app, session, stored)
        case SubmissionState.SENDING:
            with suppress(OutcomeUnknown):
                await settle(app, session, stored)
            await _give_up_in_the_end(app, stored)
        case _:
            await fail(app, session, stored, None, Interrupted())


async def _send_due(app: App, session: MailSession, stored: Stored[Submission]) -> None:
    """Authority is checked now. Graph's refusals and a lost account end it; what passes is retried for an hour."""
    draft = stored.value.draft or ""
    try:
        seen = await checked_draft(session, stored.value, draft)
    except (Unavailable, TooManyRequests) as error:
        if app.clock() < stored.value.send_at + MAX_RETRY_PERIOD:
            raise
        await fail(app, session, stored, draft, error)
        return
    except MailbindError as error:
        await fail(app, session, stored, draft, error)
        return
    with suppress(MailbindError, StaleWrite):  # the row says what became of it
        await send(app, session, stored, draft, seen)


async def _give_up_in_the_end(app: App, stored: Stored[Submission]) -> None:
    """The mailbox cannot be opened any more, so nobody can look."""
    current = await app.stores.submissions.get(stored.value.id)
    too_late = app.clock() >= stored.value.leased + MAX_RETRY_PERIOD
    if current is not None and current.value.state is SubmissionState.SENDING and too_late:
        await give_up(app, current)


async def _put_off_or_deleted(app: App, session: MailSession, work: Work, now: datetime) -> str:
    """The submission's next row of the agenda, or its deletion."""
    stored = await app.stores.submissions.get(work.owner)
    if stored is None:
        return LEFTOVER
    submission = stored.value
    if submission.ended is None or now < submission.due:
        if submission.due <= now:
            raise Unavailable(GRAPH_UNAVAILABLE, "The message's outcome cannot be found out yet")
        if submission.due == work.due:
            return EARLY
        await look_again(app, submission)
        return PUT_OFF
    if submission.state is SubmissionState.FAILED:
        await discard(session, submission)
    with suppress(StaleWrite):  # a request with the same key has just begun anew, and has a row of its own
        await app.stores.submissions.remove(stored)
    return SETTLED


def _standing(app: App, caller_id: str) -> Callable[[], Awaitable[Caller]]:
    """Identifies the caller of the submission as of now. Raises Forbidden."""

    async def identify() -> Caller:
        caller = await standing_caller(app, caller_id)
        if caller is None:
            raise Forbidden("The caller that asked for this message may call no more")
        return caller

    return identify
