"""Send the waiting deliveries of one webhook: lanes (accounts) concurrently, each lane in order."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite
from shared.domain.webhook import MAX_RETRY_DELAY, Delivery, Webhook, can_receive_events_of
from shared.ports import Answer, App, Stored, TargetRefused
from shared.usecases.callers.identify import standing_caller

log = logging.getLogger(__name__)

MAX_CONCURRENT_LANES = 4
DELIVERIES_PER_READ = 500
# After this many consecutive failures the target counts as down, and gets a pause.
MAX_CONSECUTIVE_FAILURES = 8
PAUSE = timedelta(minutes=1)
# Clocks of instances differ by less than this. A later time was written by a wrong clock.
MAX_CLOCK_SKEW = timedelta(minutes=5)
GONE = 410


@dataclass(slots=True)
class Visit:
    """The state of a visit to a target.

    `blocked` has the next attempt for each lane whose first delivery failed. `later` is when a delivery was queued that
    is left to the next visit. `cut` means that lanes were left because the time was up or the target is down.
    """

    webhook: Webhook
    began: datetime
    until: datetime
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT_LANES))
    blocked: dict[str, datetime] = field(default_factory=dict)
    delivered: int = 0
    failed: int = 0
    consecutive_failures: int = 0
    gone: bool = False
    cut: bool = False
    later: datetime | None = None

    @property
    def is_down(self) -> bool:
        """Whether so many deliveries failed in a row that the target counts as down."""
        return self.consecutive_failures >= MAX_CONSECUTIVE_FAILURES

    def next_visit(self, now: datetime) -> datetime | None:
        """The time of the next visit, or None when no deliveries are left."""
        if self.is_down:
            return now + PAUSE
        times = [*self.blocked.values(), *([self.later] if self.later else []), *([now] if self.cut else [])]
        return min(times, default=None)


async def visit_target(app: App, webhook: str) -> datetime | None:
    """Deliver until nothing is left, the target is down or the time is up. Returns the time of the next visit.

    The caller holds the lease. New events do not shorten the pause of a target that is down.
    """
    stored, now = await app.stores.webhooks.get(webhook), app.clock()
    if stored is None or not stored.value.is_active:
        return await _forget_deliveries(app, webhook, now + app.timeouts.target_visit)
    pause_end = app.caches.resting_targets.get(webhook)
    if pause_end is not None and now < pause_end <= now + PAUSE:
        return pause_end
    visit, last, page_size = Visit(stored.value, now, now + app.timeouts.target_visit), None, DELIVERIES_PER_READ
    while page_size == DELIVERIES_PER_READ and not (visit.is_down or visit.gone or visit.cut):
        page = await app.stores.deliveries.waiting(webhook, last, DELIVERIES_PER_READ)
        lanes = (_deliver_lane(app, visit, lane) for lane in _lanes(page, visit))
        # Wait for all lanes before raising an error, so that none is still running during the next visit.
        for result in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        last, page_size = page[-1].value if page else None, len(page)
    if visit.gone:
        return await _mark_gone(app, stored)
    if visit.is_down:
        app.caches.resting_targets[webhook] = app.clock() + PAUSE
    ids = {"webhook": webhook, "delivered": visit.delivered, "failed": visit.failed}
    log.log(logging.WARNING if visit.is_down else logging.INFO, "target visited", extra=ids)
    return visit.next_visit(app.clock())


async def _deliver_lane(app: App, visit: Visit, lane: Sequence[Stored[Delivery]]) -> None:
    async with visit.slots:
        for stored in lane:
            due, now = stored.value.not_before, app.clock()
            if due is not None and now < due <= now + MAX_RETRY_DELAY * 2:
                visit.blocked[stored.value.lane] = due
                return
            if now >= visit.until or visit.is_down or visit.gone:
                visit.cut = True
                return
            if not await _deliver(app, visit, stored):
                return


async def _deliver(app: App, visit: Visit, stored: Stored[Delivery]) -> bool:
    """Send one delivery. Returns whether its lane may continue."""
    owner = await standing_caller(app, visit.webhook.created_by)
    if not all(can_receive_events_of(owner, account) for account in stored.value.concerned_accounts):
        with suppress(StaleWrite):  # redelivered just now, and checked again then
            await app.stores.deliveries.remove(stored)
        return True
    answer, error = await _send(app, visit.webhook, stored.value)
    try:
        if error is not None:
            return await _record_failure(app, visit, stored, error, answer)
        visit.delivered, visit.consecutive_failures = visit.delivered + 1, 0
        await app.stores.deliveries.remove(stored)
    except StaleWrite:
        # It was redelivered just now, so it is sent again at once, and its lane waits for it.
        visit.blocked[stored.value.lane] = app.clock()
        return False
    return True


async def _record_failure(app: App, visit: Visit, stored: Stored[Delivery], error: str, answer: Answer | None) -> bool:
    visit.failed, visit.consecutive_failures = visit.failed + 1, visit.consecutive_failures + 1
    visit.gone |= answer is not None and answer.status == GONE
    failed = stored.value.after_failure(error, app.clock(), app.jitter(), answer.retry_after if answer else None)
    await app.stores.deliveries.replace(stored, failed)
    ids = {"webhook": failed.webhook, "event_id": failed.id, "error": error, "attempts": failed.attempts}
    log.warning("delivery parked" if failed.parked else "delivery failed", extra=ids)
    if failed.not_before is not None:
        visit.blocked[failed.lane] = failed.not_before
    return failed.parked is not None


async def _send(app: App, webhook: Webhook, delivery: Delivery) -> tuple[Answer | None, str | None]:
    try:
        answer = await app.targets.send(webhook, delivery, app.clock())
    except TargetRefused as refused:
        return None, str(refused)
    return answer, None if answer.good else f"it answered {answer.status}"


async def _mark_gone(app: App, stored: Stored[Webhook]) -> datetime | None:
    """The target answered 410: stop, and delete its deliveries."""
    with suppress(StaleWrite):  # subscribed again just now, so the target is tried again
        await app.stores.webhooks.replace(stored, stored.value.marked_gone(app.clock()))
        log.warning("webhook gone", extra={"webhook": stored.value.id})
    return await _forget_deliveries(app, stored.value.id, app.clock() + app.timeouts.target_visit)


async def _forget_deliveries(app: App, webhook: str, until: datetime) -> datetime | None:
    """Delete a webhook's deliveries. Returns when to continue, if some are left."""
    while not await app.stores.deliveries.forget(webhook):
        if (now := app.clock()) >= until:
            return now
    return None


def _lanes(page: Sequence[Stored[Delivery]], visit: Visit) -> list[list[Stored[Delivery]]]:
    """The deliveries that were queued before the visit began, by lane.

    Later ones are left to the next visit: one of them may have been written into the range of an earlier page, and a
    delivery after it must not be sent first.
    """
    lanes: dict[str, list[Stored[Delivery]]] = {}
    for stored in page:
        if visit.began < stored.value.queued <= visit.began + MAX_CLOCK_SKEW:
            visit.later = visit.later or stored.value.queued
        elif stored.value.lane not in visit.blocked:
            lanes.setdefault(stored.value.lane, []).append(stored)
    return list(lanes.values())
