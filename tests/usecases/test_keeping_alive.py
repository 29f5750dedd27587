"""Grants are kept alive until their account is removed."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from infra.local import parts
from infra.local.visitor import Visitor
from shared.domain.errors import NotFound
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.events.delivery import deliver_events
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, principal_id, tick
from tests.usecases.conftest import SUPPORT, NewPerson, StartApp, ask, bind, end_of, sign_in, state_of
from tests.usecases.grants import events_of, grant_of


async def test_hot_token_is_renewed_before_it_expires(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    account = await bind(app, visitor, person())
    first = await hand_out(app, account)

    clock.forward(minutes=66)
    await tick(app)

    second = await hand_out(app, account)
    assert second.cached
    assert first.access_token != second.access_token
    assert second.expires > first.expires


async def test_idle_grant_is_refreshed_once_a_week(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    account = await bind(app, visitor, person())
    before = await grant_of(app, account)

    clock.forward(days=6)
    await tick(app)
    assert before.value.refreshed == (await grant_of(app, account)).value.refreshed

    clock.forward(days=1, minutes=1)
    await tick(app)
    after = await grant_of(app, account)
    assert after.value.refreshed > before.value.refreshed
    assert after.value.refresh_token != before.value.refresh_token


async def test_every_grant_has_the_agendas_row_that_it_waits_for(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    account = await bind(app, visitor, person())
    for _ in range(3):
        await hand_out(app, account)
        clock.forward(minutes=70)
        await tick(app)
        grant = (await grant_of(app, account)).value

        assert grant.due is not None
        later = [
            row for shard in app.stores.agenda.shards for row in await app.stores.agenda.due(shard, grant.due, None)
        ]
        assert grant.due in [row.due for row in later if row.owner == grant.principal.id]


async def test_hand_out_is_recorded_once_an_hour(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    await hand_out(app, account)
    noted = await grant_of(app, account)

    for _ in range(5):
        await hand_out(app, account)

    assert noted.value.handed_out is not None
    assert noted.version == (await grant_of(app, account)).version


async def test_many_callers_of_an_expired_token_cost_one_refresh(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    clock.forward(hours=3)

    tokens = await asyncio.gather(*(hand_out(app, account) for _ in range(20)))

    assert 1 == len({token.access_token for token in tokens})
    assert 1 == len([event for event in tenant.events("refreshed") if event.get("person") == who])


async def test_two_instances_that_refresh_at_once_keep_the_grant_valid(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, tenant: Tenant, shared_tenant: parts.Part
) -> None:
    account = await bind(app, visitor, person())
    stored = await grant_of(app, account)

    results = await asyncio.gather(*(refresh_grant(instance, stored) for instance in (app, new_app()) * 3))

    assert all(result is not None and result.failure is None for result in results)
    token = (await hand_out(app, account)).access_token.reveal()
    inbox = f"{shared_tenant.ready['url']}/v1.0/users/{SUPPORT}/mailFolders/inbox"
    assert 200 == tenant.client.get(inbox, headers={"Authorization": f"Bearer {token}"}).status_code


async def test_weekly_probe_finds_lost_access_and_a_daily_one_its_end(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=False)
    clock.forward(days=7, minutes=1)
    await tick(app)
    assert ("connectError", "no_mailbox_access") == await state_of(app, account)

    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    clock.forward(days=1, minutes=1)
    await tick(app)

    assert ("connected", None) == await state_of(app, account)
    assert {"connectError", "connectSuccess"} <= set(await events_of(app, account))


async def test_removing_an_account_ends_its_grant_and_its_id_is_free(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    assert (await hand_out(app, account)).cached
    principal = await principal_id(app, account)

    assert 0 == (await remove_account(app, account)).still_served

    assert not (await app.stores.principals.partition(principal)).grants
    with pytest.raises(NotFound):
        await hand_out(app, account)
    with pytest.raises(NotFound):
        await remove_account(app, account)
    assert account == await bind(app, visitor, who, account=account)


async def test_events_and_registrations_are_forgotten_in_time(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    link = await ask(app)
    assert "new" == end_of(await sign_in(app, visitor, link, person()))
    assert ["accountAdded", "accountInitialized"] == sorted(await events_of(app, link.accounts[0]))

    clock.forward(days=3, minutes=1)
    await deliver_events(app, clock() + timedelta(minutes=1))
    assert [] == await events_of(app, link.accounts[0])
    assert await app.stores.registrations.get(link.registration) is not None

    clock.forward(days=5, minutes=1)
    await tick(app)
    await tick(app)  # the deletion is scheduled by the link's end
    assert await app.stores.registrations.get(link.registration) is None
    rows: list[Any] = [row async for row in storage_of(app).get_table_client("Registrations").list_entities()]
    assert not [row for row in rows if link.registration in str(row)]
