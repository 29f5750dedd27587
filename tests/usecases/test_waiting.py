"""Pending accounts wait until Exchange knows a new permission, or until Graph answers again."""

import uuid
from typing import NamedTuple

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.ports import App
from shared.usecases.accounts.read import known_account
from shared.usecases.apps.catalogue import change_oauth_app, delete_oauth_app
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.outcome import Completed, keep_checking
from shared.usecases.sign_in.start import Started
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import (
    SUPPORT,
    NewPerson,
    ask,
    choose_person,
    end_of,
    go_to_microsoft,
    sign_in,
    states,
)


class Waiting(NamedTuple):
    """A link, and the person whose mailbox Mailbind keeps checking."""

    link: Started
    who: str


@pytest.fixture
async def waiting(app: App, visitor: Visitor, person: NewPerson) -> Waiting:
    """A person without access, who asked Mailbind to keep checking."""
    who, link = person(access=False), await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    refused = await complete_sign_in(app, await choose_person(visitor, begun.picker, who), begun.cookie)
    assert isinstance(refused, Completed)
    assert refused.keep is not None
    await keep_checking(app, refused.keep, begun.cookie)
    assert ["waitingForAccess", "no_mailbox_access"] == await states(app, link)
    return Waiting(link, who)


async def rows_of(app: App, who: str, *, with_events: bool = True) -> list[str]:
    """The keys of the rows that name the person."""
    rows = storage_of(app).get_table_client("Principals").list_entities()
    keys = [row["RowKey"] async for row in rows if who in str(row)]
    return [key for key in keys if with_events or not key.startswith("event~")]


async def check_again(app: App, clock: MovedClock, **by: float) -> None:
    clock.forward(**by)
    await tick(app)


async def test_keep_checking_binds_without_a_second_sign_in(
    app: App, tenant: Tenant, clock: MovedClock, waiting: Waiting
) -> None:
    link, who = waiting
    await check_again(app, clock, minutes=6)
    assert ["waitingForAccess", "no_mailbox_access"] == await states(app, link)

    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    await check_again(app, clock, minutes=6)

    assert ["completed", "new"] == await states(app, link)
    assert who == (await hand_out(app, link.accounts[0])).sign_in_name
    bound = (await known_account(app, link.accounts[0])).account.value
    assert not (await app.stores.principals.partition(bound.principal_id)).pending


async def test_waiting_ends_when_the_tenant_is_removed(
    app: App, tenant: Tenant, clock: MovedClock, waiting: Waiting
) -> None:
    link, who = waiting
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    await change_oauth_app(app, APP_ID, {"tenants": (str(uuid.uuid4()),)}, {})

    await check_again(app, clock, minutes=6)

    await delete_oauth_app(app, APP_ID, force=False)  # the settings hold again
    assert ["failed", "tenant_not_allowed"] == await states(app, link)
    assert [] == await rows_of(app, who, with_events=False)


async def test_grant_is_deleted_after_a_day_without_access(app: App, clock: MovedClock, waiting: Waiting) -> None:
    link, who = waiting
    assert 1 == len(await rows_of(app, who))

    for _ in range(2):
        await check_again(app, clock, hours=12, minutes=10)

    assert ["expired", "no_mailbox_access"] == await states(app, link)
    assert [] == await rows_of(app, who)


async def test_mailbind_waits_an_hour_for_graph(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson, clock: MovedClock
) -> None:
    link, who = await ask(app), person()
    tenant.do("outage", endpoint="graph", mode="503")
    await sign_in(app, visitor, link, who)

    await check_again(app, clock, minutes=61)

    assert ["failed", "graph_unavailable"] == await states(app, link)
    tenant.do("outage", endpoint="graph", mode="none")
    assert "new" == end_of(await sign_in(app, visitor, link, who))


async def test_missing_access_ends_waiting_for_graph(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson, clock: MovedClock
) -> None:
    link = await ask(app)
    tenant.do("outage", endpoint="graph", mode="503")
    await sign_in(app, visitor, link, person(access=False))
    tenant.do("outage", endpoint="graph", mode="none")

    await check_again(app, clock, minutes=2)

    assert ["failed", "no_mailbox_access"] == await states(app, link)


async def test_person_with_access_can_overtake_a_waiting_one(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson, clock: MovedClock, waiting: Waiting
) -> None:
    right, (link, who) = person(), waiting
    visitor.cookies.clear()

    assert "new" == end_of(await sign_in(app, visitor, link, right))

    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    await check_again(app, clock, minutes=6)
    assert right == (await known_account(app, link.accounts[0])).account.value.sign_in_name
    assert [] == await rows_of(app, who)
