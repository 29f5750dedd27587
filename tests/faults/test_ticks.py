"""Ticks survive failures of Microsoft, storage and the clock, and lose nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local import azurite
from infra.local.environment import Environment, local_environment
from shared.adapters import token_transport
from shared.assembly import TIMER_THREADS
from shared.bootstrap import build
from shared.domain.errors import StorageUnavailable
from shared.ports import App
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.upkeep.statistics import read_statistics
from tests.conftest import MovedClock
from tests.environments import STILL, Surroundings
from tests.faults.test_shared_backlog import bind_many, everyone_is_well, make_due, mended, tenant_of
from tests.journey.conftest import tick

GRANTS = 24
SHARDS = {"MAILBIND_AGENDA_SHARDS": "4"}
OUTAGES = 3


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Environment]:
    """A separate system that keeps its data, so that storage can stop and start again."""
    with local_environment(tmp_path, data=tmp_path / "data", changes={**STILL, **SHARDS}) as running:
        yield running


async def test_token_endpoint_failures_blame_no_grant(surroundings: Surroundings) -> None:
    clock = MovedClock()
    services = build({**surroundings.settings, **SHARDS}, clock)
    with tenant_of(surroundings) as tenant:
        accounts = await bind_many(services, tenant, GRANTS)
        for mode in ("503", "html", "reset"):
            await make_due(services, accounts)
            tenant.do("outage", endpoint="token", mode=mode)
            assert {"transient": GRANTS} == (await tick(services)).outcomes, mode
            tenant.do("outage", endpoint="token", mode="none")
            clock.forward(minutes=40)
            assert {"refreshed": GRANTS} == (await tick(services)).outcomes, mode
            await everyone_is_well(services, accounts)
        await make_due(services, accounts)
        tenant.do("throttle", endpoint="token", times=GRANTS // 2, retryAfter=30)
        assert {"transient": GRANTS // 2, "refreshed": GRANTS // 2} == (await tick(services)).outcomes
        clock.forward(minutes=40)
        await tick(services)
        await everyone_is_well(services, accounts)
    await services.close()


async def test_hanging_token_endpoint_changes_no_state(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read timeout ends each call; MSAL would wait for ever by default."""
    monkeypatch.setattr(token_transport, "READ_TIMEOUT_SECONDS", 3.0)
    clock = MovedClock()
    services = build({**surroundings.settings, "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    with tenant_of(surroundings) as tenant:
        accounts = await bind_many(services, tenant, TIMER_THREADS)
        await make_due(services, accounts)
        tenant.do("outage", endpoint="token", mode="hang")

        assert {"transient": TIMER_THREADS} == (await tick(services)).outcomes

        tenant.do("outage", endpoint="token", mode="none")
        clock.forward(minutes=40)
        assert {"refreshed": TIMER_THREADS} == (await tick(services)).outcomes
        await everyone_is_well(services, accounts)
    await services.close()


async def test_storage_failure_during_a_tick_loses_no_grant(kept: Environment, tmp_path: Path) -> None:
    clock = MovedClock()
    services = build(kept.settings, clock)
    with tenant_of(kept) as tenant:
        accounts = await bind_many(services, tenant, 2 * TIMER_THREADS)  # no tick is over at once
        storage = kept.storage
        port = urlsplit(storage.tables_url).port or 0
        for number in range(OUTAGES):
            await make_due(services, accounts)
            tenant.do("latency", endpoint="token", milliseconds=100)
            running = asyncio.create_task(tick(services))
            await asyncio.sleep(0.1 + 0.1 * number)
            await asyncio.to_thread(storage.stop)
            with suppress(StorageUnavailable):  # the run may fail as a whole, and the next one goes on
                await running
            tenant.do("latency", endpoint="token", milliseconds=0)
            folder = tmp_path / f"again{number}"
            again = partial(azurite.start, folder=folder, data=tmp_path / "data", table_port=port)
            storage = await asyncio.to_thread(again)
        try:
            await _all_well(services, clock, accounts)
        finally:
            await services.close()
            storage.stop()


@pytest.mark.parametrize("days", [30, 400])
async def test_clock_jump_loses_nothing(surroundings: Surroundings, days: int) -> None:
    """It schedules work too far ahead; the sweep corrects that before a refresh token expires unused."""
    clock = MovedClock()
    services = build({**surroundings.settings, **SHARDS}, clock)
    with tenant_of(surroundings) as tenant:
        accounts = await bind_many(services, tenant, GRANTS)
        clock.forward(days=days)
        assert {"refreshed": GRANTS} == (await tick(services)).outcomes
        clock.forward(days=-days)
        assert {} == (await tick(services)).outcomes
        assert not (await hand_out(services, accounts[0])).cached

        assert GRANTS - 1 == await mended(services)

        clock.forward(minutes=5)
        assert {"refreshed": GRANTS - 1} == (await tick(services)).outcomes
        assert 0 == await mended(services)
        await everyone_is_well(services, accounts)
        clock.forward(days=8)
        await _all_well(services, clock, accounts)
    await services.close()


async def _all_well(services: App, clock: MovedClock, accounts: list[str]) -> None:
    """After the retry delays, nothing is overdue, nothing is missing, and every grant works."""
    for _ in range(2):
        clock.forward(minutes=40)
        await tick(services)
    assert 0 == (await read_statistics(services)).overdue
    assert 0 == await mended(services)
    await everyone_is_well(services, accounts)
