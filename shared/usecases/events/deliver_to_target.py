"""Deliver to one target what waits for it: lanes side by side, each in order."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite
from shared.domain.webhook import MAX_RETRY_DELAY, Delivery, Webhook, can_receive_events_of
from shared.ports import Answer, Clock, Deliveries, Jitter, Stored, TargetRefused, Targets, Webhooks
from shared.usecases import use_case
from shared.usecases.callers.standing_callers import StandingCallers

log = logging.getLogger(__name__)

AT_ONCE = 4  # lanes of one target
PAGE = 500
# So many failures in a row are the target's, not a lane's: it is left alone for a while.
GIVEN_UP = 8
PAUSE = timedelta(minutes=1)
# A run that ends waits for its visits, so they are short.
LASTS = timedelta(seconds=20)
# Clocks of instances differ by less; what is from further ahead was written by a clock that was wrong.
SKEW = timedelta(minutes=5)
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
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
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
        return self.in_a_row >= GIVEN_UP

    def next(self, now: datetime) -> datetime | None:
        """When to come again, or None when nothing is left."""
        if self.given_up:
            return now + PAUSE
        times = [*self.blocked.values(), *([self.later] if self.later else []), *([now] if self.cut else [])]
        return min(times, default=None)


@use_case
class DeliverToTarget:
    """One visit, by whoever holds the lease. A target that is down is not visited earlier because of newer events."""

    webhooks: Webhooks
    deliveries: Deliveries
    targets: Targets
    callers: StandingCallers
    clock: Clock
    jitter: Jitter
    _resting: dict[str, datetime] = field(default_factory=dict)

    async def __call__(self, webhook: str) -> datetime | None:
        """Deliver until nothing is left, the target is down or the time is up; returns when to come again."""
        stored, now = await self.webhooks.get(webhook), self.clock()
        if stored is None or not stored.value.is_active:
            return await self._forget(webhook, now + LASTS)
        rest = self._resting.get(webhook)
        if rest is not None and now < rest <= now + PAUSE:
            return rest
        visit, last, page = Visit(stored.value, now, now + LASTS), None, PAGE
        while page == PAGE and not (visit.given_up or visit.gone or visit.cut):
            found = await self.deliveries.waiting(webhook, last, PAGE)
            lanes = (self._lane(visit, lane) for lane in _lanes(found, visit))
            # All of them end before a fault is raised: none may go on beside the next visit.
            for ended in await asyncio.gather(*lanes, return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
            last, page = found[-1].value if found else None, len(found)
        if visit.gone:
            return await self._end(stored)
        if visit.given_up:
            self._resting[webhook] = self.clock() + PAUSE
        ids = {"webhook": webhook, "delivered": visit.delivered, "failed": visit.failed}
        log.log(logging.WARNING if visit.given_up else logging.INFO, "target visited", extra=ids)
        return visit.next(self.clock())

    async def _lane(self, visit: Visit, lane: Sequence[Stored[Delivery]]) -> None:
        async with visit.slots:
            for stored in lane:
                due, now = stored.value.not_before, self.clock()
                if due is not None and now < due <= now + MAX_RETRY_DELAY * 2:
                    visit.blocked[stored.value.lane] = due
                    return
                if now >= visit.until or visit.given_up or visit.gone:
                    visit.cut = True
                    return
                if not await self._one(visit, stored):
                    return

    async def _one(self, visit: Visit, stored: Stored[Delivery]) -> bool:
        """Whether the lane may go on."""
        owner = await self.callers(visit.webhook.created_by)
        if not all(can_receive_events_of(owner, account) for account in stored.value.concerned_accounts):
            with suppress(StaleWrite):  # set free meanwhile, and looked at again
                await self.deliveries.remove(stored)
            return True
        answer, error = await self._send(visit.webhook, stored.value)
        try:
            if error is not None:
                return await self._failed(visit, stored, error, answer)
            visit.delivered, visit.in_a_row = visit.delivered + 1, 0
            await self.deliveries.remove(stored)
        except StaleWrite:
            # Set free meanwhile, so it is another delivery now and comes again at once; its lane waits for it.
            visit.blocked[stored.value.lane] = self.clock()
            return False
        return True

    async def _failed(self, visit: Visit, stored: Stored[Delivery], error: str, answer: Answer | None) -> bool:
        visit.failed, visit.in_a_row = visit.failed + 1, visit.in_a_row + 1
        visit.gone |= answer is not None and answer.status == GONE
        failed = stored.value.after_failure(error, self.clock(), self.jitter(), answer.retry_after if answer else None)
        await self.deliveries.replace(stored, failed)
        ids = {"webhook": failed.webhook, "event_id": failed.id, "error": error, "attempts": failed.attempts}
        log.warning("delivery parked" if failed.parked else "delivery failed", extra=ids)
        if failed.not_before is not None:
            visit.blocked[failed.lane] = failed.not_before
        return failed.parked is not None

    async def _send(self, webhook: Webhook, delivery: Delivery) -> tuple[Answer | None, str | None]:
        try:
            answer = await self.targets.send(webhook, delivery, self.clock())
        except TargetRefused as refused:
            return None, str(refused)
        return answer, None if answer.good else f"it answered {answer.status}"

    async def _end(self, stored: Stored[Webhook]) -> datetime | None:
        """It does not want anything any more."""
        with suppress(StaleWrite):  # subscribed anew right now; then it is asked again
            await self.webhooks.replace(stored, stored.value.marked_gone(self.clock()))
            log.warning("webhook gone", extra={"webhook": stored.value.id})
        return await self._forget(stored.value.id, self.clock() + LASTS)

    async def _forget(self, webhook: str, until: datetime) -> datetime | None:
        """Forget what waits for a target that wants nothing; when to go on with that, if there is more."""
        while not await self.deliveries.forget(webhook):
            if (now := self.clock()) >= until:
                return now
        return None


def _lanes(found: Sequence[Stored[Delivery]], visit: Visit) -> list[list[Stored[Delivery]]]:
    """What was there when the visit began, lane by lane.

    A page sees what came since the page before it was read, but not what came into the range of that one: its follower
    may be here, and must wait too.
    """
    lanes: dict[str, list[Stored[Delivery]]] = {}
    for stored in found:
        if visit.began < stored.value.queued <= visit.began + SKEW:
            visit.later = visit.later or stored.value.queued
        elif stored.value.lane not in visit.blocked:
            lanes.setdefault(stored.value.lane, []).append(stored)
    return list(lanes.values())
