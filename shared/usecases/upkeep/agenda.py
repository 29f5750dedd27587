"""Work the agenda: what is due, oldest first, until it is done, a limit is reached, or the time is up."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from typing import NamedTuple

from shared.domain.errors import Unavailable
from shared.domain.work import Work, WorkKind
from shared.ports import App

log = logging.getLogger(__name__)

type Handler = Callable[[App, Work, datetime], Awaitable[str | None]]
"""Works one row and returns its outcome, which is counted; None counts as the kind of the row.

A handler that takes long stops soon after the given time, has stored its progress, and returns UNFINISHED.
"""

FAILED = "failed"
UNFINISHED = "left"
EARLY = "early"
BACKING_OFF = "waits"
# A row with one of these outcomes stays on the agenda.
OUTCOMES_THAT_KEEP_THE_ROW = {FAILED, UNFINISHED, EARLY, BACKING_OFF}
# Rows of one shard share their writes to the agenda, so few shards are worked at a time.
MAX_SHARDS_AT_ONCE = 2
ROWS_PER_READ = 1000  # Table service: query time-out and pagination
ROWS_PER_TRANSACTION = 100  # Table service: entity group transactions


class Limits(NamedTuple):
    """No row is started after `until`, and at most `rows` rows of one shard are worked."""

    until: datetime
    rows: int | None = None

    @property
    def batch_size(self) -> int:
        """How many rows are worked together, and removed in one transaction."""
        return ROWS_PER_TRANSACTION if self.rows is None else min(ROWS_PER_TRANSACTION, self.rows)


@dataclass(slots=True)
class ShardResult:
    """The outcomes of a shard's rows; `more` says that rows which were due when the run started are left."""

    outcomes: Counter[str] = field(default_factory=Counter)
    more: bool = False


class AgendaRun(NamedTuple):
    """What all shards of one run share. It works the rows that are due by `due_by`."""

    handlers: Mapping[WorkKind, Handler]
    due_by: datetime
    limits: Limits
    slots: asyncio.Semaphore


async def work_shards(
    app: App,
    handlers: Mapping[WorkKind, Handler],
    shards: Mapping[str, datetime | None],
    *,
    limits: Limits,
    due_by: datetime | None = None,
) -> dict[str, ShardResult]:
    """Work rows that are due by now, or by `due_by`, several shards at a time.

    `shards` maps each shard to the due time after which to start, or None. The cost of a run depends on what is due,
    not on how many rows exist.
    """
    run = AgendaRun(handlers, due_by or app.clock(), limits, asyncio.Semaphore(app.config.rows_at_once))
    shard_slots = asyncio.Semaphore(MAX_SHARDS_AT_ONCE)

    async def work_in_slot(shard: str, start_after: datetime | None) -> ShardResult:
        result = ShardResult()
        async with shard_slots:
            try:
                await _work_shard(app, run, shard, start_after, result)
            except Unavailable:
                # The other shards continue. The rows of this one stay for the next run.
                log.warning("shard not worked", extra={"shard": shard})
                result.outcomes[FAILED] += 1
        return result

    results = await asyncio.gather(*(work_in_slot(shard, start_after) for shard, start_after in shards.items()))
    return dict(zip(shards, results, strict=True))


async def _work_shard(app: App, run: AgendaRun, shard: str, start_after: datetime | None, result: ShardResult) -> None:
    last_row, row_count, limits = None, 0, run.limits
    while not result.more and (
        page := await app.stores.agenda.due(shard, run.due_by, last_row or start_after, ROWS_PER_READ)
    ):
        for rows in batched(page, limits.batch_size, strict=False):
            if app.clock() >= limits.until or (limits.rows is not None and row_count >= limits.rows):
                result.more = True
                break
            result.outcomes.update(await _work_batch(app, rows, run))
            last_row, row_count = rows[-1], row_count + len(rows)
        if len(page) < ROWS_PER_READ:
            break
    result.more = result.more or UNFINISHED in result.outcomes


async def _work_batch(app: App, rows: Sequence[Work], run: AgendaRun) -> list[str]:
    outcomes = await asyncio.gather(*(_work_row(app, work, run) for work in rows))
    # After a crash before this line the rows stay and are ignored: their grants wait for later rows.
    await app.stores.agenda.remove(
        [work for work, outcome in zip(rows, outcomes, strict=True) if outcome not in OUTCOMES_THAT_KEEP_THE_ROW]
    )
    return outcomes


async def _work_row(app: App, work: Work, run: AgendaRun) -> str:
    """Work one row. A row that fails stays, is retried later, and stops no other row."""
    if work.is_waiting(app.clock()):
        return BACKING_OFF
    async with run.slots:
        if app.clock() >= run.limits.until:
            return UNFINISHED
        try:
            async with asyncio.timeout(app.timeouts.agenda_row.total_seconds()):
                outcome = await run.handlers[work.kind](app, work, run.limits.until)
        except Unavailable:  # not the fault of this row, so the next run retries it
            log.exception("work failed", extra=_log_fields(work))
            return FAILED
        except TimeoutError:
            log.exception("work ran out of time", extra=_log_fields(work))
            return await _postpone(app, work)
        except Exception:
            log.exception("work failed", extra=_log_fields(work))
            return await _postpone(app, work)
        return outcome or str(work.kind)


async def _postpone(app: App, work: Work) -> str:
    with suppress(Unavailable):
        await app.stores.agenda.put_off(work.after_failure(app.clock()))
    return FAILED


def _log_fields(work: Work) -> dict[str, object]:
    return {"kind": work.kind, "owner": work.owner, "failures": work.failures + 1}
