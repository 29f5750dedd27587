"""POST /v1/account: bind a further mailbox to a grant that is there."""

from collections.abc import Mapping
from typing import Any

import azure.functions as func

from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.principal import same_address
from shared.triggers.account_changes import take_without_effect
from shared.triggers.answers import answer
from shared.triggers.audit import about
from shared.triggers.authentication_form import read_account_id
from shared.triggers.callers import Callers, for_callers
from shared.triggers.fields import Fields, read_object
from shared.triggers.request_limits import RequestLimits
from shared.usecases.add_account import AddAccount, FurtherAccount


def blueprint(callers: Callers, limits: RequestLimits, add: AddAccount) -> func.Blueprint:
    """The route. It registers an account, and does so with a grant that is there: that takes both scopes."""
    bp = func.Blueprint()

    @bp.route("v1/account", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @for_callers(callers, Action.ADD_ACCOUNT, Scope.REGISTER, minds_reach=True)
    async def post_account(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        caller.needs(Scope.ACCOUNTS_WRITE)
        limits.form(req, caller.id)
        wanted, faults = read_further_account(read_object(req))
        about(account=wanted.account, target=wanted.through)
        added = await add(wanted, faults, caller)
        about(account=added.account)
        return answer({"account": added.account, "state": added.state.value})

    return bp


def read_further_account(body: Mapping[str, Any]) -> tuple[FurtherAccount, dict[str, str]]:
    """What is asked for, and what was wrong with it."""
    fields = Fields(body)
    oauth2 = fields.part("oauth2", fields.take("oauth2"))
    auth = oauth2.part("auth", oauth2.take("auth"))
    email = fields.address("email")
    wanted = FurtherAccount(
        account=read_account_id(fields),
        name=fields.text("name"),
        mailbox=auth.address("delegatedUser"),
        expected_email=fields.address("expectedEmail"),
        provider=oauth2.text("provider"),
        through=auth.text("delegatedAccount"),
    )
    auth.ignored("user", lambda value: isinstance(value, str), "a string")
    if email and not same_address(email, wanted.mailbox):
        fields.fault("email", "must be the mailbox that oauth2.auth.delegatedUser names, or absent")
    if oauth2.switch("authorize"):
        oauth2.fault("authorize", "must be absent: POST /v1/authentication/form gives a link to sign in")
    take_without_effect(fields)
    auth.finish()
    oauth2.finish()
    return wanted, fields.finish()
