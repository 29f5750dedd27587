"""Every kind of agenda work ends with its run and continues in the next one."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.data.tables.aio import TableClient

from shared.adapters.tables.registrations import MAX_ATTEMPTS_KEPT
from shared.bootstrap import build
from shared.domain.account import Account
from shared.domain.formats import table_key
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import new_pending_account
from shared.domain.registration import SignInAttempt
from shared.domain.tokens import TokenSet
from shared.domain.work import REAP_SHARD, Work, WorkKind
from shared.ports import App, Insert, Replace, Timeouts
from shared.usecases.accounts.read import find_account
from shared.usecases.upkeep.agenda import BACKING_OFF, FAILED, Limits
from shared.usecases.upkeep.tick import work_agenda
from tests.conftest import MovedClock, storage_of
from tests.contract.records import grant, principal, registration
from tests.environments import Surroundings
from tests.faults.test_shared_backlog import bind_many, everyone_is_well, make_due, tenant_of
from tests.journey.conftest import Tenant

# What a run is given, and how many times that it may last at most: the rows that it has begun come to their next stop,
# which takes long on a machine that does much else.
GIVEN, TIMES = timedelta(seconds=1), 30

type Backlog = Callable[[App, Tenant], Awaitable[None]]


@pytest.fixture
async def app(surroundings: Surroundings, clock: MovedClock) -> AsyncIterator[App]:
    built = build({**surroundings.settings, "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    yield built
    await built.close()


async def _mailboxes(app: App, count: int) -> None:
    """Add that many mailboxes to the existing grant."""
    held = await _first_account(app)
    for start in range(0, count, 100):
        more = [replace(held, id=f"more-{number:05}") for number in range(start, min(start + 100, count))]
        await app.stores.principals.commit(held.principal_id, [Insert(one) for one in more])


async def many_grants(app: App, tenant: Tenant) -> None:
    accounts = await bind_many(app, tenant, 80)
    await make_due(app, accounts)
    tenant.do("latency", endpoint="token", milliseconds=600)


async def many_mailboxes(app: App, tenant: Tenant) -> None:
    accounts = await bind_many(app, tenant, 1)
    await _mailboxes(app, 150)
    app_clock = app.clock
    assert isinstance(app_clock, MovedClock)
    app_clock.forward(days=8)
    await make_due(app, accounts)
    tenant.do("latency", endpoint="graph", milliseconds=300)


async def many_who_wait(app: App, _: Tenant) -> None:
    slots = asyncio.Semaphore(8)

    async def one() -> None:
        async with slots:
            who, asked, now = principal(), registration(app.clock()), app.clock()
            await app.stores.registrations.insert(asked)
            held = grant(who, now)
            tokens = TokenSet(held.refresh_token, held.access_token, held.access_expires, held.scopes)
            waits = new_pending_account(
                registration=asked.id,
                accounts=(asked.mailboxes[0].account,),
                principal=who,
                app=held.app,
                tokens=tokens,
                kept=False,
                reason="graph_unavailable",
                now=now - timedelta(hours=2),
            )
            await app.stores.principals.commit(who.id, [Insert(waits)])
            await app.stores.agenda.add(Work(WorkKind.PROBE, waits.due, who.id, asked.id))

    await asyncio.gather(*(one() for _ in range(150)))


async def many_attempts(app: App, _: Tenant) -> None:
    """Attempts as they were stored before they were limited."""
    asked = registration(app.clock() - timedelta(days=9))
    await app.stores.registrations.insert(asked)
    rows = storage_of(app).get_table_client("Registrations")
    start = [{"PartitionKey": table_key(asked.id), "RowKey": f"signin~{number:06}"} for number in range(6000)]
    await asyncio.gather(*(_written(rows, start[at : at + 100]) for at in range(0, len(start), 100)))
    await app.stores.agenda.add(Work(WorkKind.REAP, asked.expires + timedelta(days=7), asked.id))


async def _written(rows: TableClient, entities: list[dict[str, str]]) -> None:
    await rows.submit_transaction([("upsert", entity) for entity in entities])


async def many_links(app: App, _: Tenant) -> None:
    slots = asyncio.Semaphore(8)

    async def one() -> None:
        async with slots:
            asked = registration(app.clock() - timedelta(days=2))
            await app.stores.registrations.insert(asked)
            await app.stores.agenda.add(Work(WorkKind.EXPIRE, asked.expires, asked.id))

    await asyncio.gather(*(one() for _ in range(250)))


BACKLOGS: dict[WorkKind, tuple[Backlog, str]] = {
    WorkKind.REFRESH: (many_grants, "000"),
    WorkKind.KEEPALIVE: (many_mailboxes, "000"),
    WorkKind.PROBE: (many_who_wait, "000"),
    WorkKind.REAP: (many_attempts, REAP_SHARD),
    WorkKind.EXPIRE: (many_links, REAP_SHARD),
}
# These have a timer of their own; see tests/events.
DELIVERED = {WorkKind.EVENT, WorkKind.LATE_EVENT, WorkKind.DELIVER}
# A row of these is one message, with as many calls as it takes to send it.
SHORT = {WorkKind.SEND}


@pytest.mark.parametrize("kind", [kind for kind in WorkKind if kind not in DELIVERED | SHORT])
async def test_run_ends_on_time_and_the_next_runs_finish_the_rest(
    app: App, surroundings: Surroundings, clock: MovedClock, kind: WorkKind
) -> None:
    backlog, shard = BACKLOGS[kind]
    with tenant_of(surroundings) as tenant:
        await backlog(app, tenant)
        runs = 0
        while [work for work in await app.stores.agenda.due(shard, app.clock(), None, 1) if work.kind in BACKLOGS]:
            began = time.monotonic()
            await work_agenda(app, {shard: None}, Limits(app.clock() + GIVEN))
            took = time.monotonic() - began
            runs += 1

            assert took < TIMES * GIVEN.total_seconds(), f"run {runs}"
            clock.forward(seconds=16)  # what goes on waits for a moment
        assert runs > 1, "one run did it all"


async def test_probe_of_many_mailboxes_continues_with_one_refresh(
    app: App, surroundings: Surroundings, clock: MovedClock
) -> None:
    with tenant_of(surroundings) as tenant:
        await many_mailboxes(app, tenant)
        tenant.client.delete("events")
        positions = []
        while (stored := await _only_grant(app)).is_probe_due(app.clock()):
            await work_agenda(app, {"000": None}, Limits(app.clock() + GIVEN))
            positions.append((await _only_grant(app)).probing)
            clock.forward(seconds=16)
            assert len(positions) < 50, stored

        behind = [one.behind for one in positions if one is not None]
        assert (True, None) == (len(behind) > 1, positions[-1])
        assert sorted(set(behind)) == behind
        assert 1 == len(tenant.events("refreshed"))


async def test_row_that_runs_out_of_time_blocks_no_other(
    app: App, surroundings: Surroundings, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    with tenant_of(surroundings) as tenant:
        slow, well = await bind_many(app, tenant, 2)
        clock.forward(days=8)
        await make_due(app, [slow, well])
        found = await find_account(app, well)
        assert found is not None
        held = found.account.value
        stored = await app.stores.principals.grant(held.principal_id, held.app)
        assert stored is not None
        later = replace(stored.value, probe_due=app.clock() + timedelta(days=1))
        await app.stores.principals.commit(held.principal_id, [Replace(later, stored.version)])
        tenant.do("latency", endpoint="graph", milliseconds=8000)
        short = replace(app, timeouts=Timeouts(agenda_row=timedelta(seconds=2)))

        async def run() -> dict[str, int]:
            worked = (await work_agenda(short, {"000": None}, Limits(app.clock() + timedelta(minutes=4))))["000"]
            return {outcome: count for outcome, count in worked.outcomes.items() if outcome != "leftover"}

        assert {FAILED: 1, "refreshed": 1} == await run()
        assert "work ran out of time" in caplog.messages
        # The grant was refreshed and scheduled again before the time was up, so the row is a leftover.
        tenant.do("latency", endpoint="graph", milliseconds=0)
        clock.forward(seconds=40)
        assert {BACKING_OFF: 1, "refreshed": 1} == await run()
        clock.forward(minutes=2)
        assert {} == await run()
        await everyone_is_well(app, [slow, well])


async def test_only_the_newest_sign_ins_of_a_link_are_kept(services: App) -> None:
    asked = registration(services.clock())
    await services.stores.registrations.insert(asked)
    for number in range(MAX_ATTEMPTS_KEPT + 5):
        attempt = SignInAttempt(f"{number:03}", asked.id, "browser", services.clock() + timedelta(seconds=number))
        await services.stores.registrations.add_attempt(attempt)

    kept = [
        await services.stores.registrations.attempt(asked.id, f"{number:03}") for number in range(MAX_ATTEMPTS_KEPT + 5)
    ]
    assert [False] * 5 + [True] * MAX_ATTEMPTS_KEPT == [one is not None for one in kept]


async def test_repeated_attempts_replace_only_attempts_of_one_browser(
    services: App, caplog: pytest.LogCaptureFixture
) -> None:
    asked = registration(services.clock())
    await services.stores.registrations.insert(asked)
    start = services.clock()

    async def begin(name: str, browser: str, second: int) -> None:
        attempt = SignInAttempt(name, asked.id, browser, start + timedelta(seconds=second))
        await services.stores.registrations.add_attempt(attempt)

    await begin("a-person", "careful", 0)
    for number in range(MAX_ATTEMPTS_KEPT + 5):
        await begin(f"{number:03}", "flood", number + 1)
    assert await services.stores.registrations.attempt(asked.id, "a-person") is not None
    assert "sign-ins of other browsers dropped" not in caplog.messages

    await begin("the-last", "another", 100)
    kept = [await services.stores.registrations.attempt(asked.id, name) for name in ("a-person", "the-last", "024")]
    assert [False, True, True] == [one is not None for one in kept]
    assert "sign-ins of other browsers dropped" in caplog.messages


async def _only_grant(app: App) -> DelegatedGrant:
    held = await _first_account(app)
    stored = await app.stores.principals.grant(held.principal_id, held.app)
    assert stored is not None
    return stored.value


async def _first_account(app: App) -> Account:
    return await anext(account async for _, account in app.stores.principals.accounts(None, None))
