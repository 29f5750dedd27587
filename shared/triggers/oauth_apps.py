"""/v1/oauth2: OAuth apps, and whether they are set up right."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func

from shared.domain.app_check import HINTS_BY_AADSTS_NUMBER, Step
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.oauth_app import CREDENTIAL_FIELDS, CircuitBreaker
from shared.domain.remedy import remedy
from shared.domain.secret import MASK
from shared.http.audit import about
from shared.http.callers import Callers, for_callers
from shared.http.responses import answer, moment
from shared.http.routes import Routes
from shared.ports import App
from shared.triggers.app_fields import read_app
from shared.triggers.fields import Fields, read_object
from shared.usecases.apps import catalogue
from shared.usecases.apps.catalogue import AppView
from shared.usecases.apps.verify import Verified


def blueprint(
    callers: Callers, app: App, delete: Callable[..., Awaitable[int]], verify: Callable[..., Awaitable[Verified]]
) -> Routes:
    """The routes; all of them are for administrators."""
    routes = Routes()

    @routes.get("v1/oauth2")
    @for_callers(callers, Action.LIST_APPS, Scope.ADMIN)
    async def list_oauth_apps(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(req.params)
        page, size = fields.paging()
        fields.refuse_faults()
        total, apps = await catalogue.list_oauth_apps(app, page, size)
        shown = [describe(view, app.config.redirect_uri) for view in apps]
        return answer({"total": total, "page": page, "pages": math.ceil(total / size), "apps": shown})

    @routes.post("v1/oauth2")
    @for_callers(callers, Action.REGISTER_APP, Scope.ADMIN)
    async def register_oauth_app(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        app_id = await catalogue.register_oauth_app(app, *read_app(read_object(req), new=True))
        about(target=app_id)
        return answer({"id": app_id, "created": True})

    @routes.get("v1/oauth2/{app}")
    @for_callers(callers, Action.READ_APP, Scope.ADMIN)
    async def get_oauth_app(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        view = await catalogue.read_oauth_app(app, req.route_params["app"])
        return answer(describe(view, app.config.redirect_uri) | {"accounts": view.accounts})

    @routes.put("v1/oauth2/{app}")
    @for_callers(callers, Action.CHANGE_APP, Scope.ADMIN)
    async def change_oauth_app(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        app_id = await catalogue.change_oauth_app(app, req.route_params["app"], *read_app(read_object(req), new=False))
        about(target=app_id)
        return answer({"id": app_id, "updated": True})

    @routes.delete("v1/oauth2/{app}")
    @for_callers(callers, Action.DELETE_APP, Scope.ADMIN)
    async def delete_oauth_app(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(req.params)
        force = fields.switch("force")
        fields.refuse_faults()
        app_id = req.route_params["app"]
        accounts = await delete(app_id, force=force)
        about(target=app_id)
        return answer({"id": app_id, "deleted": True, "accounts": accounts})

    @routes.post("v1/oauth2/{app}/verify")
    @for_callers(callers, Action.VERIFY_APP, Scope.ADMIN)
    async def verify_oauth_app(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(read_object(req) if req.get_body() else {})
        account = fields.text("account", nullable=True)
        open_mailbox = fields.switch("testConnection") or fields.values.get("testConnection", "") == ""
        fields.refuse_faults()
        verified = await verify(req.route_params["app"], account, open_mailbox=open_mailbox)
        about(target=verified.app.id, account=account)
        return answer(describe_steps(verified))

    return routes


def describe(view: AppView, redirect_uri: str) -> dict[str, Any]:
    """An app as administrators see it: of what is secret only whether it is there."""
    app = view.app
    hidden = {
        field: MASK if getattr(app, name) else None
        for name, (field, _) in CREDENTIAL_FIELDS.items()
        if name != "managed_identity"
    }
    return {
        "id": app.id,
        "name": app.name,
        "title": app.title,
        "description": app.description,
        "provider": "outlook",
        "enabled": app.enabled,
        "includeInListing": app.enabled,
        "clientId": app.client_id,
        "authority": app.authority,
        "tenants": sorted(app.allowed_tenants),
        "mailDomains": list(app.mail_domains),
        "cloud": app.cloud,
        "redirectUrl": app.redirect_url or redirect_uri,
        "baseScopes": app.base_scopes[0] if len(app.base_scopes) == 1 else list(app.base_scopes),
        "extraScopes": list(app.extra_scopes),
        "skipScopes": list(app.skip_scopes),
        "credentialReuse": app.credential_reuse,
        "authentication": app.authentication.value,
        **hidden,
        "managedIdentity": app.managed_identity,
        "secretExpires": moment(app.secret_expires),
        "secretExpires2": moment(app.secret_expires_2),
        "created": moment(app.created),
        "updated": moment(app.updated),
        "source": "api" if view.stored else "settings",
        "lastError": last_error(view.fault),
    }


def last_error(fault: CircuitBreaker | None) -> dict[str, Any] | None:
    """What is wrong with the app, and what to do about it."""
    if fault is None:
        return None
    told = remedy(fault.code)
    return {
        "code": fault.code,
        "aadsts": fault.aadsts,
        "description": told.what,
        "since": moment(fault.since),
        "action": HINTS_BY_AADSTS_NUMBER.get(fault.aadsts or 0, told.action),
    }


def describe_steps(verified: Verified) -> dict[str, Any]:
    """What a verification found, step by step."""
    return {
        "app": verified.app.id,
        "provider": "outlook",
        "authMethod": verified.app.authentication.value,
        "account": verified.account,
        "ok": verified.ok,
        "steps": [_step(step) for step in verified.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "label": step.label,
        "status": step.status.value,
        "message": step.message,
        "hint": step.hint,
    }
