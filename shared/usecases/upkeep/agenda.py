"""Work the agenda: what is due, oldest first, until it is done, a limit is reached, or the time is up."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched

from shared.domain.errors import Unavailable
from shared.domain.work import Work, WorkKind
from shared.ports import App

log = logging.getLogger(__name__)

type Handler = Callable[[App, Work, datetime], Awaitable[str | None]]
"""Works one row; returns the outcome, to be counted.

A handler that takes long stops soon after the given time, has stored its progress, and returns LEFT: the row stays.
"""

FAILED = "failed"
LEFT = "left"
EARLY = "early"
WAITS = "waits"
STAYS = {FAILED, LEFT, EARLY, WAITS}
# Rows of one shard share their writes to the agenda, so few shards are worked at a time.
MAX_SHARDS_AT_ONCE = 2
ROWS_PER_READ = 1000  # Table service: query time-out and pagination
ROWS_PER_TRANSACTION = 100  # Table service: entity group transactions


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: nothing new is begun after `until`, nor after `rows` rows of one shard."""

    until: datetime
    rows: int | None = None

    @property
    def at_a_time(self) -> int:
        """Rows in work together, and in one transaction that removes them."""
        return ROWS_PER_TRANSACTION if self.rows is None else min(ROWS_PER_TRANSACTION, self.rows)


@dataclass(slots=True)
class Worked:
    """Outcomes of a shard's rows; `more` says that rows are left which were due when the run began."""

    outcomes: Counter[str] = field(default_factory=Counter)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What all shards of one run share: rows that were due by `end` are worked."""

    handlers: Mapping[WorkKind, Handler]
    end: datetime
    limits: Limits
    slots: asyncio.Semaphore


async def work_rows(
    app: App,
    handlers: Mapping[WorkKind, Handler],
    shards: Mapping[str, datetime | None],
    *,
    limits: Limits,
    due_by: datetime | None = None,
) -> dict[str, Worked]:
    """Work rows that are due by now, or by `due_by`, several shards at a time.

    `shards` says for each shard behind which due time to begin. The cost of a run depends on what is due, not on what
    exists.
    """
    run = Run(handlers, due_by or app.clock(), limits, asyncio.Semaphore(app.config.rows_at_once))
    turns = asyncio.Semaphore(MAX_SHARDS_AT_ONCE)

    async def in_turn(shard: str, begin: datetime | None) -> Worked:
        worked = Worked()
        async with turns:
            try:
                await _work_shard(app, run, shard, begin, worked)
            except Unavailable:
                # The other shards go on, and this one's rows are still there for the next run.
                log.warning("shard not worked", extra={"shard": shard})
                worked.outcomes[FAILED] += 1
        return worked

    worked = await asyncio.gather(*(in_turn(shard, begin) for shard, begin in shards.items()))
    return dict(zip(shards, worked, strict=True))


async def _work_shard(app: App, run: Run, shard: str, begin: datetime | None, worked: Worked) -> None:
    last, seen = None, 0
    while not worked.more and (page := await app.stores.agenda.due(shard, run.end, last or begin, ROWS_PER_READ)):
        for rows in batched(page, run.limits.at_a_time, strict=False):
            if app.clock() >= run.limits.until or (run.limits.rows is not None and seen >= run.limits.rows):
                worked.more = True
                break
            worked.outcomes.update(await _work_rows(app, rows, run))
            last, seen = rows[-1], seen + len(rows)
        if len(page) < ROWS_PER_READ:
            break
    worked.more = worked.more or LEFT in worked.outcomes


async def _work_rows(app: App, rows: Sequence[Work], run: Run) -> list[str]:
    outcomes = await asyncio.gather(*(_work_row(app, work, run) for work in rows))
    # After a crash before this line the rows stay, and mean nothing: their grants wait for later rows.
    await app.stores.agenda.remove([work for work, outcome in zip(rows, outcomes, strict=True) if outcome not in STAYS])
    return outcomes


async def _work_row(app: App, work: Work, run: Run) -> str:
    """Work one row. A row that fails stays, is tried again later, and stops no other row."""
    if work.is_waiting(app.clock()):
        return WAITS
    async with run.slots:
        if app.clock() >= run.limits.until:
            return LEFT
        try:
            async with asyncio.timeout(app.timeouts.agenda_row.total_seconds()):
                outcome = await run.handlers[work.kind](app, work, run.limits.until)
        except Unavailable:  # not this row's fault, so the next run tries it again
            log.exception("work failed", extra=_ids(work))
            return FAILED
        except TimeoutError:
            log.exception("work ran out of time", extra=_ids(work))
            return await _put_off(app, work)
        except Exception:
            log.exception("work failed", extra=_ids(work))
            return await _put_off(app, work)
        return outcome or str(work.kind)


async def _put_off(app: App, work: Work) -> str:
    with suppress(Unavailable):
        await app.stores.agenda.put_off(work.after_failure(app.clock()))
    return FAILED


def _ids(work: Work) -> dict[str, object]:
    return {"kind": work.kind, "owner": work.owner, "failures": work.failures + 1}
