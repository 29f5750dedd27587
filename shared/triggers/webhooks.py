"""/v1/webhooks: where events go."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.event import EventName
from shared.domain.secret import MASK, Secret
from shared.domain.webhook import ALL_EVENTS, SIGNING_SECRET_PREFIX, Delivery, Webhook, is_target_url
from shared.http.audit import about
from shared.http.callers import Callers, for_callers
from shared.http.limits import RequestLimits
from shared.http.responses import answer, moment
from shared.http.routes import Routes
from shared.ports import App
from shared.triggers.account_filter import described, read_filter
from shared.triggers.fields import Fields, read_object
from shared.usecases.events import webhook_care
from shared.usecases.events.webhook_care import LOOKED_AT, Standing
from shared.usecases.events.webhooks import Subscribed, Subscription

NAMES = [ALL_EVENTS, *(name.value for name in EventName)]
LONGEST_URL = 2048
SHORTEST = 16  # characters of a secret in a form of its own
KEY = range(24, 65)  # bytes of a signing key (Standard Webhooks specification, "Signature scheme")


def blueprint(
    callers: Callers, limits: RequestLimits, subscribe: Callable[..., Awaitable[Subscribed]], app: App, base_url: str
) -> Routes:
    """The routes. A caller that is bound to accounts has events of these only."""
    routes = Routes()

    @routes.post("v1/webhooks")
    @for_callers(callers, Action.CREATE_WEBHOOK, Scope.WEBHOOKS, minds_reach=True)
    async def create_webhook(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        limits.form(req, caller.id)
        subscribed = await subscribe(*read_subscription(read_object(req)), caller)
        about(target=subscribed.webhook.id)
        shown = {"secret": subscribed.secret.reveal()} if subscribed.secret else {}
        body = {**describe(subscribed.webhook), **shown, "state": "new" if subscribed.new else "existing"}
        # 201 for one that was there too: Power Automate takes the address to unsubscribe at from no other answer.
        return answer(body, 201, {"Location": f"{base_url}/v1/webhooks/{subscribed.webhook.id}"})

    @routes.get("v1/webhooks")
    @for_callers(callers, Action.LIST_WEBHOOKS, Scope.WEBHOOKS, minds_reach=True)
    async def list_webhooks(_: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        return answer({"webhooks": [*map(standing, await webhook_care.list_webhooks(app, caller))]})

    @routes.get("v1/webhooks/{webhook}")
    @for_callers(callers, Action.READ_WEBHOOK, Scope.WEBHOOKS, minds_reach=True)
    async def get_webhook(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        found = await webhook_care.read_webhook(app, req.route_params["webhook"], caller)
        return answer({**standing(found), "parkedEvents": [*map(describe_delivery, found.parked)]})

    @routes.delete("v1/webhooks/{webhook}")
    @for_callers(callers, Action.REMOVE_WEBHOOK, Scope.WEBHOOKS, minds_reach=True)
    async def delete_webhook(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        webhook = req.route_params["webhook"]
        await webhook_care.remove_webhook(app, webhook, caller)
        about(target=webhook)
        return answer({"id": webhook, "deleted": True})

    @routes.post("v1/webhooks/{webhook}/ping")
    @for_callers(callers, Action.PING_WEBHOOK, Scope.WEBHOOKS, minds_reach=True)
    async def ping_webhook(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        limits.form(req, caller.id)
        webhook = req.route_params["webhook"]
        wrong = await webhook_care.ping_webhook(app, webhook, caller)
        about(target=webhook)
        return answer({"id": webhook, "success": wrong is None, "error": wrong})

    @routes.post("v1/webhooks/{webhook}/redeliver")
    @for_callers(callers, Action.REDELIVER, Scope.WEBHOOKS, minds_reach=True)
    async def redeliver(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        webhook = req.route_params["webhook"]
        done = await webhook_care.redeliver(app, webhook, caller)
        about(target=webhook)
        return answer({"id": webhook, "redelivered": done.tried, "more": done.more})

    return routes


def read_subscription(body: Mapping[str, Any]) -> tuple[Subscription, dict[str, str]]:
    """The fields, and what was wrong with them."""
    fields = Fields(body)
    url = fields.text("url", longest=LONGEST_URL)
    if url is None:
        fields.fault("url", "is required")
    elif not is_target_url(url):
        fields.fault(
            "url",
            "must be a whole https URL, with nothing hidden, and other letters than ASCII escaped",
        )
    events = fields.texts("events", NAMES.__contains__, f"words of [{', '.join(NAMES)}]", len(NAMES))
    wish = Subscription(
        url=Secret(url or ""),
        events=events or (ALL_EVENTS,),
        filter=read_filter(fields, "leave it out for events of every account that you reach"),
        secret=read_secret(fields, "secret"),
        description=fields.text("description", longest=1024),
        verify=fields.switch("verify") or "verify" not in body,
    )
    return wish, fields.finish()


def describe(webhook: Webhook) -> dict[str, Any]:
    """A webhook as callers see it: of its URL only what is no secret."""
    return {
        "id": webhook.id,
        "url": webhook.place,
        "events": list(webhook.events),
        **described(webhook.filter),
        "description": webhook.description,
        "secret": MASK,
        "enabled": webhook.is_active,
        "gone": moment(webhook.gone),
        "created": moment(webhook.created),
        "createdBy": webhook.created_by,
    }


def standing(found: Standing) -> dict[str, Any]:
    """The same with what waits and what is parked, both counted up to a hundred."""
    return {
        **describe(found.webhook),
        "waiting": len(found.waiting),
        "parked": len(found.parked),
        "capped": LOOKED_AT in {len(found.waiting), len(found.parked)},
        "lastError": found.last_error,
        "withdrawn": found.withdrawn,
    }


def describe_delivery(delivery: Delivery) -> dict[str, Any]:
    """An event that a target would not take."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "account": delivery.account,
        "queued": moment(delivery.queued),
        "parked": moment(delivery.parked),
        "attempts": delivery.attempts,
        "error": delivery.error,
    }


def read_secret(fields: Fields, name: str) -> Secret | None:
    """A signing secret: `whsec_` and a key in base64, or any other text that is long enough to be none to guess."""
    text = fields.text(name)
    if text is not None and not _is_secret(text):
        fields.fault(
            name, f"must be {SIGNING_SECRET_PREFIX} with 24 to 64 bytes in base64, or a text of 16 characters or more"
        )
    return Secret(text) if text else None


def _is_secret(text: str) -> bool:
    if not text.startswith(SIGNING_SECRET_PREFIX):
        return len(text) >= SHORTEST
    try:
        return len(base64.b64decode(text.removeprefix(SIGNING_SECRET_PREFIX), validate=True)) in KEY
    except ValueError:
        return False
