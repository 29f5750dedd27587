"""Things that happened, kept in the partition of what they happened to until they have been fanned out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.keys import normal

# Two events of one account differ by this much at least, so that their ids sort as they happened.
STEP = timedelta(milliseconds=1)


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
    def place(self) -> str:
        """Where it lies, as the agenda knows it."""
        return f"{self.origin}:{self.owner}"

    @property
    def lane(self) -> str:
        """What it is in order with: the other events of its account, or of its OAuth app."""
        return f"account:{normal(self.account)}" if self.account and len(self.accounts) < 2 else self.place  # noqa: PLR2004

    @property
    def can_wait(self) -> bool:
        """Whether others go first: one caller can have thousands of links expire at once."""
        return self.name == EventName.REGISTRATION_EXPIRED

    def for_those(self, may_know: Callable[[str | None], bool]) -> "Event | None":
        """As somebody hears it who may know of some accounts only; None when of none of them."""
        if not self.accounts:
            return self if may_know(self.account) else None
        known = tuple(account for account in self.accounts if may_know(account))
        data = {**self.data, "accounts": list(known)}
        return replace(self, account=known[0], accounts=known, data=data) if known else None


def after(last: datetime | None, now: datetime) -> datetime:
    """When the next event counts as having happened: now, and behind the last one in any case."""
    return now if last is None else max(now, last + STEP)


def origin_of(place: str) -> tuple[Origin, str]:
    """The origin and owner of a place."""
    origin, _, owner = place.partition(":")
    return Origin(origin), owner
