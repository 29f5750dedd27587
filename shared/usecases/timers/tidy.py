"""Tidy up: what ran out goes, and how things stand is told to whoever draws it over time."""

import logging

from shared.ports import Clock
from shared.usecases import use_case
from shared.usecases.callers.limit_requests import LimitRequests
from shared.usecases.timers.read_statistics import ReadStatistics
from shared.usecases.timers.run_tick import LASTS
from shared.usecases.timers.work_agenda import Limits, WorkAgenda

log = logging.getLogger(__name__)


@use_case
class Tidy:
    """`shard` is the one of registrations that run out."""

    work: WorkAgenda
    limits: LimitRequests
    statistics: ReadStatistics
    shard: str
    clock: Clock

    async def __call__(self) -> None:
        """Reap registrations, forget limits nobody is near to, and log the state."""
        until = self.clock() + LASTS
        worked = await self.work({self.shard: None}, Limits(until))
        log.info("registrations reaped", extra=dict(worked[self.shard].outcomes))
        await self.limits.forget(until)
        found = await self.statistics()
        log.info("state", extra=found.gauges(self.clock()))
