"""The refresh engine: backlogs, the sweep and the counters."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import httpx

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.domain.account import AccountState
from shared.domain.formats import table_key
from shared.domain.work import Handover, Work, WorkKind
from shared.ports import App, Insert, Remove, Replace
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from shared.usecases.upkeep.agenda import Limits
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.sweep import sweep
from shared.usecases.upkeep.tick import run_tick, work_agenda, work_handed_over_shard
from tests.conftest import MovedClock, lose
from tests.contract import records
from tests.journey.conftest import Tenant, bind, principal_id, tick
from tests.journey.test_keeping_alive import grant_of
from tests.patience import until

type NewPerson = Callable[..., str]


async def test_long_shard_is_handed_over_to_another_instance(environment: Environment, clock: MovedClock) -> None:
    few = build({**environment.settings, "MAILBIND_TICK_ROWS": "100", "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    try:
        due = few.clock() - timedelta(hours=1)
        await asyncio.gather(*(few.stores.agenda.add(_leftover(due, number)) for number in range(250)))

        first = await run_tick(few)

        assert ("000",) == first.handed_over
        held = await few.stores.handovers.get("000")
        assert held is not None
        assert len(await few.stores.agenda.due("000", due, None)) == 100
        second = await run_tick(few)
        assert () == second.handed_over
        assert 0 == second.outcomes.get("leftover", 0)

        await work_handed_over_shard(few, "000", held.value.due_by)

        assert [] == list(await few.stores.agenda.due("000", due, None))
        assert None is await few.stores.handovers.get("000")
    finally:
        await few.close()


async def test_timer_works_the_shard_of_a_dead_worker_again(environment: Environment, clock: MovedClock) -> None:
    few = build({**environment.settings, "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    try:
        due = few.clock() - timedelta(hours=1)
        await few.stores.agenda.add(_leftover(due, 1))
        await few.stores.handovers.insert(Handover("000", few.clock(), few.clock() + timedelta(minutes=15)))
        await run_tick(few)
        assert 1 == len(
            [work for work in await few.stores.agenda.due("000", due, None) if work.owner.startswith("gone")]
        )

        clock.forward(minutes=16)
        await run_tick(few)

        assert [] == [work for work in await few.stores.agenda.due("000", due, None) if work.owner.startswith("gone")]
        stored = await few.stores.handovers.get("000")
        assert stored is not None
        await few.stores.handovers.remove(stored)
    finally:
        await few.close()


def _leftover(due: datetime, number: int) -> Work:
    return Work(WorkKind.REFRESH, due, f"gone.{number}", "app")


async def test_tick_stops_on_time_and_leaves_the_rest(environment: Environment, clock: MovedClock) -> None:
    built = build({**environment.settings, "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    try:
        due = built.clock() - timedelta(hours=1)
        await asyncio.gather(*(built.stores.agenda.add(_leftover(due, number)) for number in range(30)))

        worked = await work_agenda(built, {"000": None}, Limits(built.clock()))

        assert worked["000"].more
        assert 30 <= len(await built.stores.agenda.due("000", due, None))
        assert not (await work_agenda(built, {"000": None}, Limits(built.clock() + timedelta(minutes=1))))["000"].more
        assert [] == [work for work in await built.stores.agenda.due("000", due, None) if work.owner.startswith("gone")]
    finally:
        await built.close()


async def test_sweep_repairs_missing_rows_and_counts_everything(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    lost_agenda, lost_directory = (bind(api, visitor, person()) for _ in range(2))
    grant = (await grant_of(instance, lost_agenda)).value
    assert grant.due is not None
    row = Work(grant.work, grant.due, grant.principal.id, grant.app)
    await instance.stores.agenda.remove([row])
    entry = await instance.stores.directory.get(lost_directory)
    assert entry is not None
    await instance.stores.directory.remove(entry)
    assert 404 == api.get(f"/v1/account/{lost_directory}").status_code

    swept = await sweep(instance, clock() + timedelta(minutes=4))

    assert swept.mended >= 2
    assert None is swept.cursor
    assert await instance.stores.agenda.holds(row)
    assert 200 == api.get(f"/v1/account/{lost_directory}/oauth-token").status_code
    again = await sweep(instance, clock() + timedelta(minutes=4))
    assert 0 == again.mended
    accounts = [found async for _, found in instance.stores.principals.accounts(None, None)]
    connected = sum(found.state is AccountState.CONNECTED for found in accounts)
    assert connected == again.counts["accounts.connected"]
    assert connected == api.get("/v1/stats").json()["accounts"]["connected"]


async def test_sweep_continues_where_the_last_run_stopped(instance: App, clock: MovedClock) -> None:
    for _ in range(100):
        who = records.principal()
        await instance.stores.principals.commit(
            who.id, [Insert(records.grant(who, clock())), Insert(records.account(who, clock()))]
        )
    ahead = records.principal()
    hot = replace(records.grant(ahead, clock()), due=clock() + timedelta(days=30), work=WorkKind.REFRESH)
    await instance.stores.principals.commit(ahead.id, [Insert(hot)])

    full = await sweep(instance, clock() + timedelta(minutes=4))

    runs = [await sweep(instance, clock())]
    while runs[-1].cursor is not None:
        runs.append(await sweep(instance, clock()))

    assert len(runs) > 3
    assert full.counts == runs[-1].counts
    assert full.mended >= 200
    assert 0 == runs[-1].mended


async def test_sweep_continues_after_a_grant_that_cannot_be_decrypted(instance: App, clock: MovedClock) -> None:
    broken, well = records.principal(), records.principal()
    astray = replace(records.grant(broken, clock()), due=clock() + timedelta(days=30))
    await instance.stores.principals.commit(broken.id, [Insert(astray)])
    await instance.stores.principals.commit(well.id, [Insert(records.grant(well, clock()))])
    await lose(instance, "Principals", table_key(broken.id), f"grant~{table_key(records.APP)}")

    swept = await sweep(instance, clock() + timedelta(minutes=4))

    assert None is swept.cursor
    assert swept.mended >= 2
    for who in (broken, well):
        stored = await instance.stores.principals.grant(who.id, records.APP)
        assert stored is not None
        assert stored.value.due is not None
        assert stored.value.due < clock() + timedelta(days=8)
        assert await instance.stores.agenda.holds(Work(stored.value.work, stored.value.due, who.id, records.APP))
        await instance.stores.principals.commit(who.id, [Remove(stored.value, stored.version)])


async def test_counters_follow_every_change(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    await sweep(instance, clock() + timedelta(minutes=4))
    before = api.get("/v1/stats").json()
    who = person()
    account = bind(api, visitor, who)
    await _until(api, "accounts", "connected", before["accounts"].get("connected", 0) + 1)
    await hand_out(instance, account)
    await instance.tally.flush()
    await _until(api, "grants", "hot", before["grants"].get("hot", 0) + 1)

    tenant.do("revoke", person=who)
    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    wanted = before["accounts"].get("authenticationError", 0) + 1
    await _until(api, "accounts", "authenticationError", wanted)
    await _until(api, "accounts", "connected", before["accounts"].get("connected", 0))
    api.delete(f"/v1/account/{account}")
    await _until(api, "accounts", "authenticationError", wanted - 1)


async def test_grant_stopped_by_two_instances_is_counted_once(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
    other: App,
    tenant: Tenant,
) -> None:
    who = person()
    account = bind(api, visitor, who)
    stored = await grant_of(instance, account)
    tenant.do("revoke", person=who)
    tenant.do("latency", endpoint="token", milliseconds=300)
    before = (await read_statistics(instance)).counters.counts.get("accounts.authenticationError", 0)

    await asyncio.gather(*(refresh_grant(one, stored) for one in (instance, other)))

    for one in (instance, other):
        await one.tally.flush()
    assert before + 1 == (await read_statistics(instance)).counters.counts["accounts.authenticationError"]


async def _until(api: httpx.Client, group: str, name: str, expected: int) -> None:
    await until(lambda: expected == api.get("/v1/stats").json()[group].get(name, 0))


async def test_stats_show_the_backlog_and_the_last_tick(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    await hand_out(instance, account)
    grant = await grant_of(instance, account)
    soon = replace(grant.value, due=instance.clock() - timedelta(minutes=10))
    assert soon.due
    await instance.stores.agenda.add(Work(soon.work, soon.due, soon.principal.id, soon.app))
    await instance.stores.principals.commit(await principal_id(instance, account), [Replace(soon, grant.version)])
    late = api.get("/v1/stats").json()
    assert late["overdue"] >= 1
    assert late["oldestOverdueSeconds"] >= 600

    await tick(instance)

    after = api.get("/v1/stats").json()
    assert after["lastTick"]["outcomes"]["refreshed"] >= 1
    assert 0 == after["overdue"]
