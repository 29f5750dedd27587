"""Statistics: kept counters, the last tick, and the heads of the agenda."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.oauth_app import CircuitBreaker
from shared.domain.statistics import Counters, Sweep, Tick
from shared.ports import Agenda, Clock, OAuthApps, Rows
from shared.usecases import use_case
from shared.usecases.events.webhook_care import Underway, WebhookCare

# Two ticks: what is older than that should have been worked.
OVERDUE = timedelta(minutes=2)
LOOKED_AT = 100


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


@use_case
class OpenBreakers:
    """The breakers that are open now."""

    apps: OAuthApps
    breakers: Rows[CircuitBreaker]

    async def __call__(self) -> Sequence[CircuitBreaker]:
        """One read for each OAuth app."""
        found = await asyncio.gather(*(self.breakers.get(app.id) for app in await self.apps.all()))
        return [stored.value for stored in found if stored is not None and stored.value.is_open]


@use_case
class ReadStatistics:
    """Costs a few reads for each shard and each webhook, however many accounts there are."""

    agenda: Agenda
    counters: Rows[Counters]
    ticks: Rows[Tick]
    sweeps: Rows[Sweep]
    open_breakers: OpenBreakers
    webhooks: WebhookCare
    clock: Clock

    async def __call__(self) -> Statistics:
        """What is known now."""
        now = self.clock()
        heads = await asyncio.gather(*(self.agenda.due(shard, now, None, LOOKED_AT) for shard in self.agenda.shards))
        works = [work for head in heads for work in head]
        counters, tick = await self.counters.get(Counters().name), await self.ticks.get("tick")
        sweep = await self.sweeps.get("sweep")
        return Statistics(
            counters=counters.value if counters else Counters(),
            tick=tick.value if tick else None,
            sweep=sweep.value if sweep else None,
            due=len(works),
            overdue=sum(now - work.due > OVERDUE for work in works),
            oldest=min((work.due for work in works), default=None),
            capped=any(len(head) == LOOKED_AT for head in heads),
            breakers=await self.open_breakers(),
            events=await self.webhooks.underway(),
        )
