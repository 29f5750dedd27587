"""Deliver to one target what waits for it: lanes side by side, each in order."""

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

MAX_LANES_AT_ONCE = 4
DELIVERIES_PER_READ = 500
# After so many failures in a row the target itself is down, and is left alone for a while.
MAX_FAILURES_IN_A_ROW = 8
PAUSE = timedelta(minutes=1)
# Clocks of instances differ by less; a time further ahead was written by a wrong clock.
MAX_CLOCK_SKEW = timedelta(minutes=5)
GONE = 410


@dataclass(slots=True)
class Visit:
    """What came of a target so far.

    `blocked` is when the head of each lane that failed may be tried again, `later` when something came that this visit
    leaves to the next one, and `cut` says that lanes were left for want of time or of hope.
    """

    webhook: Webhook
    began: datetime
    until: datetime
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LANES_AT_ONCE))
    blocked: dict[str, datetime] = field(default_factory=dict)
    delivered: int = 0
    failed: int = 0
    in_a_row: int = 0
    gone: bool = False
    cut: bool = False
    later: datetime | None = None

    @property
    def given_up(self) -> bool:
        """Whether nothing but failures says that the target is down."""
        return self.in_a_row >= MAX_FAILURES_IN_A_ROW

    def next(self, now: datetime) -> datetime | None:
        """When to come again, or None when nothing is left."""
        if self.given_up:
            return now + PAUSE
        times = [*self.blocked.values(), *([self.later] if self.later else []), *([now] if self.cut else [])]
        return min(times, default=None)


async def visit_target(app: App, webhook: str) -> datetime | None:
    """Deliver until nothing is left, the target is down or the time is up; returns when to come again.

    One visit, by whoever holds the lease. A target that is down is not visited earlier because of newer events.
    """
    stored, now = await app.stores.webhooks.get(webhook), app.clock()
    if stored is None or not stored.value.is_active:
        return await _forget_deliveries(app, webhook, now + app.timeouts.target_visit)
    rest = app.caches.resting_targets.get(webhook)
    if rest is not None and now < rest <= now + PAUSE:
        return rest
    visit, last, page = Visit(stored.value, now, now + app.timeouts.target_visit), None, DELIVERIES_PER_READ
    while page == DELIVERIES_PER_READ and not (visit.given_up or visit.gone or visit.cut):
        found = await app.stores.deliveries.waiting(webhook, last, DELIVERIES_PER_READ)
        lanes = (_deliver_lane(app, visit, lane) for lane in _lanes(found, visit))
        # All of them end before a fault is raised: none may go on beside the next visit.
        for ended in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended
        last, page = found[-1].value if found else None, len(found)
    if visit.gone:
        return await _mark_gone(app, stored)
    if visit.given_up:
        app.caches.resting_targets[webhook] = app.clock() + PAUSE
    ids = {"webhook": webhook, "delivered": visit.delivered, "failed": visit.failed}
    log.log(logging.WARNING if visit.given_up else logging.INFO, "target visited", extra=ids)
    return visit.next(app.clock())


async def _deliver_lane(app: App, visit: Visit, lane: Sequence[Stored[Delivery]]) -> None:
    async with visit.slots:
        for stored in lane:
            due, now = stored.value.not_before, app.clock()
            if due is not None and now < due <= now + MAX_RETRY_DELAY * 2:
                visit.blocked[stored.value.lane] = due
                return
            if now >= visit.until or visit.given_up or visit.gone:
                visit.cut = True
                return
            if not await _deliver(app, visit, stored):
                return


async def _deliver(app: App, visit: Visit, stored: Stored[Delivery]) -> bool:
    """Whether the lane may go on."""
    owner = await standing_caller(app, visit.webhook.created_by)
    if not all(can_receive_events_of(owner, account) for account in stored.value.concerned_accounts):
        with suppress(StaleWrite):  # set free meanwhile, and looked at again
            await app.stores.deliveries.remove(stored)
        return True
    answer, error = await _send(app, visit.webhook, stored.value)
    try:
        if error is not None:
            return await _record_failure(app, visit, stored, error, answer)
        visit.delivered, visit.in_a_row = visit.delivered + 1, 0
        await app.stores.deliveries.remove(stored)
    except StaleWrite:
        # Set free meanwhile, so it is another delivery now and comes again at once; its lane waits for it.
        visit.blocked[stored.value.lane] = app.clock()
        return False
    return True


async def _record_failure(app: App, visit: Visit, stored: Stored[Delivery], error: str, answer: Answer | None) -> bool:
    visit.failed, visit.in_a_row = visit.failed + 1, visit.in_a_row + 1
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
    """It does not want anything any more."""
    with suppress(StaleWrite):  # subscribed anew right now; then it is asked again
        await app.stores.webhooks.replace(stored, stored.value.marked_gone(app.clock()))
        log.warning("webhook gone", extra={"webhook": stored.value.id})
    return await _forget_deliveries(app, stored.value.id, app.clock() + app.timeouts.target_visit)


async def _forget_deliveries(app: App, webhook: str, until: datetime) -> datetime | None:
    """Forget what waits for a target that wants nothing; when to go on with that, if there is more."""
    while not await app.stores.deliveries.forget(webhook):
        if (now := app.clock()) >= until:
            return now
    return None


def _lanes(found: Sequence[Stored[Delivery]], visit: Visit) -> list[list[Stored[Delivery]]]:
    """What was there when the visit began, lane by lane.

    A page sees what came since the page before it was read, but not what came into the range of that one: its follower
    may be here, and must wait too.
    """
    lanes: dict[str, list[Stored[Delivery]]] = {}
    for stored in found:
        if visit.began < stored.value.queued <= visit.began + MAX_CLOCK_SKEW:
            visit.later = visit.later or stored.value.queued
        elif stored.value.lane not in visit.blocked:
            lanes.setdefault(stored.value.lane, []).append(stored)
    return list(lanes.values())
