"""Deliver events: drain the outbox and visit the targets that wait for something, until all is quiet."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.errors import StaleWrite, Unavailable
from shared.domain.webhook import Lease
from shared.domain.work import DELIVERY_SHARD, Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.events.fan_out import fan_out, has_events
from shared.usecases.events.target import visit_target

log = logging.getLogger(__name__)

LEASE_RENEWED_AFTER = 1 / 3  # of its lifetime
POLL_SECONDS = 1.0  # while a target is being visited
LEASE_CHECK_SECONDS = 1.0
ROWS_PER_READ, MAX_READS = 1000, 5  # of rows that name targets


@dataclass(slots=True)
class Round:
    """One run: the visits that are under way, and the targets that are left to the next run after a fault of ours."""

    until: datetime
    lease: Stored[Lease]
    visits: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)


async def deliver_events(app: App, until: datetime) -> bool:
    """Deliver what there is; False when another instance is at it. Raises StorageUnavailable.

    One instance at a time, so that nobody is told twice without need; should it die, another one takes over.

    While a slow target is visited, the others are visited as soon as there is something for them.
    """
    if not await has_events(app) and not await app.stores.agenda.due(DELIVERY_SHARD, app.clock(), None, 1):
        return True
    lease = await _take_lease(app)
    if lease is None:
        return False
    run = Round(until, lease)
    working, keeping = asyncio.create_task(_deliver_until_quiet(app, run)), asyncio.create_task(_keep_lease(app, run))
    try:
        await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        run.over.set()  # a write of the lease that is under way ends, or its next holder would have to wait
        for task in (working, *run.visits.values()):
            task.cancel()
        ended = await asyncio.gather(working, keeping, *run.visits.values(), return_exceptions=True)
    if ended[1] is True:
        with suppress(StaleWrite):  # somebody took over
            await app.stores.leases.remove(run.lease)
    if isinstance(ended[0], Exception):
        raise ended[0]
    return True


async def _deliver_until_quiet(app: App, run: Round) -> None:
    while await _look_again(app, run):
        pass


async def _look_again(app: App, run: Round) -> bool:
    """Look for something to do, and wait a moment; False when there is nothing, or no time."""
    drained = 0
    if app.clock() < run.until:
        drained = await fan_out(app)
        await _begin_visits(app, run)
    if drained or not run.visits:
        return drained > 0
    await asyncio.wait(run.visits.values(), timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    run.visits = {webhook: visit for webhook, visit in run.visits.items() if not visit.done()}
    return True


async def _begin_visits(app: App, run: Round) -> None:
    waiting: dict[str, list[Work]] = {}
    last = None
    for _ in range(MAX_READS):
        page = await app.stores.agenda.due(DELIVERY_SHARD, app.clock(), last, ROWS_PER_READ)
        for work in page:
            waiting.setdefault(work.owner, []).append(work)
        if len(page) < ROWS_PER_READ:
            break
        last = page[-1]
    for webhook, works in waiting.items():
        if webhook not in run.visits and webhook not in run.faulty:
            run.visits[webhook] = asyncio.create_task(_visit(app, run, webhook, works))


async def _visit(app: App, run: Round, webhook: str, works: Sequence[Work]) -> None:
    """A visit's failure is its own: the agenda's rows stay, and the next run finds them again."""
    try:
        again = await visit_target(app, webhook)
        if again is not None:
            await app.stores.agenda.add(Work(WorkKind.DELIVER, again, webhook))
        for start in range(0, len(works), 100):
            await app.stores.agenda.remove(works[start : start + 100])
    except Exception as error:
        run.faulty.add(webhook)
        if not isinstance(error, Unavailable):
            log.exception("target not visited", extra={"webhook": webhook})


async def _take_lease(app: App) -> Stored[Lease] | None:
    now = app.clock()
    leases, lifetime = app.stores.leases, app.timeouts.delivery_lease
    current, mine = await leases.get(Lease("", now).name), Lease(app.entropy(8).hex(), now + lifetime)
    # A lease that ends too late was written by a clock that was ahead.
    if current is not None and now < current.value.until <= now + 2 * lifetime:
        return None
    with suppress(StaleWrite):  # somebody was faster
        return await leases.put(current, mine)
    return None


async def _keep_lease(app: App, run: Round) -> bool:
    """Hold the lease for as long as the work lasts; False when it is lost, and the work must end with it.

    Storage that does not answer gets no longer than the lease lasts: then another instance may take it.
    """
    lifetime = app.timeouts.delivery_lease
    while (now := app.clock()) < (lease := run.lease.value).until:
        if lease.until - now <= lifetime * (1 - LEASE_RENEWED_AFTER):
            try:
                async with asyncio.timeout((lease.until - now).total_seconds()):
                    renewed = Lease(lease.holder, now + lifetime)
                    run.lease = await app.stores.leases.replace(run.lease, renewed)
            except (StaleWrite, TimeoutError):
                break
            except Unavailable:  # there is time to try again
                pass
        with suppress(TimeoutError):
            async with asyncio.timeout(LEASE_CHECK_SECONDS):
                await run.over.wait()
                return True
    log.warning("lease of delivery lost")
    return False
