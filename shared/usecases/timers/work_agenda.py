"""Work the agenda: whatever is due, oldest first, until it is done, enough, or the time is up."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched

from shared.domain.errors import Unavailable
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock
from shared.usecases import use_case

log = logging.getLogger(__name__)

type Handler = Callable[[Work, datetime], Awaitable[str | None]]
"""Does one row's work; returns what became of it, to be counted.

What takes long stops soon after the given time, has written down how far it came, and returns LEFT: then the row stays.
"""

FAILED = "failed"
LEFT = "left"
EARLY = "early"
WAITS = "waits"
STAYS = {FAILED, LEFT, EARLY, WAITS}
# A run lasts four minutes, and a row that it begins at their end has to end well before host.json's functionTimeout.
ROW_LASTS = timedelta(minutes=2)
PAGE = 1000  # rows in one read (Table service: query time-out and pagination)
AT_A_TIME = 100  # rows of a transaction (Table service: entity group transactions)


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: nothing new is begun after `until`, nor after `rows` rows of one shard."""

    until: datetime
    rows: int | None = None

    @property
    def at_a_time(self) -> int:
        """Rows in work together, and in one transaction that removes them."""
        return AT_A_TIME if self.rows is None else min(AT_A_TIME, self.rows)


@dataclass(slots=True)
class Worked:
    """What became of a shard's rows; `more` says that rows are left which were due when the work began."""

    outcomes: Counter[str] = field(default_factory=Counter)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What all shards of one run share: `end` is what was due when it began."""

    end: datetime
    limits: Limits
    slots: asyncio.Semaphore


@use_case
class WorkAgenda:
    """A run costs what is due, not what exists: `at_once` rows are in work, of `shards_at_once` shards.

    Few shards at a time, because rows of one shard share their writes to the agenda.
    """

    agenda: Agenda
    handlers: Mapping[WorkKind, Handler]
    clock: Clock
    at_once: int
    shards_at_once: int
    row_lasts: timedelta = ROW_LASTS

    async def __call__(
        self, shards: Mapping[str, datetime | None], limits: Limits, due_by: datetime | None = None
    ) -> dict[str, Worked]:
        """Work what is due by now, or by `due_by`, in shards side by side; each begins behind its own due time."""
        run = Run(due_by or self.clock(), limits, asyncio.Semaphore(self.at_once))
        turns = asyncio.Semaphore(self.shards_at_once)

        async def in_turn(shard: str, begin: datetime | None) -> Worked:
            worked = Worked()
            async with turns:
                try:
                    await self._shard(run, shard, begin, worked)
                except Unavailable:
                    # The other shards go on, and this one's rows are still there for the next run.
                    log.warning("shard not worked", extra={"shard": shard})
                    worked.outcomes[FAILED] += 1
            return worked

        worked = await asyncio.gather(*(in_turn(shard, begin) for shard, begin in shards.items()))
        return dict(zip(shards, worked, strict=True))

    async def _shard(self, run: Run, shard: str, begin: datetime | None, worked: Worked) -> None:
        last, seen = None, 0
        while not worked.more and (page := await self.agenda.due(shard, run.end, last or begin, PAGE)):
            for rows in batched(page, run.limits.at_a_time, strict=False):
                if self.clock() >= run.limits.until or (run.limits.rows is not None and seen >= run.limits.rows):
                    worked.more = True
                    break
                worked.outcomes.update(await self._rows(rows, run))
                last, seen = rows[-1], seen + len(rows)
            if len(page) < PAGE:
                break
        worked.more = worked.more or LEFT in worked.outcomes

    async def _rows(self, rows: Sequence[Work], run: Run) -> list[str]:
        outcomes = await asyncio.gather(*(self._row(work, run) for work in rows))
        # After a crash before this, the rows are left over: the grants wait for others, and these mean nothing.
        await self.agenda.remove([work for work, outcome in zip(rows, outcomes, strict=True) if outcome not in STAYS])
        return outcomes

    async def _row(self, work: Work, run: Run) -> str:
        """One row. Its failure is its own: the row stays, and is tried again when some time has passed."""
        if work.is_waiting(self.clock()):
            return WAITS
        async with run.slots:
            if self.clock() >= run.limits.until:
                return LEFT
            try:
                async with asyncio.timeout(self.row_lasts.total_seconds()):
                    outcome = await self.handlers[work.kind](work, run.limits.until)
            except Unavailable:  # nothing of this row's: it is tried again in the next run
                log.exception("work failed", extra=_ids(work))
                return FAILED
            except TimeoutError:
                log.exception("work ran out of time", extra=_ids(work))
                return await self._put_off(work)
            except Exception:
                log.exception("work failed", extra=_ids(work))
                return await self._put_off(work)
            return outcome or str(work.kind)

    async def _put_off(self, work: Work) -> str:
        with suppress(Unavailable):
            await self.agenda.put_off(work.after_failure(self.clock()))
        return FAILED


def _ids(work: Work) -> dict[str, object]:
    return {"kind": work.kind, "owner": work.owner, "failures": work.failures + 1}
