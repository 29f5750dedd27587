"""Send a draft at most once, look what became of it, and record that with its event.

`send` is the only place that calls Graph's `POST …/send`, after the row says `sending`.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from http import HTTPMethod, HTTPStatus
from typing import NamedTuple

from shared.domain.confined.json_bodies import member
from shared.domain.confined.messages import check_sender
from shared.domain.confined.refused import AnswerOverLimit, OutcomeUnknown
from shared.domain.errors import MailbindError, NotFound, StaleWrite, Unavailable
from shared.domain.event import Event, EventName, Origin, message_data
from shared.domain.formats import same_address
from shared.domain.mail.graph_error import error_of
from shared.domain.mail.submission import Submission, SubmissionState
from shared.domain.work import Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.events.outbox import queue_event
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.compose import find_drafts
from shared.usecases.mail.find_account import NO_SUCH_MAILBOX
from shared.usecases.mail.session import MailCall, MailSession

log = logging.getLogger(__name__)

ACCEPTED = "Accepted by Microsoft Graph"
SEEN = "isDraft,internetMessageId,from,toRecipients,ccRecipients,bccRecipients"
RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients")


class DraftGone(NotFound):
    """The draft was deleted, or was sent by somebody else."""

    code = "draft_gone"

    def __init__(self) -> None:
        super().__init__("There is no such draft in this mailbox: it was deleted, or sent already. Nothing was sent")


class Interrupted(MailbindError):
    """The request ended before its message was composed. Nothing was sent."""

    code = "submission_interrupted"

    def __init__(self) -> None:
        super().__init__("The request ended before the message was written. Nothing was sent. Send it again")


class Seen(NamedTuple):
    """A message as it was looked at."""

    is_draft: bool
    message_id: str | None
    sender: object
    recipients: tuple[str, ...]


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

    Drafts whose creation got no answer are found by their Internet-Message-ID, unless the caller chose it: then other
    messages can have it, too.
    """
    if submission.is_given:
        return
    with suppress(MailbindError):
        drafts = [submission.draft] if submission.draft else await _composed_drafts(session, submission)
        for draft in drafts:
            seen = await look(session, draft)
            if seen is not None and seen.is_draft:  # otherwise somebody sent it by hand
                await session.call(MailCall(HTTPMethod.DELETE, ("messages", draft)))


async def _composed_drafts(session: MailSession, submission: Submission) -> list[str]:
    """The ids of the drafts that were composed for it."""
    if submission.given_message_id:
        return []
    return [each.id for each in await find_drafts(session, submission.internet_message_id)]


async def look_again(app: App, submission: Submission) -> None:
    """Let the timer look at it when it is due. Written before the row, so that no crash leaves a row without it."""
    await app.stores.agenda.add(Work(WorkKind.SEND, submission.due, submission.id))


async def _event(app: App, submission: Submission, name: EventName, response: str, seen: Seen | None = None) -> Event:
    data = message_data(submission, seen.recipients if seen else (), response)
    return await queue_event(app, Origin.SUBMISSION, submission.id, name, data, submission.account)


def _address(recipient: object) -> str:
    return str(member(member(recipient, "emailAddress"), "address"))
