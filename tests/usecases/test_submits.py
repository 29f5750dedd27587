"""Sending at most once: keys, refusals, lost answers, and messages that wait for their time."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from http import HTTPMethod
from typing import Any, cast

import pytest

from infra.local.visitor import Visitor
from shared.domain.confined.refused import OutcomeUnknown, WrongSender
from shared.domain.errors import NotAuthorized, StorageUnavailable
from shared.domain.formats import table_key
from shared.domain.mail.graph_error import RefusedByGraph, RightMissing
from shared.domain.mail.submission import LEASE, Submission, SubmissionState
from shared.ports import App, GraphMail, Rows
from shared.ports.mail import AnswerLost, GraphAnswer
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.mail.send_once import DraftGone
from shared.usecases.mail.session import MailCall
from shared.usecases.mail.submit import KeyReused, StillSending, submit
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, bind
from tests.usecases.submits import at_once, found, new_draft, new_subject, order, send_one, session_of

HOUR = timedelta(hours=1)


async def state_of(app: App, submission: str) -> Submission:
    stored = await app.stores.submissions.get(submission)
    assert stored is not None
    return stored.value


async def events_of(app: App, submission: str) -> list[dict[str, Any]]:
    rows = storage_of(app).get_table_client("Submissions").query_entities(f"PartitionKey eq '{table_key(submission)}'")
    return [dict(row) async for row in rows if row["RowKey"].startswith("event~")]


def losing_sends(app: App, *, reaches: bool) -> App:
    """The app, whose sends get no answer, whether or not they reach Graph."""

    async def graph_mail(cloud: Any, token: Any, call: Any, max_bytes: int) -> GraphAnswer:
        if not call.path.endswith("/send"):
            return await app.graph_mail(cloud, token, call, max_bytes)
        if reaches:
            await app.graph_mail(cloud, token, call, max_bytes)
        raise AnswerLost

    return at_once(replace(app, graph_mail=cast("GraphMail", graph_mail)))


async def test_the_same_key_sends_once_and_says_so(app: App, sending_account: str) -> None:
    subject = new_subject()

    first = await send_one(app, sending_account, subject, subject)
    second = await send_one(app, sending_account, subject, subject)

    assert (False, True) == (first.is_repeated, second.is_repeated)
    assert first.submission == second.submission
    assert 1 == await found(app, sending_account, "sentitems", subject)
    (event,) = await events_of(app, first.submission.id)
    assert "messageSent" == event["name"]
    assert subject not in event["data"]


async def test_another_message_under_the_same_key_is_refused(app: App, sending_account: str) -> None:
    subject = new_subject()
    await send_one(app, sending_account, subject, subject)
    session = session_of(app, sending_account)

    async def compose(_: str) -> str:
        raise AssertionError

    with pytest.raises(KeyReused):
        await submit(app, session, order(app, subject)._replace(fingerprint="other"), compose)
    assert 1 == await found(app, sending_account, "sentitems", subject)


async def test_two_requests_with_one_key_at_once_send_once(app: App, sending_account: str) -> None:
    subject = new_subject()

    results = await asyncio.gather(
        *(send_one(app, sending_account, subject, subject) for _ in range(4)), return_exceptions=True
    )

    assert [r for r in results if isinstance(r, BaseException) and not isinstance(r, StillSending)] == []
    assert 1 == await found(app, sending_account, "sentitems", subject)
    assert 0 == await found(app, sending_account, "drafts", subject)


async def test_a_lost_answer_of_a_sent_message_is_found_out(app: App, sending_account: str) -> None:
    subject = new_subject()

    done = await send_one(losing_sends(app, reaches=True), sending_account, subject, subject)

    assert SubmissionState.SENT is done.submission.state
    assert 1 == await found(app, sending_account, "sentitems", subject)


async def test_a_send_that_got_lost_is_not_repeated(app: App, sending_account: str, clock: MovedClock) -> None:
    subject = new_subject()

    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await send_one(losing_sends(app, reaches=False), sending_account, subject, subject)
    with pytest.raises(OutcomeUnknown):
        await send_one(at_once(app), sending_account, subject, subject)
    clock.forward(minutes=4)
    await run_tick(at_once(app))

    assert (0, 1) == (
        await found(app, sending_account, "sentitems", subject),
        await found(app, sending_account, "drafts", subject),
    )


async def test_a_message_that_left_late_becomes_known_as_sent(app: App, sending_account: str) -> None:
    subject, session = new_subject(), session_of(app, sending_account)
    with pytest.raises(OutcomeUnknown):
        await send_one(losing_sends(app, reaches=False), sending_account, subject, subject)
    page = await session.get("mailFolders", "drafts", "messages", query={"$filter": f"subject eq '{subject}'"})
    await session.call(MailCall(HTTPMethod.POST, ("messages", page["value"][0]["id"], "send")))

    repeated = await send_one(at_once(app), sending_account, subject, subject)

    assert (True, SubmissionState.SENT) == (repeated.is_repeated, repeated.submission.state)
    assert ["messageFailed", "messageSent"] == [row["name"] for row in await events_of(app, repeated.submission.id)]


async def test_storage_that_fails_after_the_send_is_no_failure(
    app: App, sending_account: str, clock: MovedClock
) -> None:
    class FailsAtTheEnd:
        async def replace(self, stored: Any, value: Submission, events: Any = ()) -> Any:
            if value.state is SubmissionState.SENT:
                raise StorageUnavailable
            return await app.stores.submissions.replace(stored, value, events)

        def __getattr__(self, name: str) -> Any:
            return getattr(app.stores.submissions, name)

    subject = new_subject()
    failing = replace(app, stores=replace(app.stores, submissions=cast("Rows[Submission]", FailsAtTheEnd())))

    done = await send_one(failing, sending_account, subject, subject)

    assert SubmissionState.SENT is done.submission.state
    with pytest.raises(StillSending):
        await send_one(app, sending_account, subject, subject)
    clock.forward(minutes=4)
    await run_tick(app)
    assert SubmissionState.SENT is (await state_of(app, done.submission.id)).state
    assert (await send_one(app, sending_account, subject, subject)).is_repeated
    assert 1 == await found(app, sending_account, "sentitems", subject)


async def test_a_refused_send_leaves_no_draft_and_frees_the_key(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    login, subject = person(), new_subject()
    account = await bind(app, visitor, login)
    tenant.do("access", person=login, mailbox="support@contoso.example", sendAs=False)

    with pytest.raises(RightMissing, match="Add-RecipientPermission"):
        await send_one(app, account, subject, subject)
    assert 0 == await found(app, account, "drafts", subject)

    tenant.do("access", person=login, mailbox="support@contoso.example", sendAs=True)
    assert not (await send_one(app, account, subject, subject)).is_repeated
    assert 1 == await found(app, account, "sentitems", subject)
    await remove_account(app, account)


async def test_graphs_refusal_of_the_message_frees_the_key(app: App, sending_account: str) -> None:
    subject = new_subject()
    with pytest.raises(RefusedByGraph):
        await send_one(app, sending_account, subject, subject, to="nobody")
    assert 0 == await found(app, sending_account, "drafts", subject)

    await send_one(app, sending_account, subject, subject)

    assert 1 == await found(app, sending_account, "sentitems", subject)


async def test_a_stored_draft_is_sent_if_it_is_from_the_mailbox(app: App, sending_account: str) -> None:
    subject, session = new_subject(), session_of(app, sending_account)

    async def compose(_: str) -> str:
        raise AssertionError

    draft = await new_draft(session, subject)
    await submit(app, session, order(app, None, draft=draft), compose)
    with pytest.raises(DraftGone):
        await submit(app, session, order(app, None, draft=draft), compose)
    other = await new_draft(session, subject, sender="sales@contoso.example")
    with pytest.raises(WrongSender):
        await submit(app, session, order(app, None, draft=other), compose)

    assert (1, 1) == (
        await found(app, sending_account, "sentitems", subject),
        await found(app, sending_account, "drafts", subject),
    )


async def test_a_message_is_sent_when_it_is_due(app: App, sending_account: str, clock: MovedClock) -> None:
    subject = new_subject()
    queued = await send_one(app, sending_account, subject, subject, app.clock() + HOUR)
    assert SubmissionState.QUEUED is queued.submission.state
    assert (await send_one(app, sending_account, subject, subject, app.clock() + HOUR)).is_repeated

    clock.forward(minutes=30)
    await run_tick(app)
    assert 0 == await found(app, sending_account, "sentitems", subject)
    clock.forward(minutes=31)
    await run_tick(app)
    await run_tick(app)

    assert 1 == await found(app, sending_account, "sentitems", subject)
    assert ["messageSent"] == [row["name"] for row in await events_of(app, queued.submission.id)]
    clock.forward(days=1, minutes=5)
    await run_tick(app)
    assert await app.stores.submissions.get(queued.submission.id) is None


async def test_deleting_the_draft_cancels_the_message(app: App, sending_account: str, clock: MovedClock) -> None:
    subject, session = new_subject(), session_of(app, sending_account)
    queued = (await send_one(app, sending_account, subject, subject, app.clock() + HOUR)).submission
    for _ in range(2):  # into Deleted Items, and out of it
        await session.call(MailCall(HTTPMethod.DELETE, ("messages", queued.draft or "")))

    clock.forward(minutes=61)
    await run_tick(app)

    assert (SubmissionState.FAILED, "draft_gone") == ((now := await state_of(app, queued.id)).state, now.code)
    assert ["messageFailed"] == [row["name"] for row in await events_of(app, queued.id)]


async def test_authority_is_checked_when_the_message_is_due(app: App, sending_account: str, clock: MovedClock) -> None:
    subject = new_subject()
    queued = (await send_one(app, sending_account, subject, subject, app.clock() + HOUR)).submission
    await change_account(app, sending_account, AccountChange(paused=True), {})

    clock.forward(minutes=61)
    await run_tick(app)

    assert SubmissionState.FAILED is (await state_of(app, queued.id)).state
    await change_account(app, sending_account, AccountChange(paused=False), {})
    assert 0 == await found(app, sending_account, "sentitems", subject)


async def test_a_caller_that_was_revoked_sends_no_more(app: App, sending_account: str, clock: MovedClock) -> None:
    subject = new_subject()
    queued = (await send_one(app, sending_account, subject, subject, app.clock() + HOUR)).submission
    without = replace(app, config=replace(app.config, admin_token_sha256=""))

    clock.forward(minutes=61)
    await run_tick(without)

    assert (SubmissionState.FAILED, "Forbidden") == ((now := await state_of(app, queued.id)).state, now.code)
    assert 0 == await found(app, sending_account, "sentitems", subject)


async def test_a_clock_that_goes_back_locks_no_key(app: App, sending_account: str, clock: MovedClock) -> None:
    subject = new_subject()
    clock.forward(hours=5)
    with pytest.raises(OutcomeUnknown):
        await send_one(losing_sends(app, reaches=False), sending_account, subject, subject)
    clock.forward(hours=-5)

    with pytest.raises(OutcomeUnknown):
        await send_one(at_once(app), sending_account, subject, subject)
    assert LEASE < HOUR


async def test_an_account_that_is_gone_is_no_account(app: App, sending_account: str) -> None:
    await change_account(app, sending_account, AccountChange(paused=True), {})
    with pytest.raises(NotAuthorized):
        await send_one(app, sending_account, new_subject(), None)
