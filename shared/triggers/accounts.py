"""/v1/accounts and /v1/account: list, read, remove, reconnect."""

import math
from typing import Any

import azure.functions as func

from shared.domain.account import Account, AccountState
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.errors import NotFound
from shared.domain.grant import DelegatedGrant
from shared.domain.remedy import remedy
from shared.ports import Principals
from shared.triggers.answers import answer, moment
from shared.triggers.callers import Callers, for_callers
from shared.triggers.fields import Fields, read_object
from shared.usecases.find_account import FindAccount
from shared.usecases.list_accounts import AccountQuery, ListAccounts
from shared.usecases.reconnect_account import ReconnectAccount
from shared.usecases.remove_account import RemoveAccount

STATES = [state.value for state in AccountState]


def blueprint(
    callers: Callers,
    listing: ListAccounts,
    find: FindAccount,
    principals: Principals,
    remove: RemoveAccount,
    reconnect: ReconnectAccount,
) -> func.Blueprint:
    """The account routes."""
    bp = func.Blueprint()

    @bp.route("v1/accounts", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @for_callers(callers, Action.LIST_ACCOUNTS, Scope.ACCOUNTS_READ, minds_reach=True)
    async def list_accounts(req: func.HttpRequest, caller: Caller) -> func.HttpResponse:
        query = read_query(req)
        page = await listing(query, caller)
        body: dict[str, Any] = {
            "page": query.page,
            "query": query.query or False,
            "state": query.state or "*",
            "cursor": page.cursor,
            "accounts": [summary(account) for account in page.accounts],
        }
        if page.total is not None:
            body |= {"total": page.total, "pages": math.ceil(page.total / query.page_size)}
        return answer(body)

    @bp.route("v1/account/{account}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @for_callers(callers, Action.READ_ACCOUNT, Scope.ACCOUNTS_READ)
    async def get_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        found = await find(req.route_params["account"])
        if found is None:
            raise NotFound("No such account")
        account = found.account.value
        grant = await principals.grant(account.principal_id, account.app)
        return answer(summary(account) | _grant(account, grant.value if grant else None))

    @bp.route("v1/account/{account}", methods=["DELETE"], auth_level=func.AuthLevel.ANONYMOUS)
    @for_callers(callers, Action.REMOVE_ACCOUNT, Scope.ACCOUNTS_WRITE)
    async def delete_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        account = req.route_params["account"]
        await remove(account)
        return answer({"account": account, "deleted": True})

    @bp.route("v1/account/{account}/reconnect", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
    @for_callers(callers, Action.RECONNECT_ACCOUNT, Scope.ACCOUNTS_WRITE)
    async def reconnect_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(read_object(req) if req.get_body() else {})
        asked = fields.switch("reconnect") or "reconnect" not in fields.values
        fields.refuse_faults()
        if not asked:
            return answer({"reconnect": False})
        account = await reconnect(req.route_params["account"])
        return answer({"reconnect": True, "state": account.state.value, "lastError": last_error(account)})

    return bp


def read_query(req: func.HttpRequest) -> AccountQuery:
    """The listing's query. Raises InvalidInput with every fault."""
    fields = Fields(req.params)
    query = AccountQuery(
        page=fields.number("page", 0, 0, 1_048_576),
        page_size=fields.number("pageSize", 20, 1, 1000),
        state=fields.one_of("state", STATES),
        query=fields.text("query"),
        cursor=fields.text("cursor", longest=2048),
    )
    fields.refuse_faults()
    return query


def summary(account: Account) -> dict[str, Any]:
    """An account as listings show it."""
    return {
        "account": account.id,
        "name": account.name,
        "email": account.email,
        "type": "outlook",
        "delegated": account.shared,
        "app": account.app,
        "state": account.state.value,
        "user": account.sign_in_name,
        "created": moment(account.created),
        "lastError": last_error(account),
    }


def last_error(account: Account) -> dict[str, Any] | None:
    """Why the account is not connected, and what to do about it."""
    error = account.last_error
    if error is None:
        return None
    told = remedy(error.code)
    return {"code": error.code, "description": told.what, "since": moment(error.since), "action": told.action}


def _grant(account: Account, grant: DelegatedGrant | None) -> dict[str, Any]:
    body: dict[str, Any] = {"bound": moment(account.bound)}
    if grant is not None:
        auth = {"user": grant.principal.sign_in_name} | ({"delegatedUser": account.email} if account.shared else {})
        body["oauth2"] = {
            "provider": account.app,
            "auth": auth,
            "scope": list(grant.scopes),
            "expires": moment(grant.access_expires),
            "generated": moment(grant.refreshed),
            "accessToken": "******",
            "refreshToken": "******",
        }
        body |= {"lastRefresh": moment(grant.refreshed), "lastHandOut": moment(grant.handed_out)}
    return body
