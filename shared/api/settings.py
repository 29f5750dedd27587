"""GET and POST /v1/settings: the global target of events, in EmailEngine's words."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import Hidden, one_of
from shared.api.webhook_fields import SigningSecret, Target, Verify
from shared.api.webhooks import resource
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.event import EventName
from shared.domain.secret import MASK, Secret
from shared.domain.webhook import ALL_EVENTS, GLOBAL_WEBHOOK_ID, Webhook
from shared.http.decoding import Body, Faults
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.events.webhooks import TargetChange
from shared.usecases.events.webhooks import change_settings as change

# Names that EmailEngine's callers have in their settings and that nothing here is about; they are taken.
MAIL_EVENTS = {
    *("messageNew", "messageDeleted", "messageUpdated", "messageMissing", "messageSent", "messageDeliveryError"),
    *("messageFailed", "messageBounce", "messageComplaint", "mailboxReset", "mailboxDeleted", "mailboxNew"),
    *("trackOpen", "trackClick", "listUnsubscribe", "listSubscribe", "exportCompleted", "exportFailed"),
}
EVENT_NAMES = sorted({ALL_EVENTS, *EventName, *MAIL_EVENTS})
MAX_EVENT_NAMES = 64
MAX_HEADERS = 20
HEADER_NAME = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}"  # RFC 9110 section 5.6.2
HEADER_VALUE = r"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?"
# What the delivery itself says.
OWN_HEADERS = re.compile(
    r"host|content-.*|transfer-encoding|connection|user-agent|webhook-.*|x-ee-wh-.*|te|upgrade|expect"
)
NOT_HEADERS = f"must be at most {MAX_HEADERS} different headers as key and value, and none of Mailbind's own"


class HeaderToSend(Body, kw_only=True):
    """One header."""

    key: Annotated[
        str,
        Meta(
            description="Its name.",
            examples=["X-Key"],
            pattern=f"^{HEADER_NAME}$",
            extra={"must": "be the name of a header"},
        ),
    ]
    value: Annotated[
        str,
        Meta(
            description="Its value.",
            examples=["a1b2"],
            pattern=f"^({HEADER_VALUE})$",
            # What was shown in place of a value is none.
            extra={
                "must": "be a header's value in ASCII",
                "check": lambda text: "must be the value itself" if text == MASK else None,
            },
        ),
    ]


class SettingsChange(Body, kw_only=True):
    """The global webhook, as EmailEngine names its fields."""

    refused: ClassVar[Mapping[str, str]] = {"serviceUrl": "is read-only: it is the setting MAILBIND_BASE_URL"}
    example: ClassVar[Mapping[str, Any]] = {
        "webhooks": "https://flows.example/hook",
        "webhooksEnabled": True,
        "webhookEvents": ["*"],
        "verify": False,
    }

    webhooks: (
        Annotated[Target, Meta(description="The target URL. An empty text removes the target.", extra={"empty": True})]
        | UnsetType
    ) = UNSET
    webhooks_enabled: Annotated[bool, Meta(description="Whether events are sent.", examples=[True])] | UnsetType = UNSET
    webhook_events: (
        Annotated[
            list[Annotated[str, one_of(EVENT_NAMES)]],
            Meta(
                description="The events to send. Those about mail are accepted, and never happen.",
                max_length=MAX_EVENT_NAMES,
                extra={"items": "names of events, or *"},
            ),
        ]
        | UnsetType
    ) = UNSET
    webhooks_custom_headers: (
        Annotated[
            list[HeaderToSend],
            Meta(description="Headers to send with each event.", max_length=MAX_HEADERS, extra={"items": "headers"}),
        ]
        | UnsetType
    ) = UNSET
    service_secret: SigningSecret | UnsetType = UNSET
    verify: Verify | UnsetType = UNSET


class SettingsQuery(Body, kw_only=True):
    """Which settings to return; all by default."""

    webhooks: bool | UnsetType = UNSET
    webhooks_enabled: bool | UnsetType = UNSET
    webhook_events: bool | UnsetType = UNSET
    webhooks_custom_headers: bool | UnsetType = UNSET
    service_secret: bool | UnsetType = UNSET
    service_url: bool | UnsetType = UNSET


class HeaderSent(Answer, kw_only=True):
    """A header that goes with each event."""

    key: Annotated[str, Meta(description="Its name.", examples=["x-key"])]
    value: Hidden


class Settings(Answer, kw_only=True):
    """The requested settings."""

    service_url: (
        Annotated[str, Meta(description="The base URL of this Mailbind.", examples=["https://mailbind.example"])]
        | UnsetType
    ) = UNSET
    webhooks: Annotated[str, Meta(description="The target URL; empty if there is none.")] | UnsetType = UNSET
    webhooks_enabled: Annotated[bool, Meta(description="Whether events are sent.")] | UnsetType = UNSET
    webhook_events: Annotated[list[str], Meta(description="The events to send.")] | UnsetType = UNSET
    webhooks_custom_headers: (
        Annotated[list[HeaderSent], Meta(description="Headers that are sent with each event.")] | UnsetType
    ) = UNSET
    service_secret: Hidden | UnsetType | None = UNSET


class UpdatedSettings(Answer, kw_only=True):
    """The changed settings."""

    updated: Annotated[list[str], Meta(description="The names of the settings.", examples=[["webhooks"]])]


@resource.get("/v1/settings", Action.READ_SETTINGS, Scope.ADMIN, refusals=[400])
async def get_settings(app: App, query: SettingsQuery) -> Settings:
    """Get the settings.

    Returns the global webhook, as EmailEngine names its fields.
    """
    stored = await app.stores.webhooks.get(GLOBAL_WEBHOOK_ID)
    values = _values(stored.value if stored else None, app.config.base_url)
    wanted = [name for name in values if getattr(query, name)]
    return Settings(**{name: values[name] for name in wanted or values})


@resource.post("/v1/settings", Action.CHANGE_SETTINGS, Scope.ADMIN, refusals=[400, 409])
async def change_settings(app: App, caller: Caller, body: SettingsChange, faults: Faults) -> UpdatedSettings:
    """Change the settings.

    Changes the global webhook.
    """
    wish = TargetChange(
        url=None if body.webhooks is UNSET else Secret(body.webhooks),
        enabled=None if body.webhooks_enabled is UNSET else body.webhooks_enabled,
        events=None if body.webhook_events is UNSET else tuple(body.webhook_events),
        headers=None if body.webhooks_custom_headers is UNSET else _headers(body.webhooks_custom_headers, faults),
        secret=Secret(body.service_secret) if body.service_secret else None,
        verify=body.verify is not False,
    )
    await change(app, wish, faults, caller)
    names = dict(zip(body.__struct_fields__, body.__struct_encode_fields__, strict=True))
    return UpdatedSettings(updated=[names[field] for field in body.given if field != "verify"])


def _values(webhook: Webhook | None, base_url: str) -> dict[str, Any]:
    """The settings by field, whether or not they were ever changed."""
    return {
        "service_url": base_url,
        "webhooks": webhook.place if webhook else "",
        "webhooks_enabled": webhook.is_active if webhook else False,
        "webhook_events": list(webhook.events) if webhook else [],
        "webhooks_custom_headers": [HeaderSent(key=name, value=MASK) for name in webhook.header_names]
        if webhook
        else [],
        "service_secret": MASK if webhook else None,
    }


def _headers(items: list[HeaderToSend], faults: Faults) -> dict[str, str]:
    # A fault of one header is reported as a fault of the list.
    faulty_items = [name for name in faults if name.startswith("webhooksCustomHeaders[")]
    for name in faulty_items:
        del faults[name]
    headers = {} if faulty_items else {item.key.lower(): item.value for item in items}
    if faulty_items or len(headers) != len(items) or any(map(OWN_HEADERS.fullmatch, headers)):
        faults.add("webhooksCustomHeaders", NOT_HEADERS)
    return headers
