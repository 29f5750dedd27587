"""Drain the outbox: from each event to one delivery for every target that wants it (see outbox.py)."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from itertools import batched

from shared.domain.errors import RowUnreadable
from shared.domain.event import Event, parse_source
from shared.domain.formats import format_timestamp
from shared.domain.webhook import Delivery, Webhook, can_receive_events_of, delivery_body
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Deliveries, Outboxes, Webhooks
from shared.usecases import use_case
from shared.usecases.callers.standing_callers import StandingCallers

log = logging.getLogger(__name__)

# No invocation lasts longer than host.json's functionTimeout: until then its transaction may still come.
GRACE = timedelta(minutes=15)
# Rows are due at once and their times only put them in order, so whatever a clock said, they are looked at.
AHEAD = timedelta(days=36_500)
PAGE = 200  # rows; written once for each webhook that wants them, so that a page takes seconds
AT_ONCE = 100  # rows that are read together, and of one transaction that removes them
WEBHOOKS_AT_ONCE = 8
# What happens to accounts and what can wait take turns, and a run that ends waits for its page.
FAN_OUT_LASTS = timedelta(seconds=20)


@use_case
class DrainOutbox:
    """Safe to repeat from any point: deliveries have the ids of their events.

    Each of the `shards` has its turn in each look, so that what can wait holds up nothing, and is held up by nothing.
    """

    agenda: Agenda
    outboxes: Outboxes
    webhooks: Webhooks
    deliveries: Deliveries
    callers: StandingCallers
    shards: Sequence[str]
    service_url: str
    clock: Clock
    fan_out_lasts: timedelta = FAN_OUT_LASTS
    # By shard, what was written of the page that it is at: webhooks and events.
    _told: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    async def anything(self) -> bool:
        """Whether something has happened, or is about to."""
        return any([await self.agenda.due(shard, self.clock() + AHEAD, None, 1) for shard in self.shards])

    async def __call__(self) -> int:
        """Fan out what happened first; returns how many events that were. Raises StorageUnavailable.

        A fan-out that runs out of time goes on with the webhooks that are left when this is called again.
        """
        return sum([await self._shard(shard) for shard in self.shards])

    async def _shard(self, shard: str) -> int:
        """Only the first page that holds events: what comes into its range meanwhile has to go before the rest."""
        last = None
        while page := await self.agenda.due(shard, self.clock() + AHEAD, last, PAGE):
            drained = await self._page(shard, page)
            if drained or len(page) < PAGE:
                return drained
            last = page[-1]
        return 0

    async def _page(self, shard: str, page: Sequence[Work]) -> int:
        found: dict[Work, Event] = {}
        # One may have been written after it was looked for and before a later one of its account was: what comes before
        # one that was found is there, and the next look finds it.
        while more := await self._read_all([work for work in page if work not in found]):
            found |= more
        events = list(found.values())
        done = [work for work in page if work in found or self.clock() - work.due >= GRACE]
        if events:
            try:
                async with asyncio.timeout(self.fan_out_lasts.total_seconds()):
                    await self._fan_out(shard, sorted(events, key=lambda event: event.id))
            except TimeoutError:
                log.warning("fan-out ran out of time", extra={"events": len(events)})
                return len(events)
            await self.outboxes.forget(events)
            log.info("outbox drained", extra={"events": len(events)})
        for works in batched(done, AT_ONCE, strict=False):
            await self.agenda.remove(works)
        return len(events)

    async def _read_all(self, works: Sequence[Work]) -> dict[Work, Event]:
        found: dict[Work, Event] = {}
        for some in batched(works, AT_ONCE, strict=False):
            read = zip(some, await asyncio.gather(*map(self._read, some)), strict=True)
            found |= {work: event for work, event in read if event is not None}
        return found

    async def _read(self, work: Work) -> Event | None:
        try:
            return await self.outboxes.read(*parse_source(work.owner), work.item)
        except (RowUnreadable, ValueError):  # as if it had never come; the others go on
            log.exception("event unreadable", extra={"event_id": work.item})
            return None

    async def _fan_out(self, shard: str, events: Sequence[Event]) -> None:
        """Deliveries first, then the agenda: a crash in between leaves the events, so it is done again."""
        now, slots = self.clock(), asyncio.Semaphore(WEBHOOKS_AT_ONCE)
        ids = {event.id for event in events}
        told = self._told[shard] = {pair for pair in self._told.get(shard, ()) if pair[1] in ids}

        async def in_turn(webhook: Webhook) -> None:
            async with slots:
                left = [event for event in events if (webhook.id, event.id) not in told]
                await self._fan_out_to(webhook, left, now)
                told.update((webhook.id, event.id) for event in left)

        await asyncio.gather(*map(in_turn, await self.webhooks.all()))

    async def _fan_out_to(self, webhook: Webhook, events: Sequence[Event], now: datetime) -> None:
        owner = await self.callers(webhook.created_by)

        def may_know(account: str | None) -> bool:
            return webhook.covers(account) and can_receive_events_of(owner, account)

        heard = [event.visible_to(may_know) for event in events if webhook.subscribes_to(event)]
        wanted = [self._delivery(webhook, event, now) for event in heard if event is not None]
        if wanted:
            await self.deliveries.put(wanted)
            await self.agenda.add(Work(WorkKind.DELIVER, now, webhook.id))

    def _delivery(self, webhook: Webhook, event: Event, now: datetime) -> Delivery:
        body = json.dumps(delivery_body(event, self.service_url, format_timestamp(event.at)), ensure_ascii=False)
        delivery = Delivery(webhook.id, event.id, event.lane, event.name, body, now, event.account)
        return replace(delivery, can_wait=event.can_wait, accounts=event.accounts)
