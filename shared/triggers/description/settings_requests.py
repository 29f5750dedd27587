"""Bodies and queries about OAuth apps, webhooks and settings."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.domain.clouds import BASE_SCOPES, CLOUDS
from shared.domain.oauth_app import Authentication
from shared.triggers.app_fields import LONGEST_PEM
from shared.triggers.description.requests import Accounts, OneAccount, Prefix, Provider
from shared.triggers.description.words import (
    GUID,
    PLAIN,
    WORD,
    AccountId,
    Body,
    Guid,
    Moment,
    Text,
    formatted,
)
from shared.triggers.webhook_settings import HEADER, VALUE
from shared.triggers.webhook_settings import MOST as MOST_HEADERS
from shared.triggers.webhook_settings import NAMES as SETTINGS_NAMES
from shared.triggers.webhooks import LONGEST_URL, NAMES, SHORTEST

EventNames = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": NAMES})]],
    Meta(
        description="Which events; all of them if you do not say.",
        min_length=1,
        max_length=len(NAMES),
        examples=[["*"]],
    ),
]
Target = Annotated[
    str,
    formatted(
        "webhook", "Where events go: https, at a public address.", "https://flows.example/hook", max_length=LONGEST_URL
    ),
]
SigningSecret = Annotated[
    str,
    Meta(
        description="Signs what is sent (Standard Webhooks): `whsec_` and a key in base64, or another text.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        max_length=256,
        min_length=SHORTEST,
        extra_json_schema={"format": "signing-secret"},
    ),
]
Verify = Annotated[
    bool, Meta(description="Whether the target has to take a ping first; true if you do not say.", examples=[True])
]
Scopes = Annotated[
    list[Annotated[str, Meta(examples=["Mail.Send.Shared"], min_length=1, max_length=256, pattern="^[!-~]+$")]],
    Meta(description="Names of permissions.", max_length=50, examples=[["Mail.Send.Shared"]]),
]
Required = Annotated[
    str, Meta(description="What administrators call it.", examples=["Contoso"], max_length=256, pattern=WORD)
]
Free = Annotated[str, Meta(description="Notes for administrators.", max_length=1024, pattern=PLAIN)]
ClientSecret = Annotated[str, Meta(description="A client secret; reads back as ******.", max_length=256, pattern=WORD)]
Authority = Annotated[
    str,
    Meta(
        description="A tenant id, or `organizations` or `common`.",
        examples=["7d1b2f0a-0000-4000-8000-00000000c0de"],
        pattern=f"{GUID}|^organizations$|^common$",
    ),
]


MailDomain = Annotated[
    str,
    Meta(
        description="A mail domain and the id of the tenant that it belongs to.",
        examples=["contoso.example=7d1b2f0a-0000-4000-8000-00000000c0de"],
        pattern=f"^[A-Za-z0-9.-]+[.][A-Za-z0-9-]+={GUID.removeprefix('^')}",
        max_length=300,
    ),
]


class AppChange(Body, kw_only=True):
    """What is said of an OAuth app; null takes away what may be missing."""

    name: Required | UnsetType = UNSET
    description: Free | UnsetType | None = UNSET
    title: Annotated[Text, Meta(description="What people choose it by.")] | UnsetType | None = UNSET
    enabled: Annotated[bool, Meta(description="Whether people sign in through it.", examples=[True])] | UnsetType = (
        UNSET
    )
    client_id: Guid | UnsetType = UNSET
    client_secret: ClientSecret | UnsetType = UNSET
    client_secret2: ClientSecret | UnsetType | None = UNSET
    authority: Authority | UnsetType = UNSET
    tenants: Annotated[list[Guid], Meta(description="Whose people may sign in.", max_length=50)] | UnsetType = UNSET
    mail_domains: (
        Annotated[list[MailDomain], Meta(description="Mail domains and tenants.", max_length=50)] | UnsetType
    ) = UNSET
    cloud: (
        Annotated[
            str, Meta(description="Microsoft's cloud.", examples=["global"], extra_json_schema={"enum": [*CLOUDS]})
        ]
        | UnsetType
    ) = UNSET
    redirect_url: (
        Annotated[
            str,
            formatted(
                "uri",
                "The redirect URI; this app's own if you do not say.",
                "https://mailbind.example/oauth",
                max_length=1024,
            ),
        ]
        | UnsetType
    ) = UNSET
    extra_scopes: Scopes | UnsetType = UNSET
    skip_scopes: Scopes | UnsetType = UNSET
    credential_reuse: (
        Annotated[bool, Meta(description="Whether one grant serves several accounts.", examples=[False])] | UnsetType
    ) = UNSET
    authentication: (
        Annotated[Authentication, Meta(description="How it proves itself to Entra.", examples=["secret"])] | UnsetType
    ) = UNSET
    certificate: (
        Annotated[
            str,
            Meta(
                description="A certificate and its private key, in PEM.",
                max_length=LONGEST_PEM,
                extra_json_schema={"format": "pem"},
            ),
        ]
        | UnsetType
    ) = UNSET
    managed_identity: Guid | UnsetType = UNSET
    secret_expires: Moment | UnsetType | None = UNSET
    secret_expires2: Moment | UnsetType | None = UNSET


class NewApp(AppChange, kw_only=True):
    """An OAuth app to be registered."""

    name: Required
    client_id: Guid
    authority: Authority
    provider: Provider
    base_scopes: (
        Annotated[
            list[Annotated[str, Meta(extra_json_schema={"enum": [*BASE_SCOPES]})]],
            Meta(description="How mailboxes are opened.", examples=[["api"]], min_length=1, max_length=2),
        ]
        | UnsetType
    ) = UNSET


class AppRemovalQuery(Body, kw_only=True):
    """How to remove."""

    force: (
        Annotated[
            bool, Meta(description="Also when accounts use it: their tokens are renewed no more.", examples=[False])
        ]
        | UnsetType
    ) = UNSET


class AppVerification(Body, kw_only=True):
    """How far to go. May be left out."""

    account: Annotated[AccountId, Meta(description="Whose grant is tried.")] | UnsetType | None = UNSET
    test_connection: (
        Annotated[bool, Meta(description="Whether to open that account's mailbox too.", examples=[True])] | UnsetType
    ) = UNSET


class WebhookWish(Body, kw_only=True):
    """Where events shall go, which ones, and of which accounts."""

    url: Target
    events: EventNames | UnsetType = UNSET
    account: OneAccount | UnsetType = UNSET
    accounts: Accounts | UnsetType = UNSET
    account_prefix: Prefix | UnsetType = UNSET
    secret: SigningSecret | UnsetType = UNSET
    description: Annotated[str, Meta(description="What it is for.", max_length=1024, pattern=PLAIN)] | UnsetType = UNSET
    verify: Verify | UnsetType = UNSET


class HeaderToSend(Body, kw_only=True):
    """One header."""

    key: Annotated[str, Meta(description="Its name.", examples=["X-Key"], pattern=f"^{HEADER.pattern}$")]
    value: Annotated[str, Meta(description="Its value.", examples=["a1b2"], pattern=f"^({VALUE.pattern})$")]


class SettingsChange(Body, kw_only=True):
    """The global target of events, in EmailEngine's words."""

    webhooks: (
        Annotated[Target, Meta(description="Where events go. An empty text takes the target away.")] | UnsetType
    ) = UNSET
    webhooks_enabled: Annotated[bool, Meta(description="Whether anything is sent.", examples=[True])] | UnsetType = (
        UNSET
    )
    webhook_events: (
        Annotated[
            list[Annotated[str, Meta(extra_json_schema={"enum": sorted(SETTINGS_NAMES)})]],
            Meta(description="Which events. Those about mail are taken and never happen.", max_length=64),
        ]
        | UnsetType
    ) = UNSET
    webhooks_custom_headers: (
        Annotated[list[HeaderToSend], Meta(description="Sent with each event.", max_length=MOST_HEADERS)] | UnsetType
    ) = UNSET
    service_secret: SigningSecret | UnsetType = UNSET
    verify: Verify | UnsetType = UNSET


class SettingsQuery(Body, kw_only=True):
    """Which settings; all if you name none."""

    webhooks: bool | UnsetType = UNSET
    webhooks_enabled: bool | UnsetType = UNSET
    webhook_events: bool | UnsetType = UNSET
    webhooks_custom_headers: bool | UnsetType = UNSET
    service_secret: bool | UnsetType = UNSET
    service_url: bool | UnsetType = UNSET
