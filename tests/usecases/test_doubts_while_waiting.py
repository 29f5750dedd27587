"""A refusal without a known reason is confirmed before it ends the waiting for a mailbox."""

import pytest

from infra.local.visitor import Visitor
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.outcome import Completed, keep_checking
from shared.usecases.sign_in.start import Started
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import (
    SUPPORT,
    NewPerson,
    ask,
    choose_person,
    go_to_microsoft,
    sign_in,
    states,
)
from tests.usecases.grants import refreshes

UNKNOWN = "54005"  # an invalid_grant with a number that says nothing about a refresh token
WAITING = [RegistrationStatus.WAITING_FOR_ACCESS, "no_mailbox_access"]


@pytest.fixture
async def waiting(app: App, visitor: Visitor, person: NewPerson) -> tuple[Started, str]:
    """A link that waits for access, and its person."""
    who, link = person(access=False), await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    outcome = await complete_sign_in(app, await choose_person(visitor, begun.picker, who), begun.cookie)
    assert isinstance(outcome, Completed)
    assert outcome.keep is not None
    await keep_checking(app, outcome.keep, begun.cookie)
    return link, who


def refuse(tenant: Tenant, who: str, times: int, failure: str = UNKNOWN) -> None:
    tenant.do("fail", endpoint="token", failure=failure, times=times, person=who, grant="refresh_token")


async def pass_time(app: App, clock: MovedClock, minutes: int) -> None:
    """Let the timer run every other minute."""
    for _ in range(minutes // 2):
        clock.forward(minutes=2)
        await tick(app)


@pytest.mark.parametrize("times", [1, 2])
async def test_waiting_goes_on_after_unconfirmed_refusals(
    waiting: tuple[Started, str], app: App, tenant: Tenant, clock: MovedClock, times: int
) -> None:
    link, who = waiting
    clock.forward(minutes=90)  # the access token has expired
    refuse(tenant, who, times)
    before = refreshes(tenant, who)

    await pass_time(app, clock, 4)
    assert before + 1 == refreshes(tenant, who)
    assert WAITING == await states(app, link)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    await pass_time(app, clock, 18)

    assert [RegistrationStatus.COMPLETED, "new"] == await states(app, link)


async def test_third_refusal_is_believed(
    waiting: tuple[Started, str], app: App, tenant: Tenant, clock: MovedClock
) -> None:
    link, who = waiting
    clock.forward(minutes=90)
    refuse(tenant, who, 3)
    before = refreshes(tenant, who)

    await pass_time(app, clock, 12)
    assert before + 2 == refreshes(tenant, who)
    assert WAITING == await states(app, link)
    await pass_time(app, clock, 8)

    assert before + 3 == refreshes(tenant, who)
    assert [RegistrationStatus.FAILED, "needs_sign_in"] == await states(app, link)


async def test_doubts_end_with_a_refresh(
    waiting: tuple[Started, str], app: App, tenant: Tenant, clock: MovedClock
) -> None:
    link, who = waiting
    for _ in range(2):
        clock.forward(minutes=90)
        refuse(tenant, who, 2)
        await pass_time(app, clock, 18)

    assert WAITING == await states(app, link)


async def test_known_reason_needs_no_confirmation(
    waiting: tuple[Started, str], app: App, tenant: Tenant, clock: MovedClock
) -> None:
    link, who = waiting
    tenant.do("revoke", person=who)
    clock.forward(minutes=90)

    await tick(app)

    assert [RegistrationStatus.FAILED, "needs_sign_in"] == await states(app, link)


async def test_outage_waits_as_long_for_a_confirmation(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who, link = person(), await ask(app)
    tenant.do("lifetimes", accessTokenSeconds=90)
    tenant.do("outage", endpoint="graph", mode="503")
    await sign_in(app, visitor, link, who)
    tenant.do("outage", endpoint="graph", mode="none")
    refuse(tenant, who, 2)

    await pass_time(app, clock, 20)

    assert [RegistrationStatus.COMPLETED, "new"] == await states(app, link)
