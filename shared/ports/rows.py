"""Tables of single rows."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.caller import ApiToken
from shared.domain.errors import Conflict, StaleWrite
from shared.domain.event import Event
from shared.domain.limit import Bucket
from shared.domain.oauth_app import RegisteredApp
from shared.domain.registration import NewestLink, PendingRegistration, SignInAttempt

MAX_WRITE_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Stored[T]:
    """A value as it was read; `version` makes writing it back conditional."""

    value: T
    version: str


async def retry_on_conflict[R](attempt: Callable[[], Awaitable[R]]) -> R:
    """Return what `attempt` returns. It reads, decides and writes, and runs again whenever a write raises StaleWrite.

    For changes that span rows or tables; a change of one row is an `update` of its table. Raises Conflict after
    MAX_WRITE_ATTEMPTS.
    """
    for _ in range(MAX_WRITE_ATTEMPTS):
        with suppress(StaleWrite):
            return await attempt()
    raise Conflict("It is being changed by others; try again")


async def retry_with_stored[T, R](
    stored: Stored[T], read: Callable[[], Awaitable[Stored[T] | None]], attempt: Callable[[Stored[T]], Awaitable[R]]
) -> R | None:
    """As `retry_on_conflict`, for a row that was read before: `read` is called after a conflict only.

    Returns None when the row is gone.
    """
    known = [stored]

    async def next_attempt() -> R | None:
        current = known.pop() if known else await read()
        return None if current is None else await attempt(current)

    return await retry_on_conflict(next_attempt)


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody is binding the account right now; void at `until`, so that a crash holds nobody up."""

    principal_id: str
    app: str
    registration: str
    until: datetime


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """Account id → principal; its insert makes an account id unique."""

    account: str
    principal_id: str | None = None
    app: str | None = None
    claim: Claim | None = None


class Rows[T](Protocol):
    """A table of single rows. Writes raise StaleWrite when the row is there already or has changed.

    Events about the row are written in the same transaction.
    """

    async def get(self, identity: str) -> Stored[T] | None: ...

    async def insert(self, value: T, events: Sequence[Event] = ()) -> Stored[T]: ...

    async def replace(self, stored: Stored[T], value: T, events: Sequence[Event] = ()) -> Stored[T]: ...

    async def put(self, stored: Stored[T] | None, value: T, events: Sequence[Event] = ()) -> Stored[T]:
        """Insert where there was no row, and replace the one that was read otherwise."""

    async def update[N: None](self, identity: str, change: Callable[[T | None], T | N]) -> T | N:
        """Read a row, write what `change` makes of it, and return that. Reads again when the row changed meanwhile.

        `change` gets None when there is no row. When it returns None or what it got, nothing is written. It may run
        several times, so it must have no side effects; what it raises is passed on. Raises Conflict after
        MAX_WRITE_ATTEMPTS.
        """

    async def remove(self, stored: Stored[T], events: Sequence[Event] = ()) -> None: ...


class Buckets(Rows[Bucket], Protocol):
    """Buckets that all instances share."""

    async def forget_empty(self, now: datetime) -> int:
        """Delete some that are empty by now; how many there were, 0 at the end."""


type Directory = Rows[DirectoryEntry]


class Registrations(Rows[PendingRegistration], Protocol):
    """Invitations, and the attempts to follow them.

    `get` answers with the state `replaced` for mailboxes whose account has a newer invitation, and `cancelled` for
    those whose account was removed.
    """

    async def for_account(self, registration: str, account: str) -> Stored[PendingRegistration] | None:
        """An invitation that shows this account's mailbox as `get` does, at two reads however many mailboxes it has."""

    async def newest(self, account: str) -> NewestLink | None:
        """Which of an account's invitations counts, or None when it never had one."""

    async def make_newest(self, newest: NewestLink) -> None:
        """From here on no earlier invitation of the account counts; of two at once, the one written last stands."""

    async def end_links(self, account: str) -> None:
        """The account was removed: none of its invitations so far counts any more, and each says `account_removed`."""

    async def attempt(self, registration: str, attempt: str) -> Stored[SignInAttempt] | None: ...

    async def add_attempt(self, attempt: SignInAttempt) -> None:
        """Keep it and the newest few of the invitation's other attempts; older ones are forgotten."""

    async def use_attempt(self, stored: Stored[SignInAttempt]) -> bool:
        """Mark an attempt as used. Returns False when it was used before, or is gone."""

    async def forget(self, registration: str) -> bool:
        """Delete an invitation with all its attempts; that it was the newest is forgotten too.

        False when only some of very many attempts are deleted: then call again.
        """


class ApiTokens(Rows[ApiToken], Protocol):
    """API tokens by their ids."""

    async def all(self) -> Sequence[ApiToken]: ...


class RegisteredApps(Rows[RegisteredApp], Protocol):
    """OAuth apps as they are kept; that of the settings only once it was changed."""

    async def all(self) -> Sequence[RegisteredApp]:
        """Every one, the oldest first."""
