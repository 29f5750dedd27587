"""A run of the timer: work what one instance clears, and hand the rest of a backlog to others."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite
from shared.domain.statistics import Tick
from shared.domain.work import HANDOVER_LIFETIME, Handover
from shared.ports import Clock, Rows, ShardQueue
from shared.usecases import use_case
from shared.usecases.grants.tally import Tally
from shared.usecases.timers.work_agenda import Limits, WorkAgenda, Worked

log = logging.getLogger(__name__)

# Well inside host.json's functionTimeout, so that a run ends by itself and the next one goes on.
LASTS = timedelta(minutes=4)


@use_case
class RunTick:
    """`rows` is how many rows of one shard an instance works itself before it hands the shard over."""

    work: WorkAgenda
    handovers: Rows[Handover]
    queue: ShardQueue
    ticks: Rows[Tick]
    tally: Tally
    clock: Clock
    rows: int

    async def __call__(self) -> Tick:
        """Work all shards. What was handed over is left to whoever has it, until that takes too long."""
        began = self.clock()
        shards = self.work.agenda.shards
        begins = dict(zip(shards, await asyncio.gather(*map(self._begin, shards)), strict=True))
        worked = await self.work(begins, Limits(began + LASTS, self.rows))
        over = [shard for shard, result in worked.items() if result.more and await self._hand_over(shard, began)]
        tick = Tick(began, self.clock(), _sum(worked), tuple(over))
        await self.tally.settled()
        await self._note(tick)
        took = {"milliseconds": round(tick.seconds * 1000)}
        log.info("tick done", extra={**tick.outcomes, **took, "handed_over": len(over)})
        return tick

    async def work_shard(self, shard: str, due_by: datetime) -> None:
        """Work a backlog that was handed over, in as many turns as it takes."""
        until = self.clock() + LASTS
        worked = (await self.work({shard: None}, Limits(until), due_by=due_by))[shard]
        log.info("shard worked", extra={"shard": shard, **worked.outcomes})
        await self.tally.settled()
        held = await self.handovers.get(shard)
        if held is None or held.value.due_by != due_by:
            return
        with suppress(StaleWrite):  # it took too long, and the timer has the shard again
            if worked.more:
                await self.handovers.replace(held, Handover(shard, due_by, self.clock() + HANDOVER_LIFETIME))
                await self.queue.send(shard, due_by)
            else:
                await self.handovers.remove(held)

    async def _begin(self, shard: str) -> datetime | None:
        held = await self.handovers.get(shard)
        return held.value.due_by if held is not None and self.clock() < held.value.expires else None

    async def _hand_over(self, shard: str, due_by: datetime) -> bool:
        handover = Handover(shard, due_by, self.clock() + HANDOVER_LIFETIME)
        held = await self.handovers.get(shard)
        if held is not None and self.clock() < held.value.expires:
            return False
        with suppress(StaleWrite):  # another instance hands the same shard over
            await (self.handovers.insert(handover) if held is None else self.handovers.replace(held, handover))
            await self.queue.send(shard, due_by)
            return True
        return False

    async def _note(self, tick: Tick) -> None:
        stored = await self.ticks.get(tick.name)
        with suppress(StaleWrite):  # another instance's run ended at the same moment
            await (self.ticks.insert(tick) if stored is None else self.ticks.replace(stored, tick))


def _sum(worked: dict[str, Worked]) -> dict[str, int]:
    return dict(sum((result.outcomes for result in worked.values()), Counter()))
