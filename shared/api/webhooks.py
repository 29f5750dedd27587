"""/v1/webhooks: where events go."""

from typing import Any

from shared.api.account_filter import binding_of, filter_fields
from shared.api.field_types import (
    Id,
)
from shared.api.webhook_fields import (
    NewWebhook,
    ParkedEvent,
    Pinged,
    Redelivered,
    RemovedWebhook,
    Subscribed,
    WebhookDetails,
    WebhookList,
    WebhookStatus,
)
from shared.domain import webhook as webhooks
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.secret import MASK, Secret
from shared.domain.webhook import ALL_EVENTS
from shared.http.audit import add_to_audit
from shared.http.decoding import Faults
from shared.http.operations import Resource
from shared.http.responses import Answered, moment
from shared.ports import App
from shared.usecases.events import webhook_care
from shared.usecases.events.webhook_care import MAX_SHOWN, WebhookState
from shared.usecases.events.webhooks import Subscription, subscribe

WEBHOOK = "/v1/webhooks/{webhook}"

resource = Resource("Events", "Webhooks and the events that they receive.")


@resource.post(
    "/v1/webhooks",
    Action.CREATE_WEBHOOK,
    Scope.WEBHOOKS,
    checks_reach=True,
    uses_form_limit=True,
    # 201 for one that was there too: Power Automate takes the address to unsubscribe at from no other answer.
    status=201,
    refusals=[400, 409],
    headers={"Location": "Where to unsubscribe."},
)
async def create_webhook(app: App, caller: Caller, body: NewWebhook, faults: Faults) -> Answered[Subscribed]:
    """Subscribe to events.

    Creates a webhook, or updates the caller's existing one for the same URL and accounts.
    """
    wish = Subscription(
        url=Secret(body.url or ""),
        events=tuple(body.events or (ALL_EVENTS,)),
        filter=binding_of(body, faults),
        secret=Secret(body.secret) if body.secret else None,
        description=body.description or None,
        verify=body.verify is not False,
    )
    subscribed = await subscribe(app, wish, faults, caller)
    add_to_audit(target=subscribed.webhook.id)
    fields = summary(subscribed.webhook) | ({"secret": subscribed.secret} if subscribed.secret else {})
    answer = Subscribed(**fields, state="new" if subscribed.new else "existing")
    return Answered(answer, {"Location": f"{app.config.base_url}/v1/webhooks/{subscribed.webhook.id}"})


@resource.get("/v1/webhooks", Action.LIST_WEBHOOKS, Scope.WEBHOOKS, checks_reach=True)
async def list_webhooks(app: App, caller: Caller) -> WebhookList:
    """List webhooks.

    Lists webhooks with the number of events that wait for each.
    """
    found = await webhook_care.list_webhooks(app, caller)
    return WebhookList(webhooks=[WebhookStatus(**standing(each)) for each in found])


@resource.get(WEBHOOK, Action.READ_WEBHOOK, Scope.WEBHOOKS, checks_reach=True, refusals=[404])
async def get_webhook(app: App, caller: Caller, webhook_id: Id) -> WebhookDetails:
    """Get a webhook.

    Returns the state of a webhook, and the events that it did not accept.
    """
    found = await webhook_care.read_webhook(app, webhook_id, caller)
    return WebhookDetails(**standing(found), parked_events=[*map(_parked_event, found.parked)])


@resource.delete(WEBHOOK, Action.REMOVE_WEBHOOK, Scope.WEBHOOKS, checks_reach=True, refusals=[404, 409])
async def remove_webhook(app: App, caller: Caller, webhook_id: Id) -> RemovedWebhook:
    """Unsubscribe from events.

    Removes the webhook and every event that waits for it.
    """
    await webhook_care.remove_webhook(app, webhook_id, caller)
    add_to_audit(target=webhook_id)
    return RemovedWebhook(id=webhook_id, deleted=True)


@resource.post(
    f"{WEBHOOK}/ping", Action.PING_WEBHOOK, Scope.WEBHOOKS, checks_reach=True, uses_form_limit=True, refusals=[404]
)
async def ping_webhook(app: App, caller: Caller, webhook_id: Id) -> Pinged:
    """Ping a webhook.

    Sends a ping to the webhook and returns the result.
    """
    error = await webhook_care.ping_webhook(app, webhook_id, caller)
    add_to_audit(target=webhook_id)
    return Pinged(id=webhook_id, success=error is None, error=error)


@resource.post(f"{WEBHOOK}/redeliver", Action.REDELIVER, Scope.WEBHOOKS, checks_reach=True, refusals=[404, 409])
async def redeliver_events(app: App, caller: Caller, webhook_id: Id) -> Redelivered:
    """Redeliver parked events.

    Sends the events again that the webhook did not accept, about a thousand at a time.
    """
    done = await webhook_care.redeliver(app, webhook_id, caller)
    add_to_audit(target=webhook_id)
    return Redelivered(id=webhook_id, redelivered=done.tried, more=done.more)


def summary(webhook: webhooks.Webhook) -> dict[str, Any]:
    """The fields of Webhook."""
    return {
        "id": webhook.id,
        "url": webhook.place,
        "events": list(webhook.events),
        **filter_fields(webhook.filter),
        "description": webhook.description,
        "secret": Secret(MASK),
        "enabled": webhook.is_active,
        "gone": moment(webhook.gone),
        "created": moment(webhook.created),
        "created_by": webhook.created_by,
    }


def standing(found: WebhookState) -> dict[str, Any]:
    """The fields of WebhookStatus."""
    return summary(found.webhook) | {
        "waiting": len(found.waiting),
        "parked": len(found.parked),
        "capped": MAX_SHOWN in {len(found.waiting), len(found.parked)},
        "last_error": found.last_error,
        "withdrawn": found.withdrawn,
    }


def _parked_event(delivery: webhooks.Delivery) -> ParkedEvent:
    return ParkedEvent(
        id=delivery.id,
        event=delivery.event,
        account=delivery.account,
        queued=moment(delivery.queued),
        parked=moment(delivery.parked),
        attempts=delivery.attempts,
        error=delivery.error,
    )
