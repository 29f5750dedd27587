"""/v1/oauth2: OAuth apps, and whether they are set up right."""

from typing import Annotated, Any, Literal

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
    PageQuery,
    Pages,
    RemedyText,
    Sentence,
    Timestamp,
    Total,
    WasThere,
    page_count,
)
from shared.api.oauth_app_fields import AppChange, NewApp, stored_values
from shared.domain.app_check import StepStatus, fault_action
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.errors import NotFound
from shared.domain.oauth_app import Authentication, CircuitBreaker, shadowing_notice
from shared.domain.remedy import Reader, remedy
from shared.domain.secret import MASK
from shared.http.audit import add_to_audit
from shared.http.decoding import Body, Faults
from shared.http.operations import Resource
from shared.http.responses import Answer, moment
from shared.ports import App
from shared.usecases.apps import catalogue, circuit_breaker, verify
from shared.usecases.apps.catalogue import AppView

APP = "/v1/oauth2/{app}"
EXAMPLE_TENANT = "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"

resource = Resource("OAuth apps", "App registrations in Entra through which people sign in.")


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


class AppRemovalQuery(Body, kw_only=True):
    """How to remove it."""

    force: (
        Annotated[
            bool,
            Meta(
                description="Whether to remove it although accounts use it. Their tokens are no longer refreshed.",
                examples=[False],
            ),
        ]
        | UnsetType
    ) = UNSET


class RemovedApp(Answer, kw_only=True):
    """The removed OAuth app, and how many accounts used it."""

    id: Annotated[str, Meta(description="The id as it was given.", examples=["default"])]
    deleted: WasThere
    accounts: Annotated[Count, Meta(description="How many accounts used it.")]


class AppVerification(Body, kw_only=True):
    """What to check."""

    account: Annotated[AccountId, Meta(description="The account whose grant to use.")] | UnsetType | None = UNSET
    test_connection: (
        Annotated[bool, Meta(description="Whether to open the account's mailbox too.", examples=[True])] | UnsetType
    ) = UNSET


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


@resource.get("/v1/oauth2", Action.LIST_APPS, Scope.ADMIN, refusals=[400])
async def list_oauth_apps(app: App, query: PageQuery) -> AppPage:
    """List OAuth apps.

    Lists OAuth apps, newest first.
    """
    total, views = await catalogue.list_oauth_apps(app, query.number, query.size)
    return AppPage(
        total=total,
        page=query.number,
        pages=page_count(total, query.size),
        apps=[describe(view, app.config.redirect_uri) for view in views],
    )


@resource.post("/v1/oauth2", Action.REGISTER_APP, Scope.ADMIN, refusals=[400])
async def register_oauth_app(app: App, body: NewApp, faults: Faults) -> CreatedApp:
    """Register an OAuth app.

    Adds an app registration through which people sign in.
    """
    app_id = await catalogue.register_oauth_app(app, stored_values(body, faults), faults)
    add_to_audit(target=app_id)
    return CreatedApp(id=app_id, created=True)


@resource.get(APP, Action.READ_APP, Scope.ADMIN, refusals=[404])
async def get_oauth_app(app: App, app_id: AppId) -> OAuthApp:
    """Get an OAuth app.

    Returns how an OAuth app is set up, and how many accounts use it.
    """
    view = await catalogue.read_oauth_app(app, app_id)
    described = describe(view, app.config.redirect_uri)
    described.accounts = view.accounts
    return described


@resource.put(APP, Action.CHANGE_APP, Scope.ADMIN, refusals=[400, 404, 409])
async def change_oauth_app(app: App, app_id: AppId, body: AppChange, faults: Faults) -> UpdatedApp:
    """Change an OAuth app.

    Changes the given fields and leaves the others. A change of the app of the settings stores the whole app: from then
    on it counts instead of the settings, as `shadowsSettings` says.
    """
    changed_id = await catalogue.change_oauth_app(app, app_id, stored_values(body, faults), faults)
    add_to_audit(target=changed_id)
    notice = shadowing_notice(changed_id) if catalogue.shadows_settings(app, changed_id) else UNSET
    return UpdatedApp(id=changed_id, updated=True, shadows_settings=notice)


@resource.delete(APP, Action.DELETE_APP, Scope.ADMIN, refusals=[400, 409])
async def remove_oauth_app(app: App, app_id: AppId, query: AppRemovalQuery) -> RemovedApp:
    """Remove an OAuth app.

    Removes an OAuth app that no account uses. With `force`, removes any.
    """
    try:
        accounts = await catalogue.delete_oauth_app(app, app_id, force=bool(query.force))
    except NotFound:  # EmailEngine answers so, and callers repeat a DELETE
        return RemovedApp(id=app_id, deleted=False, accounts=0)
    add_to_audit(target=app_id)
    return RemovedApp(id=app_id, deleted=True, accounts=accounts)


@resource.post(f"{APP}/verify", Action.VERIFY_APP, Scope.ADMIN, body_optional=True, refusals=[400, 404, 409])
async def verify_oauth_app(app: App, app_id: AppId, body: AppVerification) -> AppCheck:
    """Verify an OAuth app.

    Checks the app's configuration step by step and says what to fix.
    """
    account = body.account or None
    verified = await verify.verify_oauth_app(app, app_id, account, open_mailbox=body.test_connection is not False)
    add_to_audit(target=verified.app.id, account=account)
    return AppCheck(
        app=verified.app.id,
        provider="outlook",
        auth_method=verified.app.authentication,
        account=verified.account,
        ok=verified.ok,
        steps=[
            CheckStep(id=step.id, label=step.label, status=step.status, message=step.message, hint=step.hint)
            for step in verified.steps
        ],
    )


def describe(view: AppView, redirect_uri: str) -> OAuthApp:
    """An app as administrators see it: of what is secret only whether it is there."""
    app = view.app

    def hidden(value: object) -> str | None:
        return MASK if value else None

    return OAuthApp(
        id=app.id,
        name=app.name,
        title=app.title,
        description=app.description,
        provider="outlook",
        enabled=app.enabled,
        include_in_listing=app.enabled,
        client_id=app.client_id,
        authority=app.authority,
        tenants=sorted(app.allowed_tenants),
        mail_domains=list(app.mail_domains),
        cloud=app.cloud,
        redirect_url=app.redirect_url or redirect_uri,
        base_scopes=app.base_scopes[0] if len(app.base_scopes) == 1 else list(app.base_scopes),
        extra_scopes=list(app.extra_scopes),
        skip_scopes=list(app.skip_scopes),
        credential_reuse=app.credential_reuse,
        authentication=app.authentication,
        client_secret=hidden(app.client_secret),
        client_secret2=hidden(app.client_secret_2),
        certificate=hidden(app.certificate),
        managed_identity=app.managed_identity,
        secret_expires=moment(app.secret_expires),
        secret_expires2=moment(app.secret_expires_2),
        created=moment(app.created),
        updated=moment(app.updated),
        source="api" if view.stored else "settings",
        last_error=last_error(view.fault),
        shadows_settings=shadowing_notice(app.id) if view.shadows_settings else UNSET,
    )


def last_error(fault: CircuitBreaker | None) -> AppError | None:
    """What is wrong with the app, and what to do about it."""
    return AppError(**_explanation(fault)) if fault else None


def refused_app(refused: circuit_breaker.RefusedApp) -> RefusedApp:
    """What is wrong with which app, and what to do about it."""
    return RefusedApp(app=refused.app.id, name=refused.app.name, **_explanation(refused.fault))


def _explanation(fault: CircuitBreaker) -> dict[str, Any]:
    return {
        "code": fault.code,
        "aadsts": fault.aadsts,
        "description": remedy(fault.code, Reader.OPERATOR).what,
        "since": moment(fault.since),
        "action": fault_action(fault.code, fault.aadsts),
    }
