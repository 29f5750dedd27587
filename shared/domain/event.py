"""Events: their names, their data (never a token, a code or a secret), and which expiries were already warned of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.account import Account
from shared.domain.audit import correlation_id
from shared.domain.failure import Failure
from shared.domain.formats import format_timestamp, normalize_id
from shared.domain.mail.submission import Submission
from shared.domain.oauth_app import CircuitBreaker, OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.remedy import Reader, remedy

# The least time between two events of one account, so that their ids sort in the order in which they happened.
MIN_EVENT_INTERVAL = timedelta(milliseconds=1)

# EmailEngine's names for: the grant could not be renewed, or a call with a valid token was refused.
RENEWAL_ERROR, REQUEST_ERROR = "OauthRenewError", "ApiRequestError"


class EventName(StrEnum):
    """Events. The first seven and those of messages have the names and meanings that EmailEngine gives them."""

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
    MESSAGE_SENT = "messageSent"
    MESSAGE_FAILED = "messageFailed"
    OAUTH_APP_SECRET_EXPIRING = "oauthAppSecretExpiring"  # noqa: S105 - the name of an event


class Origin(StrEnum):
    """The kind of partition that an event is stored in: of a principal, a registration, an app or a submission."""

    PRINCIPAL = "principal"
    REGISTRATION = "registration"
    OAUTH_APP = "app"
    SUBMISSION = "submission"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox.

    `id` begins with a time in milliseconds that is later than in any earlier event of the same account, whatever the
    clocks say, so ids sort in the order of events. `at` is the time for people to read. `owner` is the id of the
    principal, registration, OAuth app or submission. `correlation` is the id of the request or timer run that caused
    the event. An event about a link lists all its `accounts`, and `account` is the first of them.
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
        """The partition that the event is stored in, as the agenda writes it."""
        return f"{self.origin}:{self.owner}"

    @property
    def lane(self) -> str:
        """The group of events that are delivered in order: those of an account, or of an OAuth app."""
        return f"account:{normalize_id(self.account)}" if self.account and len(self.accounts) < 2 else self.source  # noqa: PLR2004

    @property
    def can_wait(self) -> bool:
        """Whether other events go first: one caller can have thousands of links that expire at once."""
        return self.name == EventName.REGISTRATION_EXPIRED

    def visible_to(self, may_know: Callable[[str | None], bool]) -> "Event | None":
        """The event without the accounts that a recipient may not know; None if nothing is left."""
        if not self.accounts:
            return self if may_know(self.account) else None
        known = tuple(account for account in self.accounts if may_know(account))
        data = {**self.data, "accounts": list(known)}
        return replace(self, account=known[0], accounts=known, data=data) if known else None


@dataclass(frozen=True, slots=True)
class ExpiryWarning:
    """The expiry that a warning was sent for. `id` names the credential; see `secret_warning_id`."""

    id: str
    expires: datetime


def next_event_time(last: datetime | None, now: datetime) -> datetime:
    """The time of the next event: now, or shortly after the last event if the clock is behind it."""
    return now if last is None else max(now, last + MIN_EVENT_INTERVAL)


def parse_source(source: str) -> tuple[Origin, str]:
    """The origin and the owner of a source."""
    origin, _, owner = source.partition(":")
    return Origin(origin), owner


def secret_warning_id(app: str) -> str:
    """The id for an OAuth app's credential; it cannot be an app's own id, which has no `~`."""
    return f"{app}~secret"


def new_event(
    origin: Origin,
    owner: str,
    name: EventName,
    data: Mapping[str, Any],
    account: str | None = None,
    *,
    now: datetime,
    suffix: bytes,
    counts_at: datetime | None = None,
) -> Event:
    """An event in its owner's partition. `counts_at` is its place in the order, by default now.

    `suffix` is random, and distinguishes events of the same millisecond.
    """
    identity = f"{int((counts_at or now).timestamp() * 1000):012x}{suffix.hex()}"
    return Event(identity, origin, owner, name, now, account, data, correlation_id())


def account_data(
    name: EventName, account: Account, failure: Failure | None = None, before: Account | None = None
) -> dict[str, Any]:
    """The data of an event about an account; `failure` is Microsoft's answer, `before` the account before a change."""
    match name:
        case EventName.ACCOUNT_CHANGED if before is not None:
            return {**_user_and_email(account), "previous": _user_and_email(before)}
        case EventName.ACCOUNT_ADDED | EventName.ACCOUNT_DELETED:
            return {"account": account.id}
        case EventName.ACCOUNT_INITIALIZED:
            return {"initialized": True}
        case EventName.AUTHENTICATION_ERROR | EventName.CONNECT_ERROR if account.last_error is not None:
            return {
                **error_data(account.last_error.code, failure),
                "serverResponseCode": REQUEST_ERROR if account.has_mailbox_error else RENEWAL_ERROR,
                "user": account.sign_in_name,
            }
        case EventName.CONNECT_SUCCESS:
            return {"user": account.sign_in_name, "email": account.email}
        case _:
            return {"user": account.sign_in_name}


def expiring_grant_data(account: Account, expires: datetime) -> dict[str, Any]:
    """The data of the warning that an account's grant is about to expire."""
    code = account.last_error.code if account.last_error else None
    details = error_data(code) if code else {"action": "Use the account or reconnect it: that renews its grant."}
    return {**details, "user": account.sign_in_name, "app": account.app, "expires": format_timestamp(expires)}


def registration_data(registration: PendingRegistration, code: str | None = None) -> dict[str, Any]:
    """The data of an event about a registration; `code` says why it failed."""
    data = {"registration": registration.id, "expires": format_timestamp(registration.expires)}
    return {**data, **error_data(code)} if code else data


def breaker_data(breaker: CircuitBreaker) -> dict[str, Any]:
    """The data of an event about an OAuth app that Microsoft refuses, or accepts again."""
    return {
        "app": breaker.app,
        "since": format_timestamp(breaker.since),
        **error_data(breaker.code),
        "kind": "appFault",
        "aadsts": breaker.aadsts,
    }


def message_data(submission: Submission, recipients: Sequence[str], response: str) -> dict[str, Any]:
    """The data of an event about a message that was sent or was not: who it is from and to, and none of its content."""
    data: dict[str, Any] = {
        "response": response,
        "messageId": submission.message_id or submission.internet_message_id,
        "originalMessageId": submission.internet_message_id,
        "queueId": submission.id,
        "envelope": {"from": submission.mailbox, "to": list(recipients)},
    }
    return data if submission.code is None else {**data, "code": submission.code}


def expiring_secret_data(app: OAuthApp, expires: datetime) -> dict[str, Any]:
    """The data of the warning that an OAuth app's credential is about to expire."""
    action = "Add a new client secret or certificate in Entra, and store it in Mailbind, before the old one expires."
    return {"app": app.id, "name": app.name, "expires": format_timestamp(expires), "action": action}


def error_data(code: str, failure: Failure | None = None) -> dict[str, Any]:
    """A code with its explanation for people; the kind and the AADSTS number if Microsoft answered."""
    known = remedy(code, Reader.CALLER)
    data: dict[str, Any] = {"response": known.what, "code": code, "action": known.action}
    return data | ({"kind": failure.kind.value, "aadsts": failure.aadsts} if failure else {})


def _user_and_email(account: Account) -> dict[str, Any]:
    return {"user": account.sign_in_name, "email": account.email}
