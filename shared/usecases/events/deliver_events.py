"""Deliver events: drain the outbox and visit the targets that wait for something, until all is quiet."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite, Unavailable
from shared.domain.webhook import Lease
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Entropy, Rows, Stored
from shared.usecases import use_case
from shared.usecases.events.deliver_to_target import DeliverToTarget
from shared.usecases.events.drain_outbox import DrainOutbox

log = logging.getLogger(__name__)

LEASED_FOR = timedelta(minutes=1)
RENEWED_AFTER = 1 / 3  # of that time
LOOKS_AGAIN = 1.0  # seconds; only while a target is being visited
LOOKS_AT_LEASE = 1.0  # seconds
PAGE, PAGES = 1000, 5  # of rows that name targets


@dataclass(slots=True)
class Round:
    """One run: the visits that are under way, and the targets that are left to the next run after a fault of ours."""

    until: datetime
    lease: Stored[Lease]
    visits: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)


@use_case
class DeliverEvents:
    """One instance at a time, so that nobody is told twice without need; should it die, another one takes over.

    While a slow target is visited, the others are visited as soon as there is something for them.
    """

    agenda: Agenda
    leases: Rows[Lease]
    drain: DrainOutbox
    visit: DeliverToTarget
    shard: str
    clock: Clock
    entropy: Entropy
    leased_for: timedelta = LEASED_FOR

    async def __call__(self, until: datetime) -> bool:
        """Deliver what there is; False when another instance is at it. Raises StorageUnavailable."""
        if not await self.drain.anything() and not await self.agenda.due(self.shard, self.clock(), None, 1):
            return True
        lease = await self._take()
        if lease is None:
            return False
        run = Round(until, lease)
        working, keeping = asyncio.create_task(self._work(run)), asyncio.create_task(self._keep(run))
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            run.over.set()  # a write of the lease that is under way ends, or its next holder would have to wait
            for task in (working, *run.visits.values()):
                task.cancel()
            ended = await asyncio.gather(working, keeping, *run.visits.values(), return_exceptions=True)
        if ended[1] is True:
            with suppress(StaleWrite):  # somebody took over
                await self.leases.remove(run.lease)
        if isinstance(ended[0], Exception):
            raise ended[0]
        return True

    async def _work(self, run: Round) -> None:
        while await self._again(run):
            pass

    async def _again(self, run: Round) -> bool:
        """Look for something to do, and wait a moment; False when there is nothing, or no time."""
        drained = 0
        if self.clock() < run.until:
            drained = await self.drain()
            await self._begin_visits(run)
        if drained or not run.visits:
            return drained > 0
        await asyncio.wait(run.visits.values(), timeout=LOOKS_AGAIN, return_when=asyncio.FIRST_COMPLETED)
        run.visits = {webhook: visit for webhook, visit in run.visits.items() if not visit.done()}
        return True

    async def _begin_visits(self, run: Round) -> None:
        waiting: dict[str, list[Work]] = {}
        last = None
        for _ in range(PAGES):
            page = await self.agenda.due(self.shard, self.clock(), last, PAGE)
            for work in page:
                waiting.setdefault(work.owner, []).append(work)
            if len(page) < PAGE:
                break
            last = page[-1]
        for webhook, works in waiting.items():
            if webhook not in run.visits and webhook not in run.faulty:
                run.visits[webhook] = asyncio.create_task(self._visit(run, webhook, works))

    async def _visit(self, run: Round, webhook: str, works: Sequence[Work]) -> None:
        """A visit's failure is its own: the agenda's rows stay, and the next run finds them again."""
        try:
            again = await self.visit(webhook)
            if again is not None:
                await self.agenda.add(Work(WorkKind.DELIVER, again, webhook))
            for start in range(0, len(works), 100):
                await self.agenda.remove(works[start : start + 100])
        except Exception as error:
            run.faulty.add(webhook)
            if not isinstance(error, Unavailable):
                log.exception("target not visited", extra={"webhook": webhook})

    async def _take(self) -> Stored[Lease] | None:
        now = self.clock()
        held, mine = await self.leases.get(Lease("", now).name), Lease(self.entropy(8).hex(), now + self.leased_for)
        # One that reaches too far was written by a clock that was ahead.
        if held is not None and now < held.value.until <= now + 2 * self.leased_for:
            return None
        with suppress(StaleWrite):  # somebody was faster
            return await (self.leases.insert(mine) if held is None else self.leases.replace(held, mine))
        return None

    async def _keep(self, run: Round) -> bool:
        """Hold the lease for as long as the work lasts; False when it is lost, and the work must end with it.

        Storage that does not answer gets no longer than the lease lasts: then another instance may take it.
        """
        while (now := self.clock()) < (held := run.lease.value).until:
            if held.until - now <= self.leased_for * (1 - RENEWED_AFTER):
                try:
                    async with asyncio.timeout((held.until - now).total_seconds()):
                        run.lease = await self.leases.replace(run.lease, Lease(held.holder, now + self.leased_for))
                except (StaleWrite, TimeoutError):
                    break
                except Unavailable:  # there is time to try again
                    pass
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKS_AT_LEASE):
                    await run.over.wait()
                    return True
        log.warning("lease of delivery lost")
        return False
