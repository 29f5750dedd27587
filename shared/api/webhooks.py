"""/v1/webhooks: where events go."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.api.account_filter import AccountFilter, AccountIds, binding_of, filter_fields
from shared.api.field_types import (
    PLAIN,
    AccountId,
    Count,
    Deleted,
    Done,
    Id,
    SecretText,
    Timestamp,
    described,
    one_of,
)
from shared.domain import webhook as webhooks
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.event import EventName
from shared.domain.secret import MASK, Secret
from shared.domain.webhook import ALL_EVENTS, SIGNING_SECRET_PREFIX, is_target_url
from shared.http.audit import add_to_audit
from shared.http.decoding import Faults
from shared.http.operations import Resource
from shared.http.responses import Answer, Answered, moment
from shared.ports import App
from shared.usecases.events import webhook_care
from shared.usecases.events.webhook_care import MAX_SHOWN, WebhookState
from shared.usecases.events.webhooks import Subscription, subscribe

EVENT_NAMES = [ALL_EVENTS, *(name.value for name in EventName)]
MAX_URL_CHARACTERS = 2048
MIN_SECRET_CHARACTERS = 16  # of one in a form of its own
KEY_BYTES = range(24, 65)  # of a signing key (Standard Webhooks specification, "Signature scheme")
WEBHOOK = "/v1/webhooks/{webhook}"

resource = Resource("Events", "Webhooks and the events that they receive.")


def target_fault(url: str) -> str | None:
    """What is wrong with a target's URL, before anybody looks it up."""
    if is_target_url(url):
        return None
    return "must be an https URL in ASCII, without stars"


def secret_fault(text: str) -> str | None:
    """What is wrong with a signing secret: a prefix and a key, or any text that is too long to be guessed."""
    try:
        if not text.startswith(SIGNING_SECRET_PREFIX):
            fits = len(text) >= MIN_SECRET_CHARACTERS
        else:
            key = base64.b64decode(text.removeprefix(SIGNING_SECRET_PREFIX), validate=True)
            fits = len(key) in KEY_BYTES
    except ValueError:
        fits = False
    must = f"must be {SIGNING_SECRET_PREFIX} with 24 to 64 bytes in base64, or a text of 16 characters or more"
    return None if fits else must


Target = Annotated[
    str,
    described(
        "webhook",
        "The target URL: https, at a public address.",
        "https://flows.example/hook",
        max_length=MAX_URL_CHARACTERS,
    ),
    Meta(extra={"check": target_fault}),
]
SigningSecret = Annotated[
    str,
    Meta(
        description="The signing secret (Standard Webhooks): `whsec_` and a key in base64, or another text.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        max_length=256,
        min_length=MIN_SECRET_CHARACTERS,
        extra_json_schema={"format": "signing-secret"},
        extra={"check": secret_fault},
    ),
]
Verify = Annotated[
    bool, Meta(description="Whether the target has to accept a ping first; true by default.", examples=[True])
]
ErrorText = Annotated[str, Meta(description="What went wrong.", examples=["it answered 500"])]


class NewWebhook(AccountFilter, kw_only=True):
    """A new webhook: its target, its events and its accounts."""

    # Nothing answers at this address, so it is not verified.
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://flows.example/hook",
        "events": ["accountAdded", "authenticationError", "connectError"],
        "verify": False,
    }

    url: Target
    events: (
        Annotated[
            list[Annotated[str, one_of(EVENT_NAMES)]],
            Meta(
                description="The events to send; all by default.",
                min_length=1,
                max_length=len(EVENT_NAMES),
                examples=[["*"]],
                extra={"items": f"words of [{', '.join(EVENT_NAMES)}]"},
            ),
        ]
        | UnsetType
    ) = UNSET
    secret: SigningSecret | UnsetType = UNSET
    description: Annotated[str, Meta(description="What it is for.", max_length=1024, pattern=PLAIN)] | UnsetType = UNSET
    verify: Verify | UnsetType = UNSET


class Webhook(Answer, kw_only=True):
    """A webhook. Secret parts of its URL are hidden."""

    id: Id
    url: Annotated[str, Meta(description="The target URL.", examples=["https://flows.example/hook?******"])]
    events: Annotated[list[str], Meta(description="The events to send.", examples=[["*"]])]
    accounts: AccountIds | None
    account_prefix: (
        Annotated[str, Meta(description="Every account whose id begins with it.", examples=["tenant1-"])] | None
    )
    description: Annotated[str, Meta(description="What it is for.", examples=["order desk"])] | None
    secret: Annotated[
        SecretText,
        Meta(
            description="Stars: the signing secret is shown once, when Mailbind has generated it.",
            examples=[MASK],
        ),
    ]
    enabled: Annotated[bool, Meta(description="Whether events are sent.", examples=[True])]
    gone: Annotated[Timestamp, Meta(description="When the target ended the subscription with 410.")] | None
    created: Annotated[Timestamp, Meta(description="When it was created.")]
    created_by: Annotated[str, Meta(description="Who created it.", examples=["administrator"])]


class Subscribed(Webhook, kw_only=True):
    """The webhook, and whether it is new."""

    secret: Annotated[
        SecretText,
        Meta(
            description="The signing secret if Mailbind has just generated it; otherwise stars.",
            examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        ),
    ]
    state: Annotated[Literal["new", "existing"], Meta(description="Whether the webhook is new.", examples=["new"])]


class WebhookStatus(Webhook, kw_only=True):
    """A webhook with the numbers of waiting and parked events, each counted up to a hundred."""

    waiting: Annotated[Count, Meta(description="Events that are still to be delivered.")]
    parked: Annotated[Count, Meta(description="Events that the target did not accept.")]
    capped: Annotated[bool, Meta(description="Whether there are more than were counted.", examples=[False])]
    last_error: ErrorText | None
    withdrawn: (
        Annotated[
            str,
            Meta(
                description="Why it receives no events, or not all of them: its caller may no longer see them.",
                examples=["Its caller was revoked, has expired or no longer exists."],
            ),
        ]
        | None
    )


class ParkedEvent(Answer, kw_only=True):
    """An event that the target did not accept."""

    id: Id
    event: Annotated[str, Meta(description="The name of the event.", examples=["accountAdded"])]
    account: AccountId | None
    queued: Annotated[Timestamp, Meta(description="When it was queued.")]
    parked: Annotated[Timestamp, Meta(description="When its delivery was given up.")] | None
    attempts: Annotated[Count, Meta(description="How often its delivery was tried.")]
    error: ErrorText | None


class WebhookDetails(WebhookStatus, kw_only=True):
    """A webhook with its parked events."""

    parked_events: Annotated[list[ParkedEvent], Meta(description="The events that the target did not accept.")]


class WebhookList(Answer, kw_only=True):
    """All webhooks that the caller may see."""

    webhooks: Annotated[list[WebhookStatus], Meta(description="The webhooks.")]


class RemovedWebhook(Answer, kw_only=True):
    """The removed webhook."""

    id: Id
    deleted: Deleted


class Pinged(Answer, kw_only=True):
    """Whether the target accepted the ping."""

    id: Id
    success: Done
    error: ErrorText | None


class Redelivered(Answer, kw_only=True):
    """The number of events that are sent again."""

    id: Id
    redelivered: Annotated[Count, Meta(description="How many events are sent again.")]
    more: Annotated[bool, Meta(description="Whether parked events remain; call again to send them.")]


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
