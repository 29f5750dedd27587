"""POST /v1/account: bind a further mailbox to a grant that is there, or ask for a link to sign in."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import azure.functions as func

from shared.domain.account import ExpectedPerson
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.errors import InvalidInput
from shared.domain.formats import same_address
from shared.http.audit import about
from shared.http.callers import Callers, for_callers
from shared.http.limits import RequestLimits
from shared.http.responses import answer
from shared.http.routes import Routes
from shared.triggers.account_changes import take_without_effect
from shared.triggers.authentication_form import link, read_account_id, read_tenant
from shared.triggers.fields import Fields, read_object
from shared.usecases.sign_in.further import Added, FurtherAccount
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import Started

# What the form calls otherwise than this route does.
NAMES = {"redirectUrl": "oauth2.redirectUrl", "type": "oauth2.provider"}


def blueprint(
    callers: Callers,
    limits: RequestLimits,
    add: Callable[..., Awaitable[Added]],
    start: Callable[..., Awaitable[Started]],
) -> Routes:
    """The route. To register an account with a grant that is there, without its person, takes both scopes."""
    routes = Routes()

    @routes.post("v1/account")
    @for_callers(callers, Action.ADD_ACCOUNT, Scope.REGISTER, minds_reach=True)
    async def post_account(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        limits.form(req, caller.id)
        asked, faults = read_account(read_object(req))
        if isinstance(asked, Invitation):
            return answer({"redirect": await _link(start, asked, faults, caller)})
        caller.require_scope(Scope.ACCOUNTS_WRITE)
        about(account=asked.account, target=asked.through)
        added = await add(asked, faults, caller)
        about(account=added.account)
        return answer({"account": added.account, "state": added.state.value})

    return routes


def read_account(body: Mapping[str, Any]) -> tuple[FurtherAccount | Invitation, dict[str, str]]:
    """What is asked for, and what was wrong with it; `authorize` asks for a link."""
    fields = Fields(body)
    oauth2 = fields.part("oauth2", fields.take("oauth2"))
    asked = _invitation(fields, oauth2) if oauth2.switch("authorize") else _further(fields, oauth2)
    take_without_effect(fields)
    oauth2.finish()
    return asked, fields.finish()


def _further(fields: Fields, oauth2: Fields) -> FurtherAccount:
    auth = oauth2.part("auth", oauth2.take("auth"))
    email = fields.address("email")
    further = FurtherAccount(
        account=read_account_id(fields),
        name=fields.text("name"),
        mailbox=auth.address("delegatedUser"),
        expected=ExpectedPerson(fields.address("expectedEmail"), read_tenant(fields)),
        provider=oauth2.text("provider"),
        through=auth.text("delegatedAccount"),
        change_mailbox=fields.switch("changeMailbox"),
    )
    auth.ignored("user", lambda value: isinstance(value, str), "a string")
    auth.finish()
    if email and not same_address(email, further.mailbox):
        fields.fault("email", "must be the mailbox that oauth2.auth.delegatedUser names, or absent")
    return further


def _invitation(fields: Fields, oauth2: Fields) -> Invitation:
    """Where there is a `delegatedUser`, that is the shared mailbox; otherwise the signer's own is asked for."""
    auth = oauth2.part("auth", oauth2.take("auth") or {})
    mailbox, email = auth.address("delegatedUser"), fields.address("email")
    auth.ignored("user", lambda value: isinstance(value, str), "a string")
    auth.ignored("delegatedAccount", lambda _: False, "absent beside authorize: the sign-in makes a grant")
    auth.finish()
    return Invitation(
        redirect_url=oauth2.text("redirectUrl", longest=4096),
        account=read_account_id(fields),
        name=fields.text("name"),
        email=mailbox or email,
        expected_email=fields.address("expectedEmail"),
        expected_tenant=read_tenant(fields),
        delegated=mailbox is not None,
        type=oauth2.text("provider"),
        change_mailbox=fields.switch("changeMailbox"),
    )


async def _link(
    start: Callable[..., Awaitable[Started]], asked: Invitation, faults: Mapping[str, str], caller: Caller
) -> str:
    about(account=asked.account)
    try:
        started = await start(asked, faults, caller)
    except InvalidInput as invalid:
        told = {}
        for name, what in invalid.fields.items():
            here = NAMES.get(name, name)
            told[here] = what.replace(f'"{name}"', f'"{here}"')
        raise InvalidInput(told) from None
    about(account=started.accounts[0], target=started.registration)
    return str(link(started)["url"])
