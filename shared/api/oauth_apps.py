"""/v1/oauth2: OAuth apps, and whether they are set up right."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import (
    AccountId,
    AppId,
    PageQuery,
    page_count,
)
from shared.api.oauth_app_answers import (
    AppCheck,
    AppError,
    AppPage,
    CheckStep,
    CreatedApp,
    OAuthApp,
    RefusedApp,
    RemovedApp,
    UpdatedApp,
)
from shared.api.oauth_app_fields import AppChange, NewApp, stored_values
from shared.domain.app_check import fault_action
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.errors import NotFound
from shared.domain.oauth_app import CircuitBreaker, shadowing_notice
from shared.domain.remedy import Reader, remedy
from shared.domain.secret import MASK
from shared.http.audit import add_to_audit
from shared.http.decoding import Body, Faults
from shared.http.operations import Resource
from shared.http.responses import moment
from shared.ports import App
from shared.usecases.apps import catalogue, circuit_breaker, verify
from shared.usecases.apps.catalogue import AppView

APP = "/v1/oauth2/{app}"

resource = Resource("OAuth apps", "App registrations in Entra through which people sign in.")


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


class AppVerification(Body, kw_only=True):
    """What to check."""

    account: Annotated[AccountId, Meta(description="The account whose grant to use.")] | UnsetType | None = UNSET
    test_connection: (
        Annotated[bool, Meta(description="Whether to open the account's mailbox too.", examples=[True])] | UnsetType
    ) = UNSET


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
