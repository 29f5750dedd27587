"""/v1/accounts and /v1/account: list, read, remove, reconnect."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import azure.functions as func

from shared.domain.account import Account, AccountState
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.http.callers import Callers, for_callers
from shared.http.responses import answer
from shared.http.routes import Routes
from shared.triggers.account_answers import last_error, summary, whole
from shared.triggers.fields import LONGEST_ADDRESS, Fields, read_object
from shared.usecases.accounts.change import Removed
from shared.usecases.accounts.read import AccountDetails, AccountPage, AccountQuery

LONGEST_FILTER = 256  # bytes, so that all filters and the cursor of the next page fit into a URL
# Callers of EmailEngine may ask for its other states too; no account is ever in one of those.
STATES = [*AccountState, "unset", "connecting", "syncing", "disconnected"]


def blueprint(
    callers: Callers,
    listing: Callable[..., Awaitable[AccountPage]],
    read: Callable[..., Awaitable[AccountDetails]],
    remove: Callable[..., Awaitable[Removed]],
    reconnect: Callable[..., Awaitable[Account]],
) -> Routes:
    """The account routes."""
    routes = Routes()

    @routes.get("v1/accounts")
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

    @routes.get("v1/account/{account}")
    @for_callers(callers, Action.READ_ACCOUNT, Scope.ACCOUNTS_READ)
    async def get_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        return answer(whole(await read(req.route_params["account"])))

    @routes.delete("v1/account/{account}")
    @for_callers(callers, Action.REMOVE_ACCOUNT, Scope.ACCOUNTS_WRITE)
    async def delete_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(req.params)
        revoke = fields.switch("revoke")
        fields.refuse_faults()
        account = req.route_params["account"]
        left = (await remove(account)).still_served
        body = {"account": account, "deleted": True, "tokensDeleted": left == 0, "accountsLeft": left}
        # Entra takes no refresh token back; a person ends their consent, or an administrator all of their sessions.
        return answer(body | ({"revoked": False} if revoke else {}))

    @routes.put("v1/account/{account}/reconnect")
    @for_callers(callers, Action.RECONNECT_ACCOUNT, Scope.ACCOUNTS_WRITE)
    async def reconnect_account(req: func.HttpRequest, _: Caller) -> func.HttpResponse:
        fields = Fields(read_object(req) if req.get_body() else {})
        asked = fields.switch("reconnect") or "reconnect" not in fields.values
        fields.refuse_faults()
        if not asked:
            return answer({"reconnect": False})
        account = await reconnect(req.route_params["account"])
        return answer({"reconnect": True, "state": account.state.value, "lastError": last_error(account)})

    return routes


def read_query(req: func.HttpRequest) -> AccountQuery:
    """The listing's query. Raises InvalidInput with every fault."""
    fields = Fields(req.params)
    page, size = fields.paging()
    query = AccountQuery(
        page=page,
        page_size=size,
        state=fields.one_of("state", STATES),
        query=fields.text("query", longest_bytes=LONGEST_FILTER),
        cursor=fields.text("cursor", longest=2048),
        app=fields.text("app", longest_bytes=LONGEST_FILTER),
        email=fields.address("email"),
        authorized_by=fields.text("authorizedBy", longest=LONGEST_ADDRESS, longest_bytes=LONGEST_ADDRESS),
    )
    fields.refuse_faults()
    return query
