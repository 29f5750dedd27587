"""Sign-ins and refreshes while calls to the mail of Graph hang."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from infra.local.visitor import Visitor
from shared.usecases.callers.api_tokens import revoke_token
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.tokens.account_token import challenged_token
from tests.confined.conftest import SUPPORT, TwoMailboxes
from tests.confined.instance import Answer, Instance, Sent, running_instance
from tests.patience import until
from tests.usecases.conftest import ask, end_of, sign_in

READ = Sent(f"/v1.0/users/{SUPPORT}/messages?$top=1")
CALLS = 40
CALLS_AT_ONCE, MAX_WAITING = 4, 32


@pytest.fixture(scope="module")
def instance(mailboxes: TwoMailboxes) -> Iterator[Instance]:
    with running_instance(mailboxes) as running:
        yield running


@pytest.fixture
def hanging_mail(mailboxes: TwoMailboxes) -> Iterator[None]:
    """Graph answers no call that has to do with messages."""
    mailboxes.tenant.do("outage", endpoint="messages", mode="hang")
    yield
    mailboxes.tenant.do("outage", endpoint="messages", mode="none")


def begin_calls(instance: Instance, token: str) -> list[asyncio.Task[Answer | None]]:
    return [asyncio.create_task(instance.call(token, READ)) for _ in range(CALLS)]


def test_a_refresh_does_not_wait_for_mail(mailboxes: TwoMailboxes, instance: Instance) -> None:
    token = mailboxes.token()

    async def refresh_meanwhile() -> list[int]:
        calls = begin_calls(instance, token)
        async with instance.graph.holding(CALLS_AT_ONCE):
            await challenged_token(instance.app, "sales", None)
            await revoke_token(instance.app, token, ADMINISTRATOR)
        return [answer.status for answer in await asyncio.gather(*calls) if answer is not None]

    statuses = Counter(instance.run(refresh_meanwhile()))
    # Four were at Graph, 32 more of one caller may wait, and these are refused because the token was revoked.
    assert {200: 4, 401: 32, 429: 4} == statuses


@pytest.mark.usefixtures("hanging_mail")
def test_a_sign_in_does_not_wait_for_mail(mailboxes: TwoMailboxes, instance: Instance) -> None:
    token, tenant = mailboxes.token(), mailboxes.tenant
    person = tenant.do("person", create=1, first=2)["people"][0]
    tenant.do("access", person=person, mailbox=SUPPORT, fullAccess=True)

    async def sign_in_meanwhile(visitor: Visitor) -> tuple[str, int]:
        calls = begin_calls(instance, token)
        await until(lambda: len(tenant.events("failed")) == CALLS_AT_ONCE)
        outcome = await sign_in(instance.app, visitor, await ask(instance.app), person)
        in_progress = [call for call in calls if not call.done()]
        for call in in_progress:
            call.cancel()
        return end_of(outcome), len(in_progress)

    with Visitor(mailboxes.environment.tenant.ready["caFile"]) as visitor:
        bound, in_progress = instance.run(sign_in_meanwhile(visitor))
    # The sign-in was over before the first call gave up: those that wait do so after ten seconds.
    assert ("new", CALLS_AT_ONCE + MAX_WAITING) == (bound, in_progress)
