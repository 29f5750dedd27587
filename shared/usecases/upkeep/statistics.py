"""Statistics and health: kept counters, the last tick, the heads of the agenda, and open circuit breakers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from shared.domain.errors import MailbindError
from shared.domain.oauth_app import CircuitBreaker
from shared.domain.work import Counters, Sweep, Tick
from shared.ports import App, Health
from shared.usecases.apps.circuit_breaker import open_breakers
from shared.usecases.events.webhook_care import Underway, count_events_underway

# Two ticks: what is older than that should have been worked.
OVERDUE = timedelta(minutes=2)
LOOKED_AT = 100
# Anybody may ask for the health, and each check reads a row for each OAuth app.
HEALTH_LIFETIME = timedelta(seconds=5)
HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Statistics:
    """`due` and `overdue` are counted in the first hundred rows of each shard; `capped` says that there are more."""

    counters: Counters
    tick: Tick | None
    sweep: Sweep | None
    due: int
    overdue: int
    oldest: datetime | None
    capped: bool
    breakers: Sequence[CircuitBreaker]
    events: Underway

    def late(self, now: datetime) -> float:
        """For how many seconds the oldest row that is due has waited."""
        return round((now - self.oldest).total_seconds(), 3) if self.oldest else 0

    def gauges(self, now: datetime) -> dict[str, float]:
        """As numbers by name, for those who draw them over time."""
        return {
            **self.counters.counts,
            "due": self.due,
            "overdue": self.overdue,
            "oldest_seconds": self.late(now),
            "open_breakers": len(self.breakers),
            "events_to_fan_out": self.events.to_fan_out,
            "events_waiting": self.events.waiting,
            "events_parked": self.events.parked,
        }


async def read_statistics(app: App) -> Statistics:
    """What is known now.

    Costs a few reads for each shard and each webhook, however many accounts there are.
    """
    now = app.clock()
    heads = await asyncio.gather(
        *(app.stores.agenda.due(shard, now, None, LOOKED_AT) for shard in app.stores.agenda.shards)
    )
    works = [work for head in heads for work in head]
    counters, tick = await app.stores.counters.get(Counters().name), await app.stores.ticks.get("tick")
    sweep = await app.stores.sweeps.get("sweep")
    return Statistics(
        counters=counters.value if counters else Counters(),
        tick=tick.value if tick else None,
        sweep=sweep.value if sweep else None,
        due=len(works),
        overdue=sum(now - work.due > OVERDUE for work in works),
        oldest=min((work.due for work in works), default=None),
        capped=any(len(head) == LOOKED_AT for head in heads),
        breakers=await open_breakers(app),
        events=await count_events_underway(app),
    )


async def read_health(app: App) -> Health:
    """Whether storage answers and Microsoft accepts every OAuth app, as seen within the last five seconds.

    Outages are cached too. Callers who ask during a check share it, because storage that hangs takes long.
    """
    cached = app.caches.health.get(HEALTH, app.clock())
    if cached is not None:
        return cached
    return await app.caches.health_checks(HEALTH, partial(_check_health, app))


async def _check_health(app: App) -> Health:
    try:
        success, error = not await open_breakers(app), None
    except MailbindError as failure:
        success, error = False, failure.code
    health = Health(success=success, storage=error, seen=app.clock())
    app.caches.health.put(HEALTH, health, health.seen, health.seen + HEALTH_LIFETIME)
    return health
