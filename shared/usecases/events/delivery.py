"""Deliver events: fan them out from the outbox, and visit the targets of webhooks, until nothing is left.

One instance at a time does this, because it holds the lease. Each run alternates between two steps:

- Fan-out reads events from the outbox and writes one delivery for each webhook that subscribes to them.
- Visits send the waiting deliveries of one webhook each (see `target`). Targets are visited concurrently.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import batched

from shared.domain.errors import RowUnreadable, StaleWrite, Unavailable
from shared.domain.event import Event, parse_source
from shared.domain.formats import format_timestamp
from shared.domain.webhook import Delivery, Lease, Webhook, can_receive_events_of
from shared.domain.work import DELIVERY_SHARD, OUTBOX_SHARDS, Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.callers.identify import standing_caller
from shared.usecases.events.target import visit_target

log = logging.getLogger(__name__)

LEASE_RENEWAL_FRACTION = 1 / 3  # of its lifetime
LEASE_CHECK_SECONDS = 1.0
POLL_SECONDS = 1.0  # while a target is being visited
DELIVERY_ROWS_PER_READ, MAX_READS = 1000, 5
# No function runs longer than host.json's functionTimeout, so until then the transaction of an event may still commit.
EVENT_GRACE_PERIOD = timedelta(minutes=15)
# Outbox rows are due at once. Their due times only order them, and may be in the future if a clock was wrong.
OUTBOX_HORIZON = timedelta(days=36_500)
OUTBOX_ROWS_PER_PAGE = 200  # written once for each webhook, so that a page takes seconds
MAX_CONCURRENT_READS = 100
MAX_REMOVED_ROWS = 100  # of one transaction
MAX_CONCURRENT_WEBHOOKS = 8


@dataclass(slots=True)
class Run:
    """One run: the visits in progress, and the targets that failed by a fault of ours, which the next run visits."""

    until: datetime
    lease: Stored[Lease]
    visits: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)


async def deliver_events(app: App, until: datetime) -> bool:
    """Deliver all events. Returns False when another instance holds the lease. Raises StorageUnavailable.

    The lease avoids duplicate deliveries. After a crash it expires, and another instance takes over. While a slow
    target is visited, other targets are visited as soon as they have deliveries.
    """
    if not await has_events(app) and not await app.stores.agenda.due(DELIVERY_SHARD, app.clock(), None, 1):
        return True
    lease = await _take_lease(app)
    if lease is None:
        return False
    run = Run(until, lease)
    work, keep = asyncio.create_task(_deliver_until_quiet(app, run)), asyncio.create_task(_keep_lease(app, run))
    try:
        await asyncio.wait({work, keep}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        run.over.set()  # lets a renewal of the lease finish, or its next holder would have to wait
        for task in (work, *run.visits.values()):
            task.cancel()
        work_result, lease_kept, *_ = await asyncio.gather(work, keep, *run.visits.values(), return_exceptions=True)
    if lease_kept is True:
        with suppress(StaleWrite):  # another instance took over
            await app.stores.leases.remove(run.lease)
    if isinstance(work_result, Exception):
        raise work_result
    return True


async def _deliver_until_quiet(app: App, run: Run) -> None:
    while await _work_once(app, run):
        pass


async def _work_once(app: App, run: Run) -> bool:
    """Fan out, start visits, and wait a moment. Returns False when nothing is left to do, or no time."""
    fanned_out = 0
    if app.clock() < run.until:
        fanned_out = await fan_out(app)
        await _start_visits(app, run)
    if fanned_out or not run.visits:
        return fanned_out > 0
    await asyncio.wait(run.visits.values(), timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    run.visits = {webhook: visit for webhook, visit in run.visits.items() if not visit.done()}
    return True


async def _start_visits(app: App, run: Run) -> None:
    works_by_webhook: dict[str, list[Work]] = {}
    last = None
    for _ in range(MAX_READS):
        page = await app.stores.agenda.due(DELIVERY_SHARD, app.clock(), last, DELIVERY_ROWS_PER_READ)
        for work in page:
            works_by_webhook.setdefault(work.owner, []).append(work)
        if len(page) < DELIVERY_ROWS_PER_READ:
            break
        last = page[-1]
    for webhook, works in works_by_webhook.items():
        if webhook not in run.visits and webhook not in run.failed:
            run.visits[webhook] = asyncio.create_task(_visit(app, run, webhook, works))


async def _visit(app: App, run: Run, webhook: str, works: Sequence[Work]) -> None:
    """Visit one target. After a failure its agenda rows stay, so the next run visits it again."""
    try:
        next_visit = await visit_target(app, webhook)
        if next_visit is not None:
            await app.stores.agenda.add(Work(WorkKind.DELIVER, next_visit, webhook))
        for batch in batched(works, MAX_REMOVED_ROWS, strict=False):
            await app.stores.agenda.remove(batch)
    except Exception as error:
        run.failed.add(webhook)
        if not isinstance(error, Unavailable):
            log.exception("target not visited", extra={"webhook": webhook})


async def _take_lease(app: App) -> Stored[Lease] | None:
    now = app.clock()
    leases, lifetime = app.stores.leases, app.timeouts.delivery_lease
    current, lease = await leases.get(Lease("", now).name), Lease(app.entropy(8).hex(), now + lifetime)
    # A lease that expires too late was written by an instance whose clock was ahead.
    if current is not None and now < current.value.until <= now + 2 * lifetime:
        return None
    with suppress(StaleWrite):  # another instance took it
        return await leases.put(current, lease)
    return None


async def _keep_lease(app: App, run: Run) -> bool:
    """Renew the lease while the run lasts. Returns False when it is lost, and the run must end.

    A renewal that is not stored before the lease expires counts as lost, because another instance may take it then.
    """
    lifetime = app.timeouts.delivery_lease
    while (now := app.clock()) < (lease := run.lease.value).until:
        if lease.until - now <= lifetime * (1 - LEASE_RENEWAL_FRACTION):
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


async def has_events(app: App) -> bool:
    """Whether the outbox has events, or rows for events that are about to be written."""
    return any([await app.stores.agenda.due(shard, app.clock() + OUTBOX_HORIZON, None, 1) for shard in OUTBOX_SHARDS])


async def fan_out(app: App) -> int:
    """Fan out the oldest events of each outbox shard. Returns how many. Raises StorageUnavailable.

    It can be repeated from any point, because a delivery has the id of its event. Events that can wait have a shard of
    their own, so neither kind delays the other. A fan-out that runs out of time continues in the next call with the
    webhooks that are left.
    """
    return sum([await _fan_out_shard(app, shard) for shard in OUTBOX_SHARDS])


async def _fan_out_shard(app: App, shard: str) -> int:
    """Fan out only the first page with events, because earlier events may be added while it is worked."""
    last = None
    while page := await app.stores.agenda.due(shard, app.clock() + OUTBOX_HORIZON, last, OUTBOX_ROWS_PER_PAGE):
        count = await _fan_out_page(app, shard, page)
        if count or len(page) < OUTBOX_ROWS_PER_PAGE:
            return count
        last = page[-1]
    return 0


async def _fan_out_page(app: App, shard: str, page: Sequence[Work]) -> int:
    events_by_work: dict[Work, Event] = {}
    # An event may have been written after it was looked for, but before a later event of its account that was found.
    # So read again until nothing new is found.
    while more := await _read_events(app, [work for work in page if work not in events_by_work]):
        events_by_work |= more
    events = list(events_by_work.values())
    done = [work for work in page if work in events_by_work or app.clock() - work.due >= EVENT_GRACE_PERIOD]
    if events:
        try:
            async with asyncio.timeout(app.timeouts.fan_out.total_seconds()):
                await _fan_out_events(app, shard, sorted(events, key=lambda event: event.id))
        except TimeoutError:
            log.warning("fan-out ran out of time", extra={"events": len(events)})
            return len(events)
        await app.stores.outboxes.forget(events)
        log.info("outbox drained", extra={"events": len(events)})
    for works in batched(done, MAX_REMOVED_ROWS, strict=False):
        await app.stores.agenda.remove(works)
    return len(events)


async def _read_events(app: App, works: Sequence[Work]) -> dict[Work, Event]:
    events: dict[Work, Event] = {}
    for batch in batched(works, MAX_CONCURRENT_READS, strict=False):
        results = zip(batch, await asyncio.gather(*map(partial(_read_event, app), batch)), strict=True)
        events |= {work: event for work, event in results if event is not None}
    return events


async def _read_event(app: App, work: Work) -> Event | None:
    try:
        return await app.stores.outboxes.read(*parse_source(work.owner), work.item)
    except (RowUnreadable, ValueError):  # treated as missing, so that other events continue
        log.exception("event unreadable", extra={"event_id": work.item})
        return None


async def _fan_out_events(app: App, shard: str, events: Sequence[Event]) -> None:
    """Write the deliveries, then the agenda. After a crash in between, the events still exist and it is repeated."""
    now, slots = app.clock(), asyncio.Semaphore(MAX_CONCURRENT_WEBHOOKS)
    ids = {event.id for event in events}
    written = {pair for pair in app.caches.fanned_out.get(shard, ()) if pair[1] in ids}
    app.caches.fanned_out[shard] = written

    async def write_deliveries(webhook: Webhook) -> None:
        async with slots:
            left = [event for event in events if (webhook.id, event.id) not in written]
            await _fan_out_to_webhook(app, webhook, left, now)
            written.update((webhook.id, event.id) for event in left)

    await asyncio.gather(*map(write_deliveries, await app.stores.webhooks.all()))


async def _fan_out_to_webhook(app: App, webhook: Webhook, events: Sequence[Event], now: datetime) -> None:
    owner = await standing_caller(app, webhook.created_by)

    def is_visible(account: str | None) -> bool:
        return webhook.covers(account) and can_receive_events_of(owner, account)

    visible = [event.visible_to(is_visible) for event in events if webhook.subscribes_to(event)]
    deliveries = [_new_delivery(app, webhook, event, now) for event in visible if event is not None]
    if deliveries:
        await app.stores.deliveries.put(deliveries)
        await app.stores.agenda.add(Work(WorkKind.DELIVER, now, webhook.id))


def _new_delivery(app: App, webhook: Webhook, event: Event, now: datetime) -> Delivery:
    # EmailEngine's fields, the event's id as idempotency key, and the correlation id.
    body = {
        "serviceUrl": app.config.base_url,
        "account": event.account,
        "date": format_timestamp(event.at),
        "event": event.name,
        "data": event.data,
        "id": event.id,
        "correlation": event.correlation,
    }
    text = json.dumps(body, ensure_ascii=False)
    delivery = Delivery(webhook.id, event.id, event.lane, event.name, text, now, event.account)
    return replace(delivery, can_wait=event.can_wait, accounts=event.accounts)
