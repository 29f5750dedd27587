"""PUT /v1/account/{account} and POST /v1/account/{account}/reauthorize: change an account, and repair it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import azure.functions as func

from shared.domain.account import Account
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.http.audit import about
from shared.http.callers import Callers, for_callers
from shared.http.limits import RequestLimits
from shared.http.responses import answer
from shared.http.routes import Routes
from shared.triggers.authentication_form import link
from shared.triggers.fields import Fields, read_object
from shared.usecases.accounts.change import AccountChange
from shared.usecases.sign_in.start import Started

# What EmailEngine's accounts have and these have not; it is about fetching and sending mail.
WITHOUT_EFFECT: Mapping[str, tuple[type | tuple[type, ...], Sequence[str]]] = {
    "a string": (str, ("syncFrom", "notifyFrom", "smtpEhloName", "imapIndexer", "locale", "tz", "proxy")),
    "a boolean": (bool, ("copy", "logs")),
    "a string or a list": ((str, list), ("path", "subconnections")),
}


def blueprint(
    callers: Callers,
    limits: RequestLimits,
    change: Callable[..., Awaitable[Account]],
    reauthorize: Callable[..., Awaitable[Started]],
) -> Routes:
    """Both routes."""
    routes = Routes()

    @routes.put("v1/account/{account}")
    @for_callers(callers, Action.CHANGE_ACCOUNT, Scope.ACCOUNTS_WRITE)
    async def put_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        wanted, faults = read_change(read_object(req))
        account = await change(req.route_params["account"], wanted, faults)
        return answer({"account": account.id})

    @routes.post("v1/account/{account}/reauthorize")
    @for_callers(callers, Action.REAUTHORIZE_ACCOUNT, Scope.REGISTER)
    async def reauthorize_account(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        limits.form(req, caller.id)
        fields = Fields(read_object(req))
        redirect_url = fields.text("redirectUrl", longest=4096)
        started = await reauthorize(req.route_params["account"], redirect_url, fields.finish(), caller)
        about(target=started.registration)
        return answer(link(started))

    return routes


def read_change(body: Mapping[str, Any]) -> tuple[AccountChange, dict[str, str]]:
    """The change, and what was wrong with it."""
    fields = Fields(body)
    change = AccountChange(
        name=fields.text("name"),
        paused=fields.switch("paused") if "paused" in body else None,
        email=fields.address("email"),
        expected_email=None if body.get("expectedEmail") is None else fields.address("expectedEmail"),
    )
    fields.take("expectedEmail")
    take_without_effect(fields)
    fields.ignored(
        "oauth2", lambda _: False, "absent: a grant is proven by a sign-in; ask POST /v1/account/{account}/reauthorize"
    )
    return change, fields.finish()


def take_without_effect(fields: Fields) -> None:
    """Take what has no effect here, and refuse what would be missed: credentials, and a target for events."""
    for must, (kinds, names) in WITHOUT_EFFECT.items():
        for name in names:
            fields.ignored(name, partial(_is_one_of, kinds), must)
    for name in ("imap", "smtp"):
        fields.ignored(name, lambda value: value is False, "absent: the account signs in through Microsoft")
    for name in ("webhooks", "webhooksCustomHeaders"):
        fields.ignored(name, lambda value: value == [], 'absent: ask POST /v1/webhooks with its "account"')


def _is_one_of(kinds: type | tuple[type, ...], value: object) -> bool:
    return isinstance(value, kinds)
