"""Statistics and health: counters, the last tick, the backlog of the agenda, and refused OAuth apps."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from shared.domain.errors import MailbindError
from shared.domain.failure import SetupFault
from shared.domain.work import Counters, Sweep, Tick
from shared.ports import App, Health
from shared.usecases.apps.circuit_breaker import RefusedApp, refused_apps
from shared.usecases.events.webhook_care import EventBacklog, count_event_backlog

# Two ticks: older work should have been done by now.
OVERDUE_AFTER = timedelta(minutes=2)
MAX_ROWS_COUNTED_PER_SHARD = 100
# Anybody can request the health, and each check reads a row for each OAuth app.
HEALTH_LIFETIME = timedelta(seconds=5)
HEALTH_CACHE_KEY = "health"


class Statistics(NamedTuple):
    """`due` and `overdue` count the first hundred due rows of each shard; `capped` says that there are more."""

    counters: Counters
    tick: Tick | None
    sweep: Sweep | None
    due: int
    overdue: int
    oldest: datetime | None
    capped: bool
    refused_apps: Sequence[RefusedApp]
    setup_faults: Sequence[SetupFault]
    events: EventBacklog

    def late(self, now: datetime) -> float:
        """How many seconds the oldest due row has waited."""
        return round((now - self.oldest).total_seconds(), 3) if self.oldest else 0

    def gauges(self, now: datetime) -> dict[str, float]:
        """The numbers to log, by name, so that operators can chart them."""
        return {
            **self.counters.counts,
            "due": self.due,
            "overdue": self.overdue,
            "oldest_seconds": self.late(now),
            "open_breakers": sum(refused.fault.is_open for refused in self.refused_apps),
            "refused_apps": len(self.refused_apps),
            "events_to_fan_out": self.events.to_fan_out,
            "events_waiting": self.events.waiting,
            "events_parked": self.events.parked,
        }


async def read_statistics(app: App) -> Statistics:
    """Read the current statistics, with a few reads for each shard and each webhook, however many accounts exist."""
    now = app.clock()
    due_rows = await asyncio.gather(
        *(app.stores.agenda.due(shard, now, None, MAX_ROWS_COUNTED_PER_SHARD) for shard in app.stores.agenda.shards)
    )
    works = [work for rows in due_rows for work in rows]
    counters, tick = await app.stores.counters.get(Counters().name), await app.stores.ticks.get("tick")
    sweep = await app.stores.sweeps.get("sweep")
    return Statistics(
        counters=counters.value if counters else Counters(),
        tick=tick.value if tick else None,
        sweep=sweep.value if sweep else None,
        due=len(works),
        overdue=sum(now - work.due > OVERDUE_AFTER for work in works),
        oldest=min((work.due for work in works), default=None),
        capped=any(len(rows) == MAX_ROWS_COUNTED_PER_SHARD for rows in due_rows),
        refused_apps=await refused_apps(app),
        setup_faults=app.setup_faults(),
        events=await count_event_backlog(app),
    )


async def read_health(app: App) -> Health:
    """Whether storage answers, Microsoft accepts every OAuth app, and our settings make no host unreachable.

    From a cache of five seconds. Outages are cached too. Requests during a check share it, because storage that hangs
    takes long.
    """
    cached = app.caches.health.get(HEALTH_CACHE_KEY, app.clock())
    if cached is not None:
        return cached
    return await app.caches.health_checks(HEALTH_CACHE_KEY, partial(_check_health, app))


async def _check_health(app: App) -> Health:
    try:
        success, error = not (await refused_apps(app) or app.setup_faults()), None
    except MailbindError as failure:
        success, error = False, failure.code
    health = Health(success=success, storage=error, seen=app.clock())
    app.caches.health.put(HEALTH_CACHE_KEY, health, health.seen, health.seen + HEALTH_LIFETIME)
    return health
