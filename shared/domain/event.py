"""Events: their names, their data and the warnings among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.account import Account
from shared.domain.failure import Failure
from shared.domain.formats import format_timestamp
from shared.domain.identity import normalize_id
from shared.domain.oauth_app import CircuitBreaker, OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.remedy import remedy

# Two events of one account differ by this much at least, so that their ids sort as they happened.
MIN_EVENT_INTERVAL = timedelta(milliseconds=1)


class EventName(StrEnum):
    """What can happen. The first seven carry the names and meanings that callers of EmailEngine know."""

    ACCOUNT_ADDED = "accountAdded"
    ACCOUNT_INITIALIZED = "accountInitialized"
    ACCOUNT_DELETED = "accountDeleted"
    AUTHENTICATION_ERROR = "authenticationError"
    AUTHENTICATION_SUCCESS = "authenticationSuccess"
    CONNECT_ERROR = "connectError"
    CONNECT_SUCCESS = "connectSuccess"
    ACCOUNT_CHANGED = "accountChanged"
    REGISTRATION_FAILED = "registrationFailed"
    REGISTRATION_EXPIRED = "registrationExpired"
    GRANT_EXPIRING = "grantExpiring"
    OAUTH_APP_ERROR = "oauthAppError"
    OAUTH_APP_RECOVERED = "oauthAppRecovered"
    OAUTH_APP_SECRET_EXPIRING = "oauthAppSecretExpiring"  # noqa: S105 - the name of an event


class Origin(StrEnum):
    """Whose partition an event is written in: that of the principal, of the registration or of the OAuth app."""

    PRINCIPAL = "principal"
    REGISTRATION = "registration"
    OAUTH_APP = "app"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox.

    `id` begins with a time in milliseconds that is later than that of every earlier event of the same account, whatever
    the clocks say, so ids sort as things happened. `at` is for people to read. `owner` is the origin's id,
    `correlation` that of the request or timer run that it came of. An event about a link names all `accounts` that it
    is about, and `account` is the first of them.
    """

    id: str
    origin: Origin
    owner: str
    name: EventName
    at: datetime
    account: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    correlation: str | None = None
    accounts: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where it lies, as the agenda knows it."""
        return f"{self.origin}:{self.owner}"

    @property
    def lane(self) -> str:
        """What it is in order with: the other events of its account, or of its OAuth app."""
        return f"account:{normalize_id(self.account)}" if self.account and len(self.accounts) < 2 else self.source  # noqa: PLR2004

    @property
    def can_wait(self) -> bool:
        """Whether others go first: one caller can have thousands of links expire at once."""
        return self.name == EventName.REGISTRATION_EXPIRED

    def visible_to(self, may_know: Callable[[str | None], bool]) -> "Event | None":
        """As somebody hears it who may know of some accounts only; None when of none of them."""
        if not self.accounts:
            return self if may_know(self.account) else None
        known = tuple(account for account in self.accounts if may_know(account))
        data = {**self.data, "accounts": list(known)}
        return replace(self, account=known[0], accounts=known, data=data) if known else None


def next_event_time(last: datetime | None, now: datetime) -> datetime:
    """When the next event counts as having happened: now, and behind the last one in any case."""
    return now if last is None else max(now, last + MIN_EVENT_INTERVAL)


def parse_source(place: str) -> tuple[Origin, str]:
    """The origin and owner of a place."""
    origin, _, owner = place.partition(":")
    return Origin(origin), owner


# In EmailEngine's words: the grant could not be renewed, or a call with a good token was refused.
RENEWAL_ERROR, REQUEST_ERROR = "OauthRenewError", "ApiRequestError"


def account_data(
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
            told = error_data(account.last_error.code, failure)
            return {
                **told,
                "serverResponseCode": REQUEST_ERROR if account.has_mailbox_error else RENEWAL_ERROR,
                "user": account.sign_in_name,
            }
        case EventName.CONNECT_SUCCESS:
            return {"user": account.sign_in_name, "email": account.email}
        case _:
            return {"user": account.sign_in_name}


def _who_and_where(account: Account) -> dict[str, Any]:
    return {"user": account.sign_in_name, "email": account.email}


def expiring_grant_data(account: Account, expires: datetime) -> dict[str, Any]:
    """The data of the warning that an account's grant would die."""
    code = account.last_error.code if account.last_error else None
    told = error_data(code) if code else {"action": "Use the account or reconnect it: that renews its grant."}
    return {**told, "user": account.sign_in_name, "app": account.app, "expires": format_timestamp(expires)}


def registration_data(registration: PendingRegistration, code: str | None = None) -> dict[str, Any]:
    """The data of an event about a registration; `code` says why it came to nothing."""
    about = {"registration": registration.id, "expires": format_timestamp(registration.expires)}
    return {**about, **error_data(code)} if code else about


def breaker_data(breaker: CircuitBreaker) -> dict[str, Any]:
    """The data of an event about an OAuth app that Microsoft refuses, or accepts again."""
    return {
        "app": breaker.app,
        "since": format_timestamp(breaker.since),
        **error_data(breaker.code),
        "kind": "appFault",
        "aadsts": breaker.aadsts,
    }


def expiring_secret_data(app: OAuthApp, expires: datetime) -> dict[str, Any]:
    """The data of the warning that an OAuth app's credential ends."""
    action = "Add a new client secret or certificate in Entra, and give it to Mailbind, before the old one ends."
    return {"app": app.id, "name": app.name, "expires": format_timestamp(expires), "action": action}


def error_data(code: str, failure: Failure | None = None) -> dict[str, Any]:
    """A code, and what it means to a person; kind and AADSTS number where Microsoft told."""
    told = remedy(code)
    said: dict[str, Any] = {"response": told.what, "code": code, "action": told.action}
    return said | ({"kind": failure.kind.value, "aadsts": failure.aadsts} if failure else {})


@dataclass(frozen=True, slots=True)
class ExpiryWarning:
    """The end of a credential that was warned of. `id` names whose; see `secret_of`."""

    id: str
    expires: datetime


def secret_warning_id(app: str) -> str:
    """The id for an OAuth app's credential; no app's own id holds a `~`."""
    return f"{app}~secret"
