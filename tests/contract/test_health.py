"""How things are is looked at once in some seconds, however many ask."""

import asyncio

from shared.domain.oauth_app import CircuitBreaker
from shared.services import Services
from tests.conftest import MovedClock


async def test_health_is_looked_at_once_in_five_seconds(services: Services, clock: MovedClock) -> None:
    app = services.settings.seed.id
    first, *others = await asyncio.gather(*(services.read_health() for _ in range(50)))
    now = clock()
    stored = await services.breakers.insert(CircuitBreaker(app, "app_credential", now, now, 7000222))
    try:
        within = await services.read_health()
        clock.forward(seconds=6)
        after = await services.read_health()
    finally:
        await services.breakers.remove(stored)

    assert [] == [one for one in [*others, within] if one is not first]
    assert (True, False) == (first.success, after.success)
