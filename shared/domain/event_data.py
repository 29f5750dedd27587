"""What events say: EmailEngine's fields, and the reasons that it lacks. No token, no code, no secret."""

from datetime import datetime
from typing import Any

from shared.domain.account import Account
from shared.domain.breaker import Breaker
from shared.domain.event import EventName
from shared.domain.failure import Failure
from shared.domain.moment import written
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.remedy import remedy

# In EmailEngine's words: the grant could not be renewed, or a call with a good token was refused.
GRANT, CALL = "OauthRenewError", "ApiRequestError"


def of_account(
    name: EventName, account: Account, failure: Failure | None = None, before: Account | None = None
) -> dict[str, Any]:
    """The data of an event about an account; `failure` is what Microsoft answered, `before` the account until now."""
    match name:
        case EventName.ACCOUNT_CHANGED if before is not None:
            return {**_who_and_where(account), "previous": _who_and_where(before)}
        case EventName.ACCOUNT_ADDED | EventName.ACCOUNT_DELETED:
            return {"account": account.id}
        case EventName.ACCOUNT_INITIALIZED:
            return {"initialized": True}
        case EventName.AUTHENTICATION_ERROR | EventName.CONNECT_ERROR if account.last_error is not None:
            told = reason(account.last_error.code, failure)
            return {**told, "serverResponseCode": CALL if account.lost_mailbox else GRANT, "user": account.sign_in_name}
        case EventName.CONNECT_SUCCESS:
            return {"user": account.sign_in_name, "email": account.email}
        case _:
            return {"user": account.sign_in_name}


def _who_and_where(account: Account) -> dict[str, Any]:
    return {"user": account.sign_in_name, "email": account.email}


def of_expiring_grant(account: Account, expires: datetime) -> dict[str, Any]:
    """The data of the warning that an account's grant would die."""
    code = account.last_error.code if account.last_error else None
    told = reason(code) if code else {"action": "Use the account or reconnect it: that renews its grant."}
    return {**told, "user": account.sign_in_name, "app": account.app, "expires": written(expires)}


def of_registration(registration: PendingRegistration, code: str | None = None) -> dict[str, Any]:
    """The data of an event about a registration; `code` says why it came to nothing."""
    about = {"registration": registration.id, "expires": written(registration.expires)}
    return {**about, **reason(code)} if code else about


def of_breaker(breaker: Breaker) -> dict[str, Any]:
    """The data of an event about an OAuth app that Microsoft refuses, or accepts again."""
    return {
        "app": breaker.app,
        "since": written(breaker.since),
        **reason(breaker.code),
        "kind": "appFault",
        "aadsts": breaker.aadsts,
    }


def of_expiring_secret(app: OAuthApp, expires: datetime) -> dict[str, Any]:
    """The data of the warning that an OAuth app's credential ends."""
    action = "Add a new client secret or certificate in Entra, and give it to Mailbind, before the old one ends."
    return {"app": app.id, "name": app.name, "expires": written(expires), "action": action}


def reason(code: str, failure: Failure | None = None) -> dict[str, Any]:
    """A code, and what it means to a person; kind and AADSTS number where Microsoft told."""
    told = remedy(code)
    said: dict[str, Any] = {"response": told.what, "code": code, "action": told.action}
    return said | ({"kind": failure.kind.value, "aadsts": failure.aadsts} if failure else {})
