"""Look after webhooks: list them with what waits for them, try again what is parked, remove them."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from shared.domain.caller import Caller, Scope
from shared.domain.errors import Conflict, Forbidden, NotFound, StaleWrite
from shared.domain.webhook import (
    DEAD_LETTER_RETENTION,
    GLOBAL_WEBHOOK_ID,
    LOST_SECRETS_MESSAGE,
    Delivery,
    Webhook,
    withdrawal_reason,
)
from shared.domain.work import OUTBOX_SHARDS, Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.callers.identify import standing_caller
from shared.usecases.events.webhooks import ping_target

log = logging.getLogger(__name__)

LOOKED_AT = 100
MAX_REDELIVERED = 1000
# A fan-out that knew the webhook may write deliveries for a while after it was removed.
FAN_OUT_GRACE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Standing:
    """A webhook, and the first hundred of what waits and of what is parked.

    `withdrawn` says why it gets no events, or not all: its owner may no longer hear of them.
    """

    webhook: Webhook
    withdrawn: str | None
    waiting: Sequence[Delivery]
    parked: Sequence[Delivery]

    @property
    def last_error(self) -> str | None:
        """Why nothing can be sent, or the head of what waits is still there, or else why the youngest was parked."""
        if self.webhook.has_lost_secrets:
            return LOST_SECRETS_MESSAGE
        found = [one.error for one in (*self.waiting, *reversed(self.parked)) if one.error]
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Underway:
    """Events that are not where they belong yet: up to a hundred to fan out, and as many of each webhook's."""

    to_fan_out: int
    waiting: int
    parked: int


@dataclass(frozen=True, slots=True)
class Redelivered:
    """How many events are tried again, and whether there are parked ones left for the next call."""

    tried: int
    more: bool


async def list_webhooks(app: App, caller: Caller) -> Sequence[Standing]:
    """Every webhook that the caller may know, the newest first. Costs two reads for each.

    A caller that is bound to accounts knows only webhooks that tell of no others; the global one is settings'.

    A caller who knows a webhook may read it. Only its maker and administrators may delete, ping or redeliver it.
    """
    found = [one for one in await app.stores.webhooks.all() if _may_know(caller, one)]
    known = sorted(found, key=lambda one: one.created, reverse=True)
    return await asyncio.gather(*map(partial(_standing, app), known))


async def count_events_underway(app: App) -> Underway:
    """How many events are on their way."""
    looks = [app.stores.agenda.due(shard, app.clock(), None, LOOKED_AT) for shard in OUTBOX_SHARDS]
    rows = [row for page in await asyncio.gather(*looks) for row in page]
    found = await asyncio.gather(*map(partial(_standing, app), await app.stores.webhooks.all()))
    return Underway(len(rows), sum(len(one.waiting) for one in found), sum(len(one.parked) for one in found))


async def read_webhook(app: App, webhook: str, caller: Caller) -> Standing:
    """One of them. Raises NotFound."""
    return await _standing(app, (await _known_webhook(app, webhook, caller)).value)


async def _known_webhook(app: App, webhook: str, caller: Caller) -> Stored[Webhook]:
    """One of them as it is stored. Raises NotFound."""
    stored = await app.stores.webhooks.get(webhook)
    if stored is None or not _may_know(caller, stored.value):
        raise NotFound("No such webhook")
    return stored


async def _own_webhook(app: App, webhook: str, caller: Caller) -> Stored[Webhook]:
    """One that the caller may change. Raises NotFound, and Forbidden for another caller's."""
    stored = await _known_webhook(app, webhook, caller)
    if not stored.value.may_be_changed_by(caller):
        raise Forbidden("Another caller made this webhook: only that caller and administrators may do this")
    return stored


async def remove_webhook(app: App, webhook: str, caller: Caller) -> None:
    """Remove it with all that waits. Raises NotFound, Forbidden and Conflict."""
    stored = await _own_webhook(app, webhook, caller)
    # Visits that find no webhook delete what is left of its deliveries.
    for due in (app.clock(), app.clock() + FAN_OUT_GRACE):
        await app.stores.agenda.add(Work(WorkKind.DELIVER, due, stored.value.id))
    try:
        await app.stores.webhooks.remove(stored)
    except StaleWrite:
        raise Conflict("The webhook is being changed by others; try again") from None
    await app.stores.deliveries.forget(stored.value.id)
    log.info("webhook removed", extra={"webhook": stored.value.id, "by": caller.id})


async def ping_webhook(app: App, webhook: str, caller: Caller) -> str | None:
    """What is wrong with its target, or None when it took a signed ping. Raises NotFound and Forbidden."""
    return await ping_target(app, (await _own_webhook(app, webhook, caller)).value)


async def redeliver(app: App, webhook: str, caller: Caller, *, limit: int = MAX_REDELIVERED) -> Redelivered:
    """Try again what is parked, a thousand events at most, and at once what waits for its time.

    What was parked arrives behind whatever has been delivered meanwhile. Raises NotFound and Forbidden.
    """
    identity = (await _own_webhook(app, webhook, caller)).value.id
    tried = 0
    while tried < limit and (parked := await app.stores.deliveries.parked(identity, LOOKED_AT)):
        tried += await _try_again(app, parked)
    more = bool(await app.stores.deliveries.parked(identity, 1))
    held = await app.stores.deliveries.waiting(identity, None, LOOKED_AT)
    tried += await _try_again(app, [one for one in held if one.value.not_before])
    await app.stores.agenda.add(Work(WorkKind.DELIVER, app.clock(), identity))
    return Redelivered(tried, more)


async def tidy_webhook(app: App, webhook: Webhook, until: datetime) -> None:
    """Forget what has been parked for a month, and have the target visited if something waits.

    A visit may be planned for a time that only a wrong clock knew. What is still there at `until` stays for the
    next time.
    """
    if await app.stores.deliveries.waiting(webhook.id, None, 1):
        await app.stores.agenda.add(Work(WorkKind.DELIVER, app.clock(), webhook.id))
    while app.clock() < until and (old := await _expired(app, webhook)):
        await asyncio.gather(*map(partial(_forget, app), old))
        log.warning("parked deliveries forgotten", extra={"webhook": webhook.id, "count": len(old)})


async def _expired(app: App, webhook: Webhook) -> Sequence[Stored[Delivery]]:
    return [one for one in await app.stores.deliveries.parked(webhook.id, LOOKED_AT) if _is_expired(app, one)]


async def _forget(app: App, stored: Stored[Delivery]) -> None:
    with suppress(StaleWrite):  # tried again right now
        await app.stores.deliveries.remove(stored)


async def _try_again(app: App, found: Sequence[Stored[Delivery]]) -> int:
    now = app.clock()

    async def one(stored: Stored[Delivery]) -> None:
        with suppress(StaleWrite):  # delivered or tried right now
            await app.stores.deliveries.replace(stored, stored.value.requeued(now))

    await asyncio.gather(*map(one, found))
    return len(found)


async def _standing(app: App, webhook: Webhook) -> Standing:
    waiting, parked = await asyncio.gather(
        app.stores.deliveries.waiting(webhook.id, None, LOOKED_AT), app.stores.deliveries.parked(webhook.id, LOOKED_AT)
    )
    withdrawn = withdrawal_reason(await standing_caller(app, webhook.created_by), webhook.filter)
    return Standing(webhook, withdrawn, [one.value for one in waiting], [one.value for one in parked])


def _is_expired(app: App, stored: Stored[Delivery]) -> bool:
    return stored.value.parked is not None and app.clock() - stored.value.parked >= DEAD_LETTER_RETENTION


def _may_know(caller: Caller, webhook: Webhook) -> bool:
    return caller.can_access_all_of(webhook.filter) and (
        webhook.id != GLOBAL_WEBHOOK_ID or caller.has_scope(Scope.ADMIN)
    )
