"""Tidy up: what ran out goes, and how things stand is told to whoever draws it over time."""

import logging

from shared.ports import Clock, ShardQueue
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
    queue: ShardQueue
    shard: str
    clock: Clock

    async def __call__(self) -> None:
        """Reap registrations, forget limits nobody is near to, log the state, and look at the poison queue.

        A function on the poison queue would poll it all day, and the host gives it no message that is not base64.
        """
        until = self.clock() + LASTS
        worked = await self.work({self.shard: None}, Limits(until))
        log.info("registrations reaped", extra=dict(worked[self.shard].outcomes))
        await self.limits.forget(until)
        found = await self.statistics()
        log.info("state", extra=found.gauges(self.clock()))
        if messages := await self.queue.poisoned():
            # A handover ends by itself, and then the timer has the shard again.
            log.error("shard messages failed for good", extra={"messages": messages})
