"""Subscribe webhooks, ping their targets, and change the global target of the settings."""

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from shared.domain.audit import correlation_id
from shared.domain.caller import Binding, Caller
from shared.domain.errors import Forbidden, InvalidInput, LimitReached, StaleWrite
from shared.domain.formats import format_timestamp
from shared.domain.secret import Secret
from shared.domain.webhook import (
    ALL_EVENTS,
    GLOBAL_WEBHOOK_ID,
    LOST_SECRETS_MESSAGE,
    SIGNING_SECRET_PREFIX,
    Delivery,
    Webhook,
    masked_url,
    url_origin,
    webhook_id,
)
from shared.ports import App, Entropy, Stored, TargetRefused, UnknownTarget, retry_on_conflict

log = logging.getLogger(__name__)

PING = "ping"
# Each event is written once for every subscribed webhook. Power Automate flows of one maker share a caller, and all
# flows share an origin, so one caller cannot use up the limit of an origin, nor one origin the total.
MAX_WEBHOOKS, MAX_WEBHOOKS_PER_ORIGIN, MAX_WEBHOOKS_PER_CALLER = 200, 100, 50


async def ping_target(app: App, webhook: Webhook) -> str | None:
    """Send a signed ping once, without storing it. Returns what is wrong with the target, or None."""
    if not webhook.place:
        return "it has no URL"
    now = app.clock()
    identity = f"ping{app.entropy(12).hex()}"
    body = {
        "serviceUrl": app.config.base_url,
        "account": None,
        "date": format_timestamp(now),
        "event": PING,
        "data": {"webhook": webhook.id},
        "id": identity,
        "correlation": correlation_id(),
    }
    try:
        sent = Delivery(webhook.id, identity, PING, PING, json.dumps(body), now)
        answer = await app.targets.send(webhook, sent, now)
    except TargetRefused as refused:
        return str(refused)
    return None if answer.good else f"it answered {answer.status}"


async def check_target(app: App, webhook: Webhook, field: str, *, verify: bool) -> None:
    """Raise InvalidInput for a target that is not allowed or, with `verify`, does not accept a ping.

    Without `verify` its name may be unknown now: each delivery looks it up, and checks its address.
    """
    try:
        await app.targets.check(webhook.url)
    except TargetRefused as refused:
        if verify or not isinstance(refused, UnknownTarget):
            raise InvalidInput({field: f'"{field}" cannot be a target: {refused}'}) from None
    problem = await ping_target(app, webhook) if verify else None
    if problem is not None:
        raise InvalidInput({field: f'"{field}" did not accept a signed ping: {problem}'})


class Subscription(NamedTuple):
    """The webhook that a caller asks for; see Webhook. Without `verify` the target is checked, but not pinged."""

    url: Secret
    events: tuple[str, ...]
    filter: Binding | None = None
    secret: Secret | None = None
    description: str | None = None
    verify: bool = True


class Subscribed(NamedTuple):
    """The stored webhook. `secret` is set if it was generated, and is shown only once. `new` means it did not exist."""

    webhook: Webhook
    secret: Secret | None
    new: bool


async def subscribe(app: App, subscription: Subscription, faults: Mapping[str, str], caller: Caller) -> Subscribed:
    """Store a webhook. The same caller, URL and accounts mean the same webhook, which is changed and enabled again.

    `faults` were found while parsing. Raises InvalidInput with them or for a bad target, Forbidden, Conflict, and
    LimitReached when there are too many webhooks.
    """
    if faults:
        raise InvalidInput(faults)
    subscription = subscription._replace(filter=subscription.filter or caller.binding)
    if not caller.can_access_all_of(subscription.filter):
        raise Forbidden("This caller may not access all of these accounts")
    generated = new_secret(app.entropy)
    stored = await _existing_webhook(app, subscription, caller)
    await check_target(
        app, _subscribed_webhook(app, subscription, caller, generated, stored), "url", verify=subscription.verify
    )
    webhook, is_new = await retry_on_conflict(partial(_store_webhook, app, subscription, caller, generated))
    log.info("webhook stored", extra={"webhook": webhook.id, "by": caller.id})
    return Subscribed(webhook, generated if webhook.secret is generated else None, is_new)


async def _existing_webhook(app: App, subscription: Subscription, caller: Caller) -> Stored[Webhook] | None:
    """The caller's webhook for this URL. Older webhooks have an id without a caller."""
    for caller_id in (caller.id, None):
        stored = await app.stores.webhooks.get(webhook_id(subscription.url, subscription.filter, caller_id))
        if stored is not None and stored.value.may_be_changed_by(caller):
            return stored
    return None


async def _store_webhook(
    app: App, subscription: Subscription, caller: Caller, generated: Secret
) -> tuple[Webhook, bool]:
    """The webhook as it is stored, and whether it is new."""
    stored = await _existing_webhook(app, subscription, caller)
    webhook = _subscribed_webhook(app, subscription, caller, generated, stored)
    if stored is not None:
        await app.stores.webhooks.replace(stored, webhook)
        return webhook, False
    check_limits(await app.stores.webhooks.all(), webhook.url, caller)
    inserted = await app.stores.webhooks.insert(webhook)
    # Of webhooks that are inserted at the same moment, the earliest ones stay.
    order = (webhook.created, webhook.id)
    earlier = [other for other in await app.stores.webhooks.all() if (other.created, other.id) < order]
    try:
        check_limits(earlier, webhook.url, caller)
    except LimitReached:
        with suppress(StaleWrite):  # removed or changed just now
            await app.stores.webhooks.remove(inserted)
        raise
    return webhook, True


def _subscribed_webhook(
    app: App, subscription: Subscription, caller: Caller, generated: Secret, stored: Stored[Webhook] | None
) -> Webhook:
    if stored is None:
        return Webhook(
            id=webhook_id(subscription.url, subscription.filter, caller.id),
            url=subscription.url,
            place=masked_url(subscription.url),
            secret=subscription.secret or generated,
            events=subscription.events,
            created=app.clock(),
            created_by=caller.id,
            filter=subscription.filter,
            description=subscription.description,
        )
    existing = stored.value
    return replace(
        existing,
        url=subscription.url,
        events=subscription.events,
        secret=subscription.secret or (generated if existing.has_lost_secrets else existing.secret),
        description=subscription.description or existing.description,
        enabled=True,
        gone=None,
    )


def check_limits(webhooks: Sequence[Webhook], url: Secret, caller: Caller) -> None:
    """Raise LimitReached when another webhook would exceed the limit of the caller, of the origin, or in total."""
    others = [webhook for webhook in webhooks if webhook.id != GLOBAL_WEBHOOK_ID]
    origin = url_origin(url)
    counts = (
        (MAX_WEBHOOKS_PER_CALLER, [other for other in others if other.created_by == caller.id], "of this caller"),
        (MAX_WEBHOOKS_PER_ORIGIN, [other for other in others if url_origin(other.url) == origin], "to this origin"),
        (MAX_WEBHOOKS, others, "in all"),
    )
    for limit, counted, whose in counts:
        if len(counted) >= limit:
            raise LimitReached(
                f"There are already {limit} webhooks {whose}, which is the limit; delete one that is not needed"
            )


def new_secret(entropy: Entropy) -> Secret:
    """A signing secret: 24 random bytes, as the Standard Webhooks specification advises."""
    return Secret(SIGNING_SECRET_PREFIX + base64.b64encode(entropy(24)).decode())


class TargetChange(NamedTuple):
    """The changes; None leaves a setting unchanged, and an empty URL removes the target."""

    url: Secret | None = None
    enabled: bool | None = None
    events: tuple[str, ...] | None = None
    headers: Mapping[str, str] | None = None
    secret: Secret | None = None
    verify: bool = True


async def change_settings(app: App, change: TargetChange, faults: Mapping[str, str], caller: Caller) -> Webhook:
    """Change the global target, a webhook with a fixed id, and return it.

    `faults` were found while parsing. Raises InvalidInput with them or for a bad target, and Conflict.
    """
    if faults:
        raise InvalidInput(faults)
    generated = new_secret(app.entropy)
    first = Webhook(GLOBAL_WEBHOOK_ID, "", (ALL_EVENTS,), app.clock(), caller.id, secret=generated)

    def apply(stored: Webhook | None) -> Webhook:
        before = stored or first
        if before.has_lost_secrets and change.url is None:
            raise InvalidInput({"webhooks": f'"webhooks" is needed to change anything: {LOST_SECRETS_MESSAGE}'})
        return _changed_target(before, change, caller, generated)

    if change.url is not None:
        stored = await app.stores.webhooks.get(GLOBAL_WEBHOOK_ID)
        target = apply(stored.value if stored else None)
        if target.is_active:
            await check_target(app, target, "webhooks", verify=change.verify)
    changed = await app.stores.webhooks.update(GLOBAL_WEBHOOK_ID, apply)
    log.info("settings changed", extra={"by": caller.id})
    return changed


def _changed_target(before: Webhook, change: TargetChange, caller: Caller, generated: Secret) -> Webhook:
    after = before
    if before.has_lost_secrets:
        after = replace(before, secret=generated, headers=Secret(""), header_names=())
    if change.url is not None:
        # The caller who sets the URL owns the target from then on.
        after = replace(after, url=change.url, place=masked_url(change.url), gone=None, created_by=caller.id)
    if change.headers is not None:
        after = replace(after, headers=Secret(json.dumps(change.headers)), header_names=tuple(change.headers))
    return replace(
        after,
        enabled=before.enabled if change.enabled is None else change.enabled,
        gone=None if change.enabled else after.gone,
        events=before.events if change.events is None else change.events,
        secret=change.secret or after.secret,
    )
