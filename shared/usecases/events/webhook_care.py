"""Webhooks: list them with their deliveries, ping, remove and redeliver them, and delete old dead letters."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

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

MAX_SHOWN = 100
MAX_REDELIVERED = 1000
# A fan-out that read the webhook before its removal may still write deliveries for a while.
FAN_OUT_GRACE_PERIOD = timedelta(minutes=15)
INACTIVE_MESSAGE = "The webhook is off, or its target answered that it is gone. Subscribe again, or turn it on, first"


class WebhookState(NamedTuple):
    """A webhook with its first hundred waiting and parked deliveries.

    `withdrawn` says why it gets no events, or only some: its owner may no longer receive them.
    """

    webhook: Webhook
    withdrawn: str | None
    waiting: Sequence[Delivery]
    parked: Sequence[Delivery]

    @property
    def last_error(self) -> str | None:
        """Why nothing can be sent, else the error of the first waiting delivery, else that of the last parked one."""
        if self.webhook.has_lost_secrets:
            return LOST_SECRETS_MESSAGE
        errors = (delivery.error for delivery in (*self.waiting, *reversed(self.parked)))
        return next(filter(None, errors), None)


class EventBacklog(NamedTuple):
    """Events to fan out, at most a hundred for each shard, and deliveries, at most a hundred for each webhook."""

    to_fan_out: int
    waiting: int
    parked: int


class Redelivered(NamedTuple):
    """How many deliveries are tried again, and whether parked ones are left for another call."""

    tried: int
    more: bool


async def list_webhooks(app: App, caller: Caller) -> Sequence[WebhookState]:
    """Every webhook that the caller may read, the newest first. Reads two pages for each.

    A caller that is bound to accounts may read webhooks that are limited to these accounts, and only administrators the
    global one. Only the caller who made a webhook and administrators may delete, ping or redeliver it.
    """
    readable = [webhook for webhook in await app.stores.webhooks.all() if _may_read(caller, webhook)]
    newest_first = sorted(readable, key=lambda webhook: webhook.created, reverse=True)
    return await asyncio.gather(*map(partial(_status, app), newest_first))


async def count_event_backlog(app: App) -> EventBacklog:
    """The number of events that are not delivered yet."""
    reads = [app.stores.agenda.due(shard, app.clock(), None, MAX_SHOWN) for shard in OUTBOX_SHARDS]
    rows = [row for page in await asyncio.gather(*reads) for row in page]
    all_status = await asyncio.gather(*map(partial(_status, app), await app.stores.webhooks.all()))
    waiting, parked = sum(len(each.waiting) for each in all_status), sum(len(each.parked) for each in all_status)
    return EventBacklog(len(rows), waiting, parked)


async def read_webhook(app: App, webhook: str, caller: Caller) -> WebhookState:
    """A webhook with its deliveries. Raises NotFound."""
    return await _status(app, (await _readable_webhook(app, webhook, caller)).value)


async def _readable_webhook(app: App, webhook: str, caller: Caller) -> Stored[Webhook]:
    """A webhook that the caller may read. Raises NotFound."""
    stored = await app.stores.webhooks.get(webhook)
    if stored is None or not _may_read(caller, stored.value):
        raise NotFound("No such webhook")
    return stored


async def _own_webhook(app: App, webhook: str, caller: Caller) -> Stored[Webhook]:
    """A webhook that the caller may change. Raises NotFound, and Forbidden for another caller's."""
    stored = await _readable_webhook(app, webhook, caller)
    if not stored.value.may_be_changed_by(caller):
        raise Forbidden("Another caller made this webhook: only that caller and administrators may do this")
    return stored


async def remove_webhook(app: App, webhook: str, caller: Caller) -> None:
    """Remove a webhook with its deliveries. Raises NotFound, Forbidden and Conflict."""
    stored = await _own_webhook(app, webhook, caller)
    # A visit that finds no webhook deletes the remaining deliveries.
    for due in (app.clock(), app.clock() + FAN_OUT_GRACE_PERIOD):
        await app.stores.agenda.add(Work(WorkKind.DELIVER, due, stored.value.id))
    try:
        await app.stores.webhooks.remove(stored)
    except StaleWrite:
        raise Conflict from None
    await app.stores.deliveries.forget(stored.value.id)
    log.info("webhook removed", extra={"webhook": stored.value.id, "by": caller.id})


async def ping_webhook(app: App, webhook: str, caller: Caller) -> str | None:
    """Send a signed ping. Returns what is wrong with the target, or None. Raises NotFound and Forbidden."""
    return await ping_target(app, (await _own_webhook(app, webhook, caller)).value)


async def redeliver(app: App, webhook: str, caller: Caller, *, limit: int = MAX_REDELIVERED) -> Redelivered:
    """Queue parked deliveries again, a thousand at most, and send delayed ones at once.

    Parked deliveries arrive after deliveries that were sent meanwhile. Raises NotFound and Forbidden, and Conflict if
    the webhook gets no events now: a visit would delete what it finds.
    """
    stored_webhook = (await _own_webhook(app, webhook, caller)).value
    identity = stored_webhook.id
    if reason := await _no_delivery_reason(app, stored_webhook):
        raise Conflict(f"Nothing was redelivered. {reason}")
    tried = 0
    while tried < limit and (parked := await app.stores.deliveries.parked(identity, MAX_SHOWN)):
        tried += await _requeue(app, parked)
    more = bool(await app.stores.deliveries.parked(identity, 1))
    waiting = await app.stores.deliveries.waiting(identity, None, MAX_SHOWN)
    tried += await _requeue(app, [stored for stored in waiting if stored.value.not_before])
    await app.stores.agenda.add(Work(WorkKind.DELIVER, app.clock(), identity))
    return Redelivered(tried, more)


async def tidy_webhook(app: App, webhook: Webhook, until: datetime) -> None:
    """Delete deliveries that have been parked for a month, and schedule a visit if some are waiting.

    The visit may be missing from the agenda because of a wrong clock. What is left at `until` is deleted next time.
    """
    if await app.stores.deliveries.waiting(webhook.id, None, 1):
        await app.stores.agenda.add(Work(WorkKind.DELIVER, app.clock(), webhook.id))
    while app.clock() < until and (expired := await _expired(app, webhook)):
        await asyncio.gather(*map(partial(_forget, app), expired))
        log.warning("parked deliveries forgotten", extra={"webhook": webhook.id, "count": len(expired)})


async def _expired(app: App, webhook: Webhook) -> Sequence[Stored[Delivery]]:
    parked = await app.stores.deliveries.parked(webhook.id, MAX_SHOWN)
    return [stored for stored in parked if _is_expired(app, stored)]


async def _forget(app: App, stored: Stored[Delivery]) -> None:
    with suppress(StaleWrite):  # requeued just now
        await app.stores.deliveries.remove(stored)


async def _requeue(app: App, deliveries: Sequence[Stored[Delivery]]) -> int:
    now = app.clock()

    async def requeue(stored: Stored[Delivery]) -> None:
        with suppress(StaleWrite):  # delivered or requeued just now
            await app.stores.deliveries.replace(stored, stored.value.requeued(now))

    await asyncio.gather(*map(requeue, deliveries))
    return len(deliveries)


async def _no_delivery_reason(app: App, webhook: Webhook) -> str | None:
    """Why nothing is delivered to the webhook at present, or None."""
    if webhook.has_lost_secrets:
        return LOST_SECRETS_MESSAGE
    if not webhook.is_active:
        return INACTIVE_MESSAGE
    return withdrawal_reason(await standing_caller(app, webhook.created_by), webhook.filter)


async def _status(app: App, webhook: Webhook) -> WebhookState:
    waiting, parked = await asyncio.gather(
        app.stores.deliveries.waiting(webhook.id, None, MAX_SHOWN),
        app.stores.deliveries.parked(webhook.id, MAX_SHOWN),
    )
    withdrawn = withdrawal_reason(await standing_caller(app, webhook.created_by), webhook.filter)
    return WebhookState(webhook, withdrawn, [stored.value for stored in waiting], [stored.value for stored in parked])


def _is_expired(app: App, stored: Stored[Delivery]) -> bool:
    return stored.value.parked is not None and app.clock() - stored.value.parked >= DEAD_LETTER_RETENTION


def _may_read(caller: Caller, webhook: Webhook) -> bool:
    return caller.can_access_all_of(webhook.filter) and (
        webhook.id != GLOBAL_WEBHOOK_ID or caller.has_scope(Scope.ADMIN)
    )
