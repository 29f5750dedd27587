"""Work the agenda: whatever is due, oldest first, until it is done, enough, or the time is up."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock

log = logging.getLogger(__name__)

type Handler = Callable[[Work], Awaitable[str | None]]
"""Does one row's work; returns what became of it, to be counted."""

FAILED = "failed"
LEFT = "left"


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: nothing new is begun after `until`, nor after `rows` rows of one shard."""

    until: datetime
    rows: int | None = None


@dataclass(slots=True)
class Worked:
    """What became of a shard's rows; `more` says that rows are left which were due when the work began."""

    outcomes: Counter[str] = field(default_factory=Counter)
    more: bool = False


@dataclass(frozen=True, slots=True)
class WorkAgenda:
    """A run costs what is due, not what exists: `at_once` rows are in work, of `shards_at_once` shards.

    Few shards at a time, because rows of one shard share their writes to the agenda.
    """

    agenda: Agenda
    handlers: Mapping[WorkKind, Handler]
    clock: Clock
    at_once: int
    shards_at_once: int

    async def __call__(
        self, shards: Mapping[str, datetime | None], limits: Limits, due_by: datetime | None = None
    ) -> dict[str, Worked]:
        """Work what is due by now, or by `due_by`, in shards side by side; each begins behind its own due time."""
        slots, turns = asyncio.Semaphore(self.at_once), asyncio.Semaphore(self.shards_at_once)
        end = due_by or self.clock()

        async def in_turn(shard: str, begin: datetime | None) -> Worked:
            async with turns:
                return await self._shard(shard, begin, end, limits, slots)

        worked = await asyncio.gather(*(in_turn(shard, begin) for shard, begin in shards.items()))
        return dict(zip(shards, worked, strict=True))

    async def _shard(
        self, shard: str, begin: datetime | None, end: datetime, limits: Limits, slots: asyncio.Semaphore
    ) -> Worked:
        worked, last, seen = Worked(), None, 0
        while page := await self.agenda.due(shard, end, last or begin):
            if self.clock() >= limits.until or (limits.rows is not None and seen >= limits.rows):
                worked.more = True
                break
            outcomes = await asyncio.gather(*(self._row(work, slots, limits.until) for work in page))
            worked.outcomes.update(outcomes)
            # After a crash before this, the rows are left over: the grants wait for others, and these mean nothing.
            done = [work for work, outcome in zip(page, outcomes, strict=True) if outcome not in {LEFT, FAILED}]
            await self.agenda.remove(done)
            last, seen = page[-1], seen + len(page)
        worked.more = worked.more or LEFT in worked.outcomes
        return worked

    async def _row(self, work: Work, slots: asyncio.Semaphore, until: datetime) -> str:
        """One row. Its failure is its own: the row stays, and the next run finds it again."""
        async with slots:
            if self.clock() >= until:
                return LEFT
            try:
                outcome = await self.handlers[work.kind](work)
            except Exception:
                log.exception("work failed", extra={"kind": work.kind, "owner": work.owner})
                return FAILED
            return outcome or str(work.kind)
