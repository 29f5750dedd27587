"""Work the agenda: whatever is due, oldest first, until it is done or the time is up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock

log = logging.getLogger(__name__)

type Handler = Callable[[Work], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WorkAgenda:
    """A tick costs what is due, not what exists. At most `at_once` rows are in work at any time."""

    agenda: Agenda
    handlers: Mapping[WorkKind, Handler]
    clock: Clock
    at_once: int

    async def __call__(self, shard: str, until: datetime) -> int:
        """Work one shard and return how many rows were done. After `until` nothing new is begun."""
        tick, done, last = self.clock(), 0, None
        while self.clock() < until:
            page = await self.agenda.due(shard, tick, last)
            if not page:
                break
            slots = asyncio.Semaphore(self.at_once)
            done += sum(await asyncio.gather(*(self._row(work, slots, until) for work in page)))
            last = page[-1]
        return done

    async def _row(self, work: Work, slots: asyncio.Semaphore, until: datetime) -> bool:
        """One row. Its failure is its own: the row stays, and the next tick finds it again."""
        async with slots:
            if self.clock() >= until:
                return False
            try:
                await self.handlers[work.kind](work)
                await self.agenda.remove(work)
            except Exception:
                log.exception("work failed", extra={"kind": work.kind, "owner": work.owner})
                return False
            return True
