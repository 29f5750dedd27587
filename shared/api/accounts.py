"""GET /v1/accounts and /v1/account/{account}: list and read accounts."""

from typing import Any

from msgspec import UNSET

from shared.api.account_fields import (
    Account,
    AccountPage,
    AccountsQuery,
    AccountSummary,
    Authorization,
    Grant,
    GrantUsed,
    LastError,
)
from shared.api.field_types import (
    AccountId,
    page_count,
)
from shared.api.oauth_apps import refused_app
from shared.domain import account as accounts
from shared.domain.audit import Action
from shared.domain.caller import Caller, Scope
from shared.domain.clouds import Resource as MailResource
from shared.domain.grant import DelegatedGrant
from shared.domain.hand_out import hands_out
from shared.domain.oauth_app import OAuthApp
from shared.domain.remedy import Reader, remedy
from shared.domain.secret import MASK
from shared.http.operations import Resource
from shared.http.responses import moment
from shared.ports import App
from shared.usecases.accounts import read
from shared.usecases.accounts.read import AccountDetails, AccountQuery
from shared.usecases.apps.circuit_breaker import refused_apps

resource = Resource("Accounts", "Bound mailboxes and their states.")


@resource.get("/v1/accounts", Action.LIST_ACCOUNTS, Scope.ACCOUNTS_READ, checks_reach=True, refusals=[400])
async def list_accounts(app: App, caller: Caller, query: AccountsQuery) -> AccountPage:
    """List accounts.

    Lists up to 50,000 accounts by page, and any number by cursor, at the same cost for every page.
    """
    wanted = AccountQuery(
        page=query.number,
        page_size=query.size,
        state=query.state or None,
        query=query.query or None,
        cursor=query.cursor or None,
        app=query.app or None,
        email=query.email or None,
        authorized_by=query.authorized_by or None,
    )
    page = await read.list_accounts(app, wanted, caller)
    refused = await refused_apps(app, (account.app for account in page.accounts))
    return AccountPage(
        page=query.number,
        query=query.query or False,
        state=query.state or "*",
        cursor=page.cursor,
        accounts=[AccountSummary(**summary(app, account)) for account in page.accounts],
        refused_apps=[refused_app(each) for each in refused],
        total=UNSET if page.total is None else page.total,
        pages=UNSET if page.total is None else page_count(page.total, query.size),
    )


@resource.get("/v1/account/{account}", Action.READ_ACCOUNT, Scope.ACCOUNTS_READ, refusals=[404])
async def get_account(app: App, account_id: AccountId) -> Account:
    """Get an account.

    Returns the state of an account, who authorizes it and since when, and what to do if something is wrong.
    """
    return describe(app, await read.read_account(app, account_id))


def summary(app: App, account: accounts.Account) -> dict[str, Any]:
    """The fields of AccountSummary.

    `type` is `outlook` for every one of them. EmailEngine's `delegated` is an account that borrows another account's
    tokens; here each account has its grant itself, and `delegated` says that the mailbox is a shared one.
    """
    return {
        "account": account.id,
        "name": account.name,
        "email": account.email,
        "type": "outlook",
        "delegated": account.shared,
        "app": account.app,
        "state": account.state,
        "hand_out": hands_out(account, setting=app.config.hand_out),
        "user": account.sign_in_name,
        "created": moment(account.created),
        "last_error": last_error(account),
    }


def last_error(account: accounts.Account) -> LastError | None:
    """Why the account is not connected, and what to do about it."""
    error = account.last_error
    if error is None:
        return None
    advice = remedy(error.code, Reader.CALLER)
    return LastError(code=error.code, description=advice.what, since=moment(error.since), action=advice.action)


def describe(app: App, details: AccountDetails) -> Account:
    """An account with who authorizes it, since when, and how long that lasts. `lastHandOut` may be an hour old."""
    account, grant, oauth_app = details.account, details.grant, details.app
    tenant_id, _, object_id = account.principal_id.partition(".")
    return Account(
        **summary(app, account),
        authorized_by=Authorization(
            user=account.sign_in_name, tenant_id=tenant_id, object_id=object_id, since=moment(account.bound)
        ),
        registration=account.registration,
        base_scopes=_base_scopes(oauth_app) if oauth_app else None,
        last_refresh=moment(grant.last_refreshed) if grant else None,
        last_hand_out=moment(grant.last_handed_out) if grant else None,
        expires_if_idle=moment(grant.expires_if_idle) if grant else None,
        secret_expires=moment(oauth_app.secret_expires) if oauth_app else None,
        oauth2=_grant(account, grant) if grant else None,
    )


def _base_scopes(app: OAuthApp) -> str:
    """The contract has one word for what an app may do in mailboxes; with scopes for both it is `api`."""
    return "imap" if app.primary_resource is MailResource.OUTLOOK else "api"


def _grant(account: accounts.Account, grant: DelegatedGrant) -> Grant:
    return Grant(
        provider=account.app,
        auth=GrantUsed(
            user=grant.principal.sign_in_name,
            delegated_user=account.email if account.shared else UNSET,
            delegated_account=UNSET if account.through is None else account.through,
        ),
        scope=list(grant.scopes),
        token_type="Bearer",  # noqa: S106 - RFC 6750's name of the type
        access_token=MASK,
        refresh_token=MASK,
        expires=moment(grant.access_expires),
        generated=moment(grant.refreshed),
        refresh_token_generated=moment(grant.last_refreshed),
    )
