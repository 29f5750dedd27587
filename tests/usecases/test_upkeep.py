"""Upkeep: backlogs that are handed over, the sweep and the counters."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.formats import table_key
from shared.domain.work import Handover, Work, WorkKind
from shared.ports import App, Insert, Remove
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import find_account
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.tokens.refresh import refresh_grant
from shared.usecases.upkeep.agenda import Limits
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.sweep import sweep
from shared.usecases.upkeep.tick import run_tick, work_agenda, work_handed_over_shard
from tests.conftest import MovedClock, lose
from tests.contract import records
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, StartApp, bind
from tests.usecases.grants import grant_of

LEFTOVERS = "gone"


def leftover(due: datetime, number: int) -> Work:
    """A row of the agenda about a grant that is gone."""
    return Work(WorkKind.REFRESH, due, f"{LEFTOVERS}.{number}", "app")


async def leftovers(app: App, due: datetime) -> list[Work]:
    return [work for work in await app.stores.agenda.due("000", due, None) if work.owner.startswith(LEFTOVERS)]


async def counts(app: App) -> dict[str, int]:
    """The counters, once everything that was counted so far is written."""
    await app.tally.flush()
    return dict((await read_statistics(app)).counters.counts)


async def test_long_shard_is_handed_over_to_another_instance(new_app: StartApp) -> None:
    app = new_app(MAILBIND_TICK_ROWS="100", MAILBIND_AGENDA_SHARDS="1")
    due = app.clock() - timedelta(hours=1)
    await asyncio.gather(*(app.stores.agenda.add(leftover(due, number)) for number in range(250)))

    first = await run_tick(app)

    assert ("000",) == first.handed_over
    held = await app.stores.handovers.get("000")
    assert held is not None
    assert len(await app.stores.agenda.due("000", due, None)) == 100
    second = await run_tick(app)
    assert () == second.handed_over
    assert 0 == second.outcomes.get("leftover", 0)

    await work_handed_over_shard(app, "000", held.value.due_by)

    assert [] == list(await app.stores.agenda.due("000", due, None))
    assert None is await app.stores.handovers.get("000")


async def test_timer_works_the_shard_of_a_dead_worker_again(new_app: StartApp, clock: MovedClock) -> None:
    app = new_app(MAILBIND_AGENDA_SHARDS="1")
    due = app.clock() - timedelta(hours=1)
    await app.stores.agenda.add(leftover(due, 1))
    await app.stores.handovers.insert(Handover("000", app.clock(), app.clock() + timedelta(minutes=15)))
    await run_tick(app)
    assert 1 == len(await leftovers(app, due))

    clock.forward(minutes=16)
    await run_tick(app)

    assert [] == await leftovers(app, due)
    stored = await app.stores.handovers.get("000")
    assert stored is not None
    await app.stores.handovers.remove(stored)


async def test_tick_stops_on_time_and_leaves_the_rest(new_app: StartApp) -> None:
    app = new_app(MAILBIND_AGENDA_SHARDS="1")
    due = app.clock() - timedelta(hours=1)
    await asyncio.gather(*(app.stores.agenda.add(leftover(due, number)) for number in range(30)))

    worked = await work_agenda(app, {"000": None}, Limits(app.clock()))

    assert worked["000"].more
    assert 30 <= len(await app.stores.agenda.due("000", due, None))
    assert not (await work_agenda(app, {"000": None}, Limits(app.clock() + timedelta(minutes=1))))["000"].more
    assert [] == await leftovers(app, due)


async def test_sweep_repairs_missing_rows_and_counts_everything(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    lost_agenda, lost_directory = [await bind(app, visitor, person()) for _ in range(2)]
    grant = (await grant_of(app, lost_agenda)).value
    assert grant.due is not None
    row = Work(grant.work, grant.due, grant.principal.id, grant.app)
    await app.stores.agenda.remove([row])
    entry = await app.stores.directory.get(lost_directory)
    assert entry is not None
    await app.stores.directory.remove(entry)
    assert await find_account(app, lost_directory) is None

    swept = await sweep(app, clock() + timedelta(minutes=4))

    assert swept.mended >= 2
    assert None is swept.cursor
    assert await app.stores.agenda.holds(row)
    assert lost_directory == (await hand_out(app, lost_directory)).account
    again = await sweep(app, clock() + timedelta(minutes=4))
    assert 0 == again.mended
    accounts = [found async for _, found in app.stores.principals.accounts(None, None)]
    connected = sum(found.state is AccountState.CONNECTED for found in accounts)
    assert connected == again.counts["accounts.connected"]
    assert connected == (await counts(app))["accounts.connected"]


async def test_sweep_continues_where_the_last_run_stopped(app: App, clock: MovedClock) -> None:
    for _ in range(100):
        who = records.principal()
        await app.stores.principals.commit(
            who.id, [Insert(records.grant(who, clock())), Insert(records.account(who, clock()))]
        )
    ahead = records.principal()
    hot = replace(records.grant(ahead, clock()), due=clock() + timedelta(days=30), work=WorkKind.REFRESH)
    await app.stores.principals.commit(ahead.id, [Insert(hot)])

    full = await sweep(app, clock() + timedelta(minutes=4))

    runs = [await sweep(app, clock())]
    while runs[-1].cursor is not None:
        runs.append(await sweep(app, clock()))

    assert len(runs) > 3
    assert full.counts == runs[-1].counts
    assert full.mended >= 200
    assert 0 == runs[-1].mended


async def test_sweep_continues_after_a_grant_that_cannot_be_decrypted(app: App, clock: MovedClock) -> None:
    broken, well = records.principal(), records.principal()
    astray = replace(records.grant(broken, clock()), due=clock() + timedelta(days=30))
    await app.stores.principals.commit(broken.id, [Insert(astray)])
    await app.stores.principals.commit(well.id, [Insert(records.grant(well, clock()))])
    await lose(app, "Principals", table_key(broken.id), f"grant~{table_key(records.APP)}")

    swept = await sweep(app, clock() + timedelta(minutes=4))

    assert None is swept.cursor
    assert swept.mended >= 2
    for who in (broken, well):
        stored = await app.stores.principals.grant(who.id, records.APP)
        assert stored is not None
        assert stored.value.due is not None
        assert stored.value.due < clock() + timedelta(days=8)
        assert await app.stores.agenda.holds(Work(stored.value.work, stored.value.due, who.id, records.APP))
        await app.stores.principals.commit(who.id, [Remove(stored.value, stored.version)])


async def test_counters_follow_every_change(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    async def changes() -> list[int]:
        now = await counts(app)
        return [now.get(name, 0) - before.get(name, 0) for name in names]

    names = ("accounts.connected", "accounts.authenticationError", "grants.hot")
    await sweep(app, clock() + timedelta(minutes=4))
    before, who = await counts(app), person()

    account = await bind(app, visitor, who)
    assert [1, 0, 0] == await changes()
    await hand_out(app, account)
    assert [1, 0, 1] == await changes()
    tenant.do("revoke", person=who)
    await reconnect_account(app, account)
    assert [0, 1] == (await changes())[:2]
    await remove_account(app, account)
    assert [0, 0] == (await changes())[:2]


async def test_grant_stopped_by_two_instances_is_counted_once(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    other, who = new_app(), person()
    account = await bind(app, visitor, who)
    stored = await grant_of(app, account)
    tenant.do("revoke", person=who)
    tenant.do("latency", endpoint="token", milliseconds=300)
    before = (await counts(app)).get("accounts.authenticationError", 0)

    await asyncio.gather(*(refresh_grant(instance, stored) for instance in (app, other)))

    await other.tally.flush()
    assert before + 1 == (await counts(app))["accounts.authenticationError"]
