"""Subscribe webhooks, ping their targets, and change the global target of the settings."""

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

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
from shared.ports import App, Entropy, Stored, TargetRefused, retry_on_conflict

log = logging.getLogger(__name__)

PING = "ping"
# Each event is written once for every webhook that wants it. Flows of one maker share a caller, and flows of all makers
# an origin; yet no caller alone fills the places of an origin, nor those of everybody.
MOST, MOST_OF_ORIGIN, MOST_OF_CALLER = 200, 100, 50


async def ping_target(app: App, webhook: Webhook) -> str | None:
    """What is wrong with the target, or None when it took the ping.

    The ping is sent once and kept nowhere.
    """
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
    """Raise InvalidInput for a target that may not be one, or, when it is to be verified, does not take a ping."""
    try:
        await app.targets.check(webhook.url)
    except TargetRefused as refused:
        raise InvalidInput({field: f'"{field}" cannot be a target: {refused}'}) from None
    wrong = await ping_target(app, webhook) if verify else None
    if wrong is not None:
        raise InvalidInput({field: f'"{field}" did not take a signed ping: {wrong}'})


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a caller asks for; see Webhook. Without `verify` the target is looked up, but not pinged."""

    url: Secret
    events: tuple[str, ...]
    filter: Binding | None = None
    secret: Secret | None = None
    description: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The webhook; `secret` was made for it, and is shown this once. `new` says that it was not there before."""

    webhook: Webhook
    secret: Secret | None
    new: bool


async def subscribe(app: App, asked: Subscription, faults: Mapping[str, str], caller: Caller) -> Subscribed:
    """Store the webhook. Raises InvalidInput with `faults` or for a bad target, Forbidden, and Conflict.

    The same caller's URL for the same accounts is the same webhook: asking again changes and revives it.

    Raises LimitReached for a new one when there are too many.
    """
    if faults:
        raise InvalidInput(faults)
    asked = replace(asked, filter=asked.filter or caller.binding)
    if not caller.can_access_all_of(asked.filter):
        raise Forbidden("The accounts are outside of those that this caller is bound to")
    made = new_secret(app.entropy)
    stored = await _existing_webhook(app, asked, caller)
    await check_target(app, _subscribed_webhook(app, asked, caller, made, stored), "url", verify=asked.verify)
    webhook, is_new = await retry_on_conflict(partial(_store_webhook, app, asked, caller, made))
    log.info("webhook stored", extra={"webhook": webhook.id, "by": caller.id})
    return Subscribed(webhook, made if webhook.secret is made else None, is_new)


async def _existing_webhook(app: App, asked: Subscription, caller: Caller) -> Stored[Webhook] | None:
    """The caller's webhook for this URL, which may have an id that names no caller."""
    for caller_id in (caller.id, None):
        stored = await app.stores.webhooks.get(webhook_id(asked.url, asked.filter, caller_id))
        if stored is not None and stored.value.may_be_changed_by(caller):
            return stored
    return None


async def _store_webhook(app: App, asked: Subscription, caller: Caller, made: Secret) -> tuple[Webhook, bool]:
    """The webhook as it is stored, and whether it is new."""
    stored = await _existing_webhook(app, asked, caller)
    webhook = _subscribed_webhook(app, asked, caller, made, stored)
    if stored is not None:
        await app.stores.webhooks.replace(stored, webhook)
        return webhook, False
    check_places(await app.stores.webhooks.all(), webhook.url, caller)
    inserted = await app.stores.webhooks.insert(webhook)
    # Of those that are made at the same moment, the earliest ones stay.
    earlier = [one for one in await app.stores.webhooks.all() if (one.created, one.id) < (webhook.created, webhook.id)]
    try:
        check_places(earlier, webhook.url, caller)
    except LimitReached:
        with suppress(StaleWrite):  # removed or changed by others just now
            await app.stores.webhooks.remove(inserted)
        raise
    return webhook, True


def _subscribed_webhook(
    app: App, asked: Subscription, caller: Caller, made: Secret, stored: Stored[Webhook] | None
) -> Webhook:
    if stored is None:
        return Webhook(
            id=webhook_id(asked.url, asked.filter, caller.id),
            url=asked.url,
            place=masked_url(asked.url),
            secret=asked.secret or made,
            events=asked.events,
            created=app.clock(),
            created_by=caller.id,
            filter=asked.filter,
            description=asked.description,
        )
    existing = stored.value
    return replace(
        existing,
        url=asked.url,
        events=asked.events,
        secret=asked.secret or (made if existing.has_lost_secrets else existing.secret),
        description=asked.description or existing.description,
        enabled=True,
        gone=None,
    )


def check_places(kept: Sequence[Webhook], url: Secret, caller: Caller) -> None:
    """Raise LimitReached when one more would be too many: of this caller, to this origin, or in all."""
    others = [webhook for webhook in kept if webhook.id != GLOBAL_WEBHOOK_ID]
    origin = url_origin(url)
    counts = (
        (MOST_OF_CALLER, [one for one in others if one.created_by == caller.id], "of this caller"),
        (MOST_OF_ORIGIN, [one for one in others if url_origin(one.url) == origin], "to this origin"),
        (MOST, others, "in all"),
    )
    for most, found, whose in counts:
        if len(found) >= most:
            raise LimitReached(
                f"There are already {most} webhooks {whose}, which is the limit; delete one that is not needed"
            )


def new_secret(entropy: Entropy) -> Secret:
    """A signing secret: 24 random bytes, as the Standard Webhooks specification advises."""
    return Secret(SIGNING_SECRET_PREFIX + base64.b64encode(entropy(24)).decode())


@dataclass(frozen=True, slots=True)
class SettingsWish:
    """What is to be changed; None leaves a setting as it is, and an empty URL takes the target away."""

    url: Secret | None = None
    enabled: bool | None = None
    events: tuple[str, ...] | None = None
    headers: Mapping[str, str] | None = None
    secret: Secret | None = None
    verify: bool = True


async def change_settings(app: App, wish: SettingsWish, faults: Mapping[str, str], caller: Caller) -> Webhook:
    """The target as it is now. Raises InvalidInput (`faults`, or a target that takes no ping) and Conflict.

    The global target is a webhook like the others, with an id that everybody knows.
    """
    if faults:
        raise InvalidInput(faults)
    fresh_secret = new_secret(app.entropy)
    first = Webhook(GLOBAL_WEBHOOK_ID, "", (ALL_EVENTS,), app.clock(), caller.id, secret=fresh_secret)

    def change(stored: Webhook | None) -> Webhook:
        before = stored or first
        if before.has_lost_secrets and wish.url is None:
            raise InvalidInput({"webhooks": f'"webhooks" is needed to change anything: {LOST_SECRETS_MESSAGE}'})
        return _changed_target(before, wish, caller, fresh_secret)

    if wish.url is not None:
        stored = await app.stores.webhooks.get(GLOBAL_WEBHOOK_ID)
        target = change(stored.value if stored else None)
        if target.is_active:
            await check_target(app, target, "webhooks", verify=wish.verify)
    changed = await app.stores.webhooks.update(GLOBAL_WEBHOOK_ID, change)
    log.info("settings changed", extra={"by": caller.id})
    return changed


def _changed_target(before: Webhook, wish: SettingsWish, caller: Caller, fresh_secret: Secret) -> Webhook:
    after = before
    if before.has_lost_secrets:
        after = replace(before, secret=fresh_secret, headers=Secret(""), header_names=())
    if wish.url is not None:
        # The caller who sets the URL owns the target from then on.
        after = replace(after, url=wish.url, place=masked_url(wish.url), gone=None, created_by=caller.id)
    if wish.headers is not None:
        after = replace(after, headers=Secret(json.dumps(wish.headers)), header_names=tuple(wish.headers))
    return replace(
        after,
        enabled=before.enabled if wish.enabled is None else wish.enabled,
        gone=None if wish.enabled else after.gone,
        events=before.events if wish.events is None else wish.events,
        secret=wish.secret or after.secret,
    )
