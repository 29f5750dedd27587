"""Ticks while Microsoft, storage or the clock misbehave: afterwards everyone is well and nothing is lost."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local import azurite
from infra.local.environment import Environment, local_environment
from shared.bootstrap import build_services
from shared.domain.errors import StaleWrite, StorageUnavailable
from shared.services import Services
from tests.conftest import MovedClock
from tests.faults.test_shared_backlog import bind_many, everyone_is_well, make_due, tenant_of
from tests.journey.conftest import STILL, tick

GRANTS = 60


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Environment]:
    """A system of its own that keeps its data, so that storage can go and come back."""
    with local_environment(
        tmp_path, data=tmp_path / "data", changes={**STILL, "MAILBIND_AGENDA_SHARDS": "4"}
    ) as running:
        yield running


async def test_whatever_the_token_endpoint_does_nobody_is_blamed_and_everybody_recovers(kept: Environment) -> None:
    clock = MovedClock()
    services = build_services(kept.settings, clock)
    with tenant_of(kept) as tenant:
        accounts = await bind_many(services, tenant, GRANTS)
        for mode in ("503", "html", "reset"):
            await make_due(services, accounts)
            tenant.do("outage", endpoint="token", mode=mode)
            worked = await tick(services)
            assert GRANTS == worked.outcomes["transient"], mode
            tenant.do("outage", endpoint="token", mode="none")
            clock.forward(minutes=40)
            assert GRANTS == (await tick(services)).outcomes["refreshed"], mode
            await everyone_is_well(services, accounts)
        await make_due(services, accounts)
        tenant.do("throttle", endpoint="token", times=GRANTS // 2, retryAfter=30)
        worked = await tick(services)
        assert (GRANTS // 2, GRANTS // 2) == (worked.outcomes["transient"], worked.outcomes["refreshed"])
        clock.forward(minutes=40)
        await tick(services)
        await everyone_is_well(services, accounts)
    await services.close()


async def test_storage_that_goes_in_the_middle_of_a_tick_costs_nobody_their_grant(
    kept: Environment, tmp_path: Path
) -> None:
    clock = MovedClock()
    services = build_services(kept.settings, clock)
    with tenant_of(kept) as tenant:
        accounts = await bind_many(services, tenant, GRANTS)
        storage = kept.storage
        for number in range(3):
            await make_due(services, accounts)
            tenant.do("latency", endpoint="token", milliseconds=100)
            running = asyncio.create_task(tick(services))
            await asyncio.sleep(0.15)
            port = urlsplit(storage.tables_url).port or 0
            await asyncio.to_thread(storage.stop)
            with suppress(StorageUnavailable, StaleWrite):  # the run fails as a whole, and the next one goes on
                await running
            tenant.do("latency", endpoint="token", milliseconds=0)
            folder = tmp_path / f"again{number}"
            again = partial(azurite.start, folder=folder, data=tmp_path / "data", table_port=port)
            storage = await asyncio.to_thread(again)
        try:
            clock.forward(minutes=40)
            await _all_well(services, accounts)
        finally:
            await services.close()
            storage.stop()


async def test_a_clock_that_jumps_ahead_and_back_loses_nothing(kept: Environment) -> None:
    clock = MovedClock()
    services = build_services(kept.settings, clock)
    with tenant_of(kept) as tenant:
        accounts = await bind_many(services, tenant, GRANTS)
        clock.forward(days=30)
        assert GRANTS == (await tick(services)).outcomes["refreshed"]
        clock.forward(days=-30)
        assert {} == (await tick(services)).outcomes
        assert 0 == (await services.sweep(clock())).mended
        await everyone_is_well(services, accounts)
        clock.forward(days=40)
        await _all_well(services, accounts)
    await services.close()


async def _all_well(services: Services, accounts: list[str]) -> None:
    """After a quiet tick nothing is overdue, nothing is missing, and every grant lives."""
    await tick(services)
    await tick(services)
    assert 0 == (await services.read_statistics()).overdue
    assert 0 == (await services.sweep(services.clock())).mended
    await everyone_is_well(services, accounts)
