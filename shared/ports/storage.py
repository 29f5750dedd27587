"""Storage: rows that are written conditionally, the agenda, and the queue of its shards."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from shared.domain.caller import ApiToken
from shared.domain.errors import Conflict, StaleWrite
from shared.domain.event import Event
from shared.domain.limit import Bucket
from shared.domain.oauth_app import RegisteredApp
from shared.domain.registration import NewestLink, PendingRegistration, SignInAttempt
from shared.domain.work import Work

MAX_WRITE_ATTEMPTS = 8
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class Stored[T]:
    """A value as it was read. Writing it back is conditional on `version`."""

    value: T
    version: str


async def retry_on_conflict[R](attempt: Callable[[], Awaitable[R]]) -> R:
    """Return what `attempt` returns. It reads, decides and writes, and runs again whenever a write raises StaleWrite.

    For changes that span rows or tables; a change of one row is an `update` of its table. Raises Conflict after
    MAX_WRITE_ATTEMPTS. Writers that met once pause for different times, so that they do not keep meeting.
    """
    for conflicts in range(MAX_WRITE_ATTEMPTS):
        if conflicts:
            longest_pause = min(FIRST_PAUSE_SECONDS * 2 ** (conflicts - 1), MAX_PAUSE_SECONDS)
            await asyncio.sleep(random.uniform(0, longest_pause))  # noqa: S311 - decides nothing
        with suppress(StaleWrite):
            return await attempt()
    raise Conflict


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


class Claim(NamedTuple):
    """A binding in progress. It expires at `until`, so a crash blocks nobody for long."""

    principal_id: str
    app: str
    registration: str
    until: datetime


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """Maps an account id to its principal; inserting it makes the id unique."""

    account: str
    principal_id: str | None = None
    app: str | None = None
    claim: Claim | None = None


class Rows[T](Protocol):
    """A table of single rows. Writes raise StaleWrite when the row exists already, or changed since it was read.

    `events` about the row are written in the same transaction.
    """

    async def get(self, identity: str) -> Stored[T] | None: ...

    async def insert(self, value: T, events: Sequence[Event] = ()) -> Stored[T]: ...

    async def replace(self, stored: Stored[T], value: T, events: Sequence[Event] = ()) -> Stored[T]: ...

    async def put(self, stored: Stored[T] | None, value: T, events: Sequence[Event] = ()) -> Stored[T]:
        """Insert where there was no row; otherwise replace the version that was read."""

    async def update[N: None](self, identity: str, change: Callable[[T | None], T | N]) -> T | N:
        """Read a row, write what `change` makes of it, and return that. Reads again when the row changed meanwhile.

        `change` gets None when there is no row. When it returns None or what it got, nothing is written. It may run
        several times, so it must have no side effects; what it raises is passed on. Raises Conflict after
        MAX_WRITE_ATTEMPTS.
        """

    async def remove(self, stored: Stored[T], events: Sequence[Event] = ()) -> None: ...


class Buckets(Rows[Bucket], Protocol):
    """Rate limit buckets that all instances share."""

    async def forget_empty(self, now: datetime) -> int:
        """Delete some that are empty by now. Returns how many; 0 when none are left."""


type Directory = Rows[DirectoryEntry]


class Registrations(Rows[PendingRegistration], Protocol):
    """Registrations, and sign-in attempts through their links.

    `get` marks mailboxes as `replaced` when their account has a newer registration, and as `cancelled` when their
    account was removed.
    """

    async def for_account(self, registration: str, account: str) -> Stored[PendingRegistration] | None:
        """As `get`, but marks this account's mailbox only: two reads, however many mailboxes there are."""

    async def newest(self, account: str) -> NewestLink | None:
        """The newest registration of an account, the only valid one; None when it never had one."""

    async def make_newest(self, newest: NewestLink) -> None:
        """Replace all earlier registrations of the account. Of two at the same time, the last writer wins."""

    async def end_links(self, account: str) -> None:
        """End all links of a removed account; each then says `account_removed`."""

    async def attempt(self, registration: str, attempt: str) -> Stored[SignInAttempt] | None: ...

    async def add_attempt(self, attempt: SignInAttempt) -> None:
        """Add an attempt, and delete the oldest when the registration has too many."""

    async def use_attempt(self, stored: Stored[SignInAttempt], now: datetime) -> Stored[SignInAttempt] | None:
        """Mark an attempt as used. Returns None when it was used before or no longer exists."""

    async def end_attempt(self, used: Stored[SignInAttempt], ended: str, principal: str | None) -> None:
        """Record how a used attempt ended. Raises StaleWrite if it was deleted meanwhile."""

    async def forget(self, registration: str) -> bool:
        """Delete a registration with all its attempts.

        Returns False when it has very many attempts and only some of them were deleted: then call again.
        """


class ApiTokens(Rows[ApiToken], Protocol):
    """API tokens by their ids."""

    async def all(self) -> Sequence[ApiToken]: ...


class RegisteredApps(Rows[RegisteredApp], Protocol):
    """Stored OAuth apps. The one of the settings is among them only after it was changed."""

    async def all(self) -> Sequence[RegisteredApp]:
        """Every app, the oldest first."""


class Agenda(Protocol):
    """What is due when, in shards."""

    @property
    def shards(self) -> Sequence[str]:
        """The shards that hold work for grants."""

    async def add(self, work: Work) -> None:
        """Add a row; adding it again changes nothing."""

    async def put_off(self, work: Work) -> None:
        """Record how often the work has failed, and when to try again."""

    async def remove(self, works: Sequence[Work]) -> None:
        """Remove rows of one shard. Missing rows are no error."""

    async def holds(self, work: Work) -> bool: ...

    async def due(self, shard: str, until: datetime, after: Work | datetime | None, limit: int = 100) -> Sequence[Work]:
        """At most `limit` rows that are due by `until`, oldest first, after a row or a due time."""


class ShardQueue(Protocol):
    """Queue of shards, which any instance may work."""

    async def send(self, shard: str, due_by: datetime) -> None: ...

    async def poisoned(self) -> int:
        """How many messages failed permanently. They stay for a week, unless an operator deletes them."""
