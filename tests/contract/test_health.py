"""Health is checked once in five seconds, however many ask."""

import asyncio

from shared.domain.oauth_app import CircuitBreaker
from shared.ports import App
from shared.usecases.upkeep.statistics import read_health
from tests.conftest import MovedClock


async def test_health_is_looked_at_once_in_five_seconds(services: App, clock: MovedClock) -> None:
    app = services.config.seed.id
    first, *others = await asyncio.gather(*(read_health(services) for _ in range(50)))
    now = clock()
    stored = await services.stores.breakers.insert(CircuitBreaker(app, "app_credential", now, now, 7000222))
    try:
        within = await read_health(services)
        clock.forward(seconds=6)
        after = await read_health(services)
    finally:
        await services.stores.breakers.remove(stored)

    assert [] == [one for one in [*others, within] if one is not first]
    assert (True, False) == (first.success, after.success)
