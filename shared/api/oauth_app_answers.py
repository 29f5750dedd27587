"""What callers are told about OAuth apps."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import (
    AadstsNumber,
    AccountId,
    AppId,
    Code,
    Count,
    Done,
    Hidden,
    Outlook,
    Page,
    Pages,
    RemedyText,
    Sentence,
    Timestamp,
    Total,
    WasThere,
)
from shared.domain.app_check import StepStatus
from shared.domain.oauth_app import Authentication, shadowing_notice
from shared.http.responses import Answer

EXAMPLE_TENANT = "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"

ShadowsSettings = Annotated[
    str,
    Meta(
        description="Present if this stored app counts instead of the settings `MAILBIND_OAUTH_*`: what that means.",
        examples=[shadowing_notice("AAABiCtT7XUAAAAF")],
    ),
]


class AppError(Answer, kw_only=True):
    """The error of an OAuth app, and what to do about it."""

    code: Annotated[Code, Meta(examples=["app_credential"])]
    aadsts: AadstsNumber | None
    description: Annotated[Sentence, Meta(examples=["Microsoft rejects the credential of the app registration."])]
    since: Annotated[Timestamp, Meta(description="When Microsoft refused it first.")]
    action: Annotated[RemedyText, Meta(examples=["The secret has expired. Create a new one, and store it here."])]


class RefusedApp(AppError, kw_only=True):
    """An OAuth app that Microsoft refuses, and what to do about it."""

    app: AppId
    name: Annotated[str, Meta(description="Its name.", examples=["Contoso"])]


class OAuthApp(Answer, kw_only=True):
    """An OAuth app. Secrets are hidden."""

    id: AppId
    name: Annotated[str, Meta(description="Its name for administrators.", examples=["Contoso"])]
    title: (
        Annotated[str, Meta(description="Its name for people who choose between apps.", examples=["Contoso mail"])]
        | None
    )
    description: Annotated[str, Meta(description="Notes for administrators.", examples=["Ask the mail team."])] | None
    provider: Outlook
    enabled: Annotated[bool, Meta(description="Whether people can sign in through it.", examples=[True])]
    include_in_listing: Annotated[bool, Meta(description="The same as `enabled`.", examples=[True])]
    client_id: Annotated[
        str, Meta(description="Its application (client) id.", examples=["5f0c1d9e-0000-4000-8000-0000000000c1"])
    ]
    authority: Annotated[str, Meta(description="A tenant id, organizations or common.", examples=[EXAMPLE_TENANT])]
    tenants: Annotated[
        list[str], Meta(description="The tenants whose people may sign in.", examples=[[EXAMPLE_TENANT]])
    ]
    mail_domains: Annotated[
        list[str],
        Meta(description="Mail domains, each with its tenant.", examples=[[f"contoso.example={EXAMPLE_TENANT}"]]),
    ]
    cloud: Annotated[str, Meta(description="Microsoft's cloud.", examples=["global"])]
    redirect_url: Annotated[str, Meta(description="The redirect URI.", examples=["https://mailbind.example/oauth"])]
    base_scopes: Annotated[str | list[str], Meta(description="How Mailbind opens mailboxes.", examples=["api"])]
    extra_scopes: Annotated[
        list[str], Meta(description="Additional permissions that Mailbind requests.", examples=[["Contacts.Read"]])
    ]
    skip_scopes: Annotated[
        list[str], Meta(description="Permissions that Mailbind does not request.", examples=[["Mail.Send.Shared"]])
    ]
    credential_reuse: Annotated[bool, Meta(description="Whether one grant serves several accounts.", examples=[False])]
    authentication: Annotated[Authentication, Meta(examples=["secret"])]
    client_secret: Hidden | None
    client_secret2: Hidden | None
    certificate: Hidden | None
    managed_identity: (
        Annotated[
            str,
            Meta(
                description="The client id of the managed identity with which it authenticates.",
                examples=["2c8d5e10-0000-4000-8000-0000000000d1"],
            ),
        ]
        | None
    )
    secret_expires: Annotated[Timestamp, Meta(description="When its credential expires, if that is known.")] | None
    secret_expires2: (
        Annotated[Timestamp, Meta(description="When its second client secret expires, if that is known.")] | None
    )
    created: Annotated[Timestamp, Meta(description="When it was registered through the API.")] | None
    updated: Annotated[Timestamp, Meta(description="When it was last changed through the API.")] | None
    source: Annotated[Literal["api", "settings"], Meta(description="Where it is configured.", examples=["api"])]
    last_error: AppError | None
    accounts: Annotated[Count, Meta(description="How many accounts use it.")] | UnsetType | None = UNSET
    shadows_settings: ShadowsSettings | UnsetType = UNSET


class AppPage(Answer, kw_only=True):
    """A page of OAuth apps."""

    total: Total
    page: Page
    pages: Pages
    apps: Annotated[list[OAuthApp], Meta(description="The OAuth apps.")]


class CreatedApp(Answer, kw_only=True):
    """The id of the new OAuth app."""

    id: AppId
    created: Done


class UpdatedApp(Answer, kw_only=True):
    """The changed OAuth app."""

    id: AppId
    updated: Done
    shadows_settings: ShadowsSettings | UnsetType = UNSET


class RemovedApp(Answer, kw_only=True):
    """The removed OAuth app, and how many accounts used it."""

    id: Annotated[str, Meta(description="The id as it was given.", examples=["default"])]
    deleted: WasThere
    accounts: Annotated[Count, Meta(description="How many accounts used it.")]


class CheckStep(Answer, kw_only=True):
    """One step of a verification."""

    id: Annotated[str, Meta(description="The step.", examples=["secret"])]
    label: Annotated[str, Meta(description="What it checks.", examples=["The credential does not expire soon"])]
    status: StepStatus
    message: Annotated[str, Meta(description="The result in words.", examples=["It expires in 20 days."])] | None
    hint: Annotated[str, Meta(description="What to do about it.", examples=["Create a new one in Entra."])] | None


class AppCheck(Answer, kw_only=True):
    """The result of a verification, step by step."""

    app: AppId
    provider: Outlook
    auth_method: Authentication
    account: AccountId | None
    ok: Annotated[bool, Meta(description="Whether no step failed.", examples=[True])]
    steps: Annotated[list[CheckStep], Meta(description="The steps.")]
