"""A link that waits for a mailbox is settled in the end, after crashes and conflicts too."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from infra.local.visitor import Visitor
from shared.domain.errors import StaleWrite
from shared.domain.invited_mailbox import MailboxState, PendingAccount
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.work import REAP_SHARD, Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.upkeep.agenda import Limits
from shared.usecases.upkeep.registrations import settle_registration
from shared.usecases.upkeep.tick import work_agenda
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, ask, principal_id, status, tick
from tests.journey.test_waiting import press_keep_checking

type NewPerson = Callable[..., str]


@pytest.fixture
def waiting(api: httpx.Client, visitor: Visitor, person: NewPerson) -> tuple[dict[str, str], str]:
    """A link with which a person without access keeps checking, and that person."""
    who, asked = person(access=False), ask(api)
    press_keep_checking(visitor, visitor.follow(asked["url"], who))
    assert "waitingForAccess" == status(api, asked)["status"]
    return asked, who


async def link_of(instance: App, asked: dict[str, str]) -> Stored[PendingRegistration]:
    link = await instance.stores.registrations.get(asked["registration"])
    assert link is not None
    return link


async def pending_of(instance: App, asked: dict[str, str]) -> PendingAccount:
    link = await link_of(instance, asked)
    waits = link.value.mailboxes[0].principal_id
    assert waits is not None
    stored = await instance.stores.principals.pending(waits, asked["registration"])
    assert stored is not None
    return stored.value


async def test_link_is_settled_after_a_crash_that_deleted_the_grant(
    waiting: tuple[dict[str, str], str], api: httpx.Client, instance: App, clock: MovedClock
) -> None:
    asked, _ = waiting
    pending = await pending_of(instance, asked)
    await instance.stores.principals.forget_pending(pending.principal.id, asked["registration"])

    clock.forward(minutes=6)
    await tick(instance)

    assert ("failed", "no_mailbox_access") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])


async def test_link_is_completed_after_a_crash_that_bound_the_account(
    waiting: tuple[dict[str, str], str], api: httpx.Client, tenant: Tenant, instance: App, clock: MovedClock
) -> None:
    asked, who = waiting
    before = (await link_of(instance, asked)).value
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)
    completed = await link_of(instance, asked)
    assert RegistrationStatus.COMPLETED is completed.value.stage
    await instance.stores.registrations.replace(completed, before)
    holder = await principal_id(instance, asked["account"])
    await instance.stores.agenda.add(Work(WorkKind.PROBE, instance.clock(), holder, asked["registration"]))

    clock.forward(minutes=1)
    await tick(instance)

    assert ("completed", "new") == (status(api, asked)["status"], status(api, asked)["state"])


async def test_first_probe_records_the_wait_after_a_crash(
    waiting: tuple[dict[str, str], str], api: httpx.Client, instance: App, clock: MovedClock
) -> None:
    asked, _ = waiting
    link = await link_of(instance, asked)
    refused = replace(link.value.mailboxes[0], state=MailboxState.REFUSED, principal_id=None)
    unsaid = replace(link.value, stage=RegistrationStatus.FAILED, mailboxes=(refused,))
    await instance.stores.registrations.replace(link, unsaid)

    clock.forward(minutes=6)
    await tick(instance)

    assert "waitingForAccess" == status(api, asked)["status"]


async def test_link_still_waits_after_one_of_two_people_gave_up(
    waiting: tuple[dict[str, str], str],
    api: httpx.Client,
    other_visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
) -> None:
    asked, first = waiting
    second = person(access=False)
    press_keep_checking(other_visitor, other_visitor.follow(asked["url"], second))
    tenant.do("revoke", person=second)
    clock.forward(minutes=90)
    await tick(instance)
    clock.forward(minutes=6)
    await tick(instance)
    assert "waitingForAccess" == status(api, asked)["status"]

    tenant.do("access", person=first, mailbox="support@contoso.example", fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)

    assert "completed" == status(api, asked)["status"]
    assert first == api.get(f"/v1/account/{asked['account']}").json()["user"]


async def test_concurrent_refusals_do_not_block_settling_a_link(
    waiting: tuple[dict[str, str], str], api: httpx.Client, instance: App
) -> None:
    asked, _ = waiting
    pending = await pending_of(instance, asked)
    await instance.stores.principals.forget_pending(pending.principal.id, asked["registration"])

    async def rival() -> None:
        for _ in range(5):
            link = await link_of(instance, asked)
            with suppress(StaleWrite):
                await instance.stores.registrations.replace(link, link.value.with_refusal("access_denied"))

    await asyncio.gather(rival(), settle_registration(instance, asked["registration"], pending.principal.id), rival())

    assert "failed" == status(api, asked)["status"]


async def test_link_and_waiting_grant_are_deleted_after_a_week(
    waiting: tuple[dict[str, str], str], api: httpx.Client, instance: App, clock: MovedClock
) -> None:
    asked, who = waiting
    pending = await pending_of(instance, asked)
    probe = Work(WorkKind.PROBE, pending.due, pending.principal.id, asked["registration"])
    assert await instance.stores.agenda.holds(probe)
    await instance.stores.agenda.remove([probe])

    clock.forward(days=8, minutes=1)
    for _ in range(2):  # after a stop of a week, the link's end is due, and only then its deletion
        await work_agenda(instance, {REAP_SHARD: None}, Limits(instance.clock() + timedelta(minutes=4)))

    assert 404 == api.get(f"/v1/authentication/form/{asked['registration']}").status_code
    raw = storage_of(instance).get_table_client("Principals")
    assert [] == [row async for row in raw.list_entities() if who in str(row)]


async def test_outage_does_not_shorten_the_requested_wait(
    waiting: tuple[dict[str, str], str], api: httpx.Client, visitor: Visitor, tenant: Tenant, instance: App
) -> None:
    asked, who = waiting
    before = await pending_of(instance, asked)
    tenant.do("outage", endpoint="graph", mode="503")

    page = visitor.follow(asked["url"], who)

    assert (202, "waitingForAccess") == (page.status, status(api, asked)["status"])
    after = await pending_of(instance, asked)
    assert (True, before.until) == (after.kept, after.until)
