"""The fields of webhooks in requests and answers."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.api.account_filter import AccountFilter, AccountIds
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
from shared.domain.event import EventName
from shared.domain.secret import MASK
from shared.domain.webhook import ALL_EVENTS, SIGNING_SECRET_PREFIX, is_target_url
from shared.http.responses import Answer

EVENT_NAMES = [ALL_EVENTS, *(name.value for name in EventName)]
MAX_URL_CHARACTERS = 2048
MIN_SECRET_CHARACTERS = 16  # of one in a form of its own
KEY_BYTES = range(24, 65)  # of a signing key (Standard Webhooks specification, "Signature scheme")


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
