"""Answers about OAuth apps, webhooks, settings and API tokens; and what webhooks are sent."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.domain.app_check import StepStatus
from shared.domain.caller import Scope
from shared.domain.event import EventName
from shared.domain.oauth_app import Authentication
from shared.triggers.description.answers import Deleted, Hidden, Outlook
from shared.triggers.description.words import (
    PLAIN,
    AccountId,
    Action,
    Answer,
    AppId,
    Code,
    Count,
    Moment,
    Page,
    Sentence,
    Total,
)

Done = Annotated[bool, Meta(description="That it is done.", examples=[True])]
Optional = Annotated[str, Meta(description="What was said of it.")] | None
Id = Annotated[str, Meta(description="Its id.", examples=["0f4cbb21"])]
# Filters may name ids that no account can have; they read back as they were given.
Ids = Annotated[
    list[Annotated[str, Meta(description="The id of an account.", examples=["shared"], max_length=256, pattern=PLAIN)]],
    Meta(description="Certain accounts."),
]
Ban = Annotated[str, Meta(description="What went wrong.", examples=["it answered 500"])]


class AppError(Answer, kw_only=True):
    """What is wrong with an OAuth app, and what to do about it."""

    code: Code
    aadsts: Annotated[int, Meta(description="Microsoft's number of it.", examples=[7000222])] | None
    description: Sentence
    since: Moment
    action: Action


class OAuthApp(Answer, kw_only=True):
    """An OAuth app; of what is secret only whether it is there."""

    id: AppId
    name: Annotated[str, Meta(description="What administrators call it.", examples=["Contoso"])]
    title: Optional
    description: Optional
    provider: Outlook
    enabled: Annotated[bool, Meta(description="Whether people sign in through it.", examples=[True])]
    include_in_listing: Annotated[bool, Meta(description="The same.", examples=[True])]
    client_id: Annotated[str, Meta(description="Its application (client) id.")]
    authority: Annotated[str, Meta(description="A tenant id, organizations or common.")]
    tenants: Annotated[list[str], Meta(description="Whose people may sign in.")]
    mail_domains: Annotated[list[str], Meta(description="Mail domains and the tenants that they belong to.")]
    cloud: Annotated[str, Meta(description="Microsoft's cloud.", examples=["global"])]
    redirect_url: Annotated[str, Meta(description="The redirect URI.", examples=["https://mailbind.example/oauth"])]
    base_scopes: Annotated[str | list[str], Meta(description="How mailboxes are opened.", examples=["api"])]
    extra_scopes: Annotated[list[str], Meta(description="Further permissions.")]
    skip_scopes: Annotated[list[str], Meta(description="Permissions that are not asked for.")]
    credential_reuse: Annotated[bool, Meta(description="Whether one grant serves several accounts.", examples=[False])]
    authentication: Authentication
    client_secret: Hidden | None
    client_secret2: Hidden | None
    certificate: Hidden | None
    managed_identity: Annotated[str, Meta(description="The managed identity that vouches for it.")] | None
    secret_expires: Moment | None
    secret_expires2: Moment | None
    created: Moment | None
    updated: Moment | None
    source: Annotated[Literal["api", "settings"], Meta(description="Where it comes from.", examples=["api"])]
    last_error: AppError | None
    accounts: Count | UnsetType | None = UNSET


class AppPage(Answer, kw_only=True):
    """A page of OAuth apps."""

    total: Total
    page: Page
    pages: Count
    apps: Annotated[list[OAuthApp], Meta(description="The OAuth apps.")]


class CreatedApp(Answer, kw_only=True):
    """The id of the new OAuth app."""

    id: AppId
    created: Done


class UpdatedApp(Answer, kw_only=True):
    """Which OAuth app was changed."""

    id: AppId
    updated: Done


class RemovedApp(Answer, kw_only=True):
    """Which OAuth app is gone, and how many accounts used it."""

    id: AppId
    deleted: Deleted
    accounts: Count


class CheckStep(Answer, kw_only=True):
    """One step of a verification."""

    id: Annotated[str, Meta(description="Which step.", examples=["clientAuth"])]
    label: Annotated[str, Meta(description="What it looks at.")]
    status: StepStatus
    message: Annotated[str, Meta(description="What was found.")] | None
    hint: Annotated[str, Meta(description="What to do.")] | None


class AppCheck(Answer, kw_only=True):
    """What a verification found, step by step."""

    app: AppId
    provider: Outlook
    auth_method: Authentication
    account: AccountId | None
    ok: Annotated[bool, Meta(description="Whether everything is right.", examples=[True])]
    steps: Annotated[list[CheckStep], Meta(description="The steps.")]


class Webhook(Answer, kw_only=True):
    """A target of events; of its URL only what is no secret."""

    id: Id
    url: Annotated[str, Meta(description="Where events go.", examples=["https://flows.example/hook?******"])]
    events: Annotated[list[str], Meta(description="Which events.", examples=[["*"]])]
    accounts: Ids | None
    account_prefix: Annotated[str, Meta(description="All accounts whose ids begin so.")] | None
    description: Optional
    secret: Annotated[str, Meta(description="The signing secret: shown once, when it was drawn; else stars.")]
    enabled: Annotated[bool, Meta(description="Whether anything is sent.", examples=[True])]
    gone: Moment | None
    created: Moment
    created_by: Annotated[str, Meta(description="Who made it.", examples=["administrator"])]


class Subscribed(Webhook, kw_only=True):
    """The webhook, and whether it was there before."""

    state: Annotated[Literal["new", "existing"], Meta(description="Whether it was there.", examples=["new"])]


class StandingWebhook(Webhook, kw_only=True):
    """A webhook with what waits and what is parked, counted up to a hundred."""

    waiting: Count
    parked: Count
    capped: Annotated[bool, Meta(description="Whether there are more.", examples=[False])]
    last_error: Ban | None
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
    """An event that a target would not take."""

    id: Id
    event: Annotated[str, Meta(description="What happened.", examples=["accountAdded"])]
    account: AccountId | None
    queued: Moment
    parked: Moment | None
    attempts: Count
    error: Ban | None


class WebhookDetails(StandingWebhook, kw_only=True):
    """A webhook with its parked events."""

    parked_events: Annotated[list[ParkedEvent], Meta(description="What it would not take.")]


class WebhookList(Answer, kw_only=True):
    """Webhooks."""

    webhooks: Annotated[list[StandingWebhook], Meta(description="The webhooks.")]


class RemovedWebhook(Answer, kw_only=True):
    """Which webhook is gone."""

    id: Id
    deleted: Deleted


class Pinged(Answer, kw_only=True):
    """Whether the target took a ping."""

    id: Id
    success: Done
    error: Ban | None


class Redelivered(Answer, kw_only=True):
    """How many parked events are sent again."""

    id: Id
    redelivered: Count
    more: Annotated[bool, Meta(description="Whether parked events are left: call again.")]


class HeaderSent(Answer, kw_only=True):
    """A header that goes with each event."""

    key: Annotated[str, Meta(description="Its name.", examples=["x-key"])]
    value: Hidden


class Settings(Answer, kw_only=True):
    """The settings that were asked for."""

    service_url: Annotated[str, Meta(description="Where Mailbind is.")] | UnsetType = UNSET
    webhooks: Annotated[str, Meta(description="Where events go; empty for nowhere.")] | UnsetType = UNSET
    webhooks_enabled: Annotated[bool, Meta(description="Whether anything is sent.")] | UnsetType = UNSET
    webhook_events: Annotated[list[str], Meta(description="Which events.")] | UnsetType = UNSET
    webhooks_custom_headers: Annotated[list[HeaderSent], Meta(description="Sent with each.")] | UnsetType = UNSET
    service_secret: Hidden | UnsetType | None = UNSET


class UpdatedSettings(Answer, kw_only=True):
    """What was changed."""

    updated: Annotated[list[str], Meta(description="Names of settings.", examples=[["webhooks"]])]


class IssuedToken(Answer, kw_only=True):
    """The token, told this once."""

    token: Annotated[str, Meta(description="64 hexadecimal characters.", examples=["9c1f"])]
    id: Id


class TokenRestrictions(Answer, kw_only=True):
    """From where a token may be used."""

    addresses: Annotated[list[str], Meta(description="IP addresses and ranges.")]


class ApiToken(Answer, kw_only=True):
    """An API token as administrators see it."""

    id: Id
    description: Annotated[str, Meta(description="What it is for.", examples=["order desk"])]
    scopes: list[Scope]
    accounts: Ids | None
    account_prefix: Annotated[str, Meta(description="All accounts whose ids begin so.")] | None
    restrictions: TokenRestrictions | None
    created: Moment
    created_by: Annotated[str, Meta(description="Who made it.", examples=["administrator"])]
    expires: Moment | None
    last_used: Moment | None


class TokenPage(Answer, kw_only=True):
    """A page of API tokens."""

    total: Total
    page: Page
    pages: Count
    tokens: Annotated[list[ApiToken], Meta(description="The tokens.")]


class RevokedToken(Answer, kw_only=True):
    """That it opens nothing any more."""

    deleted: Deleted


class PreviousBinding(Answer, kw_only=True):
    """Who authorized an account until now, and which mailbox it opened."""

    user: Annotated[str, Meta(description="Who authorized it.", examples=["alice@contoso.example"])]
    email: Annotated[str, Meta(description="The mailbox address.", examples=["support@contoso.example"])]


class EventData(Answer, kw_only=True):
    """What an event says; which fields there are depends on the event."""

    account: AccountId | UnsetType = UNSET
    accounts: Annotated[list[AccountId], Meta(description="Those of a link that it is about.")] | UnsetType = UNSET
    user: Annotated[str, Meta(description="Who authorizes it.", examples=["alice@contoso.example"])] | UnsetType = UNSET
    email: Annotated[str, Meta(description="The mailbox address.")] | UnsetType = UNSET
    previous: PreviousBinding | UnsetType = UNSET
    initialized: Annotated[bool, Meta(description="That it is bound.")] | UnsetType = UNSET
    response: Sentence | UnsetType = UNSET
    code: Code | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    kind: Annotated[str, Meta(description="The kind of failure.")] | UnsetType = UNSET
    aadsts: Annotated[int, Meta(description="Microsoft's number of it.")] | UnsetType | None = UNSET
    server_response_code: Annotated[str, Meta(description="EmailEngine's word.")] | UnsetType = UNSET
    app: AppId | UnsetType = UNSET
    name: Annotated[str, Meta(description="The OAuth app's name.")] | UnsetType = UNSET
    registration: Annotated[str, Meta(description="The id of a registration.")] | UnsetType = UNSET
    since: Moment | UnsetType = UNSET
    expires: Moment | UnsetType = UNSET
    webhook: Annotated[str, Meta(description="The webhook that a ping is for.")] | UnsetType = UNSET


class EventNotification(Answer, kw_only=True):
    """What a webhook is sent when something happens."""

    service_url: Annotated[str, Meta(description="Which Mailbind tells it.", examples=["https://mailbind.example"])]
    account: AccountId | None
    date: Moment
    event: Annotated[str, Meta(description="What happened.", extra_json_schema={"enum": [*EventName, "ping"]})]
    data: EventData
    id: Annotated[str, Meta(description="The event's id: repetitions carry the same.", examples=["01kc3"])]
    correlation: Annotated[
        str | None,
        Meta(description="Joins it with the request that it came of.", examples=["0af7651916cd43dd8448eb211c80319c"]),
    ]
