"""Ticks while Microsoft, storage or the clock misbehave: afterwards everyone is well and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.environment import Environment, local_environment
from shared.bootstrap import build_services
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
