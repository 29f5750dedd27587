"""Accounts as callers see them."""

from typing import Any

from shared.domain.account import Account
from shared.domain.clouds import Resource
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.domain.remedy import remedy
from shared.domain.secret import MASK
from shared.http.responses import moment
from shared.usecases.accounts.read import AccountDetails


def summary(account: Account) -> dict[str, Any]:
    """An account as listings show it.

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


def whole(details: AccountDetails) -> dict[str, Any]:
    """An account with who authorizes it, since when, and how long that lasts. `lastHandOut` may be an hour old."""
    account, grant, app = details.account, details.grant, details.app
    tenant_id, _, object_id = account.principal_id.partition(".")
    return summary(account) | {
        "authorizedBy": {
            "user": account.sign_in_name,
            "tenantId": tenant_id,
            "objectId": object_id,
            "since": moment(account.bound),
        },
        "registration": account.registration,
        "baseScopes": _base_scopes(app) if app else None,
        "lastRefresh": moment(grant.last_refreshed) if grant else None,
        "lastHandOut": moment(grant.last_handed_out) if grant else None,
        "expiresIfIdle": moment(grant.expires_if_idle) if grant else None,
        "secretExpires": moment(app.secret_expires) if app else None,
        "oauth2": _oauth2(account, grant) if grant else None,
    }


def _base_scopes(app: OAuthApp) -> str:
    """The contract has one word for what an app may do in mailboxes; with scopes for both it is `api`."""
    return "imap" if app.primary_resource is Resource.OUTLOOK else "api"


def _oauth2(account: Account, grant: DelegatedGrant) -> dict[str, Any]:
    delegated = {"delegatedUser": account.email} if account.shared else {}
    if account.through is not None:
        delegated["delegatedAccount"] = account.through
    return {
        "provider": account.app,
        "auth": {"user": grant.principal.sign_in_name, **delegated},
        "scope": list(grant.scopes),
        "tokenType": "Bearer",
        "accessToken": MASK,
        "refreshToken": MASK,
        "expires": moment(grant.access_expires),
        "generated": moment(grant.refreshed),
        "refreshTokenGenerated": moment(grant.last_refreshed),
    }
