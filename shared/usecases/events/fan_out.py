"""Drain the outbox: from each event to one delivery for every target that wants it (see outbox.py)."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import batched

from shared.domain.errors import RowUnreadable
from shared.domain.event import Event, parse_source
from shared.domain.formats import format_timestamp
from shared.domain.webhook import Delivery, Webhook, can_receive_events_of
from shared.domain.work import OUTBOX_SHARDS, Work, WorkKind
from shared.ports import App
from shared.usecases.callers.identify import standing_caller

log = logging.getLogger(__name__)

# No invocation lasts longer than host.json's functionTimeout: until then its transaction may still come.
GRACE = timedelta(minutes=15)
# Rows are due at once and their times only put them in order, so whatever a clock said, they are looked at.
ANY_DUE_TIME = timedelta(days=36_500)
ROWS_PER_PAGE = 200  # rows; written once for each webhook that wants them, so that a page takes seconds
ROWS_AT_ONCE = 100  # rows that are read together, and of one transaction that removes them
MAX_WEBHOOKS_AT_ONCE = 8


async def has_events(app: App) -> bool:
    """Whether something has happened, or is about to."""
    return any([await app.stores.agenda.due(shard, app.clock() + ANY_DUE_TIME, None, 1) for shard in OUTBOX_SHARDS])


async def fan_out(app: App) -> int:
    """Fan out what happened first; returns how many events that were. Raises StorageUnavailable.

    Safe to repeat from any point: deliveries have the ids of their events.

    Each of the `shards` has its turn in each look, so that what can wait holds up nothing, and is held up by nothing.

    A fan-out that runs out of time goes on with the webhooks that are left when this is called again.
    """
    return sum([await _fan_out_shard(app, shard) for shard in OUTBOX_SHARDS])


async def _fan_out_shard(app: App, shard: str) -> int:
    """Only the first page that holds events: what comes into its range meanwhile has to go before the rest."""
    last = None
    while page := await app.stores.agenda.due(shard, app.clock() + ANY_DUE_TIME, last, ROWS_PER_PAGE):
        drained = await _fan_out_page(app, shard, page)
        if drained or len(page) < ROWS_PER_PAGE:
            return drained
        last = page[-1]
    return 0


async def _fan_out_page(app: App, shard: str, page: Sequence[Work]) -> int:
    found: dict[Work, Event] = {}
    # One may have been written after it was looked for and before a later one of its account was: what comes before
    # one that was found is there, and the next look finds it.
    while more := await _read_all(app, [work for work in page if work not in found]):
        found |= more
    events = list(found.values())
    done = [work for work in page if work in found or app.clock() - work.due >= GRACE]
    if events:
        try:
            async with asyncio.timeout(app.timeouts.fan_out.total_seconds()):
                await _fan_out_events(app, shard, sorted(events, key=lambda event: event.id))
        except TimeoutError:
            log.warning("fan-out ran out of time", extra={"events": len(events)})
            return len(events)
        await app.stores.outboxes.forget(events)
        log.info("outbox drained", extra={"events": len(events)})
    for works in batched(done, ROWS_AT_ONCE, strict=False):
        await app.stores.agenda.remove(works)
    return len(events)


async def _read_all(app: App, works: Sequence[Work]) -> dict[Work, Event]:
    found: dict[Work, Event] = {}
    for some in batched(works, ROWS_AT_ONCE, strict=False):
        read = zip(some, await asyncio.gather(*map(partial(_read, app), some)), strict=True)
        found |= {work: event for work, event in read if event is not None}
    return found


async def _read(app: App, work: Work) -> Event | None:
    try:
        return await app.stores.outboxes.read(*parse_source(work.owner), work.item)
    except (RowUnreadable, ValueError):  # as if it had never come; the others go on
        log.exception("event unreadable", extra={"event_id": work.item})
        return None


async def _fan_out_events(app: App, shard: str, events: Sequence[Event]) -> None:
    """Deliveries first, then the agenda: a crash in between leaves the events, so it is done again."""
    now, slots = app.clock(), asyncio.Semaphore(MAX_WEBHOOKS_AT_ONCE)
    ids = {event.id for event in events}
    told = app.caches.fanned_out[shard] = {pair for pair in app.caches.fanned_out.get(shard, ()) if pair[1] in ids}

    async def in_turn(webhook: Webhook) -> None:
        async with slots:
            left = [event for event in events if (webhook.id, event.id) not in told]
            await _fan_out_to_webhook(app, webhook, left, now)
            told.update((webhook.id, event.id) for event in left)

    await asyncio.gather(*map(in_turn, await app.stores.webhooks.all()))


async def _fan_out_to_webhook(app: App, webhook: Webhook, events: Sequence[Event], now: datetime) -> None:
    owner = await standing_caller(app, webhook.created_by)

    def may_know(account: str | None) -> bool:
        return webhook.covers(account) and can_receive_events_of(owner, account)

    heard = [event.visible_to(may_know) for event in events if webhook.subscribes_to(event)]
    wanted = [_delivery(app, webhook, event, now) for event in heard if event is not None]
    if wanted:
        await app.stores.deliveries.put(wanted)
        await app.stores.agenda.add(Work(WorkKind.DELIVER, now, webhook.id))


def _delivery(app: App, webhook: Webhook, event: Event, now: datetime) -> Delivery:
    body = json.dumps(_delivery_body(event, app.config.base_url, format_timestamp(event.at)), ensure_ascii=False)
    delivery = Delivery(webhook.id, event.id, event.lane, event.name, body, now, event.account)
    return replace(delivery, can_wait=event.can_wait, accounts=event.accounts)


def _delivery_body(event: Event, service_url: str, at: str) -> dict[str, object]:
    """The body of a delivery: EmailEngine's fields, the event's id against duplicates, and the correlation id."""
    return {
        "serviceUrl": service_url,
        "account": event.account,
        "date": at,
        "event": event.name,
        "data": event.data,
        "id": event.id,
        "correlation": event.correlation,
    }
