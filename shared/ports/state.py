"""State that one process keeps in memory between calls."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from shared.domain.account import Account
from shared.domain.caller import ApiToken, CallingApplication
from shared.domain.failure import Failure
from shared.domain.grant import CountedRecord, DelegatedGrant
from shared.domain.limit import LimitKind
from shared.domain.oauth_app import OAuthApp
from shared.domain.renewal import grant_after_refresh
from shared.domain.tokens import RefreshAnswer, TokenRequest
from shared.domain.ttl_cache import SharedCalls, TTLCache
from shared.ports.microsoft import SignInEntra

# Each entry holds two tokens of at most some 100 KB.
MAX_UNSTORED_ANSWERS = 100
# The delay before the next attempt to store an answer of Entra that could not be stored.
STORE_RETRY_DELAY = timedelta(minutes=1)


class OAuthApps(Protocol):
    """All OAuth apps, enabled or not: the one of the settings first, then those in storage."""

    async def get(self, app_id: str) -> OAuthApp | None: ...

    async def all(self) -> Sequence[OAuthApp]: ...


class OAuthAppCache(OAuthApps, Protocol):
    """OAuth apps, cached for half a minute."""

    def forget(self) -> None:
        """Drop the cache after a change in this process."""


class ApiTokenCache(Protocol):
    """API tokens by id, cached for half a minute. Both lookups raise StorageUnavailable."""

    async def get(self, token_id: str) -> ApiToken | None:
        """The token that a caller presents. Records its use."""

    async def look_up(self, token_id: str) -> ApiToken | None:
        """The token, without recording a use."""

    def forget(self, token_id: str) -> None: ...

    async def flush(self) -> None:
        """Wait for writes in progress."""


class CallingApplicationCache(Protocol):
    """Applications that call with Entra's tokens, by caller id."""

    def record(self, seen: CallingApplication) -> None:
        """Record what a verified token says, in the background."""

    async def get(self, caller_id: str) -> CallingApplication: ...

    async def flush(self) -> None:
        """Wait for writes in progress."""


class RateLimit(Protocol):
    """Request rates, counted in memory and shared among instances within seconds."""

    def count(self, kind: LimitKind, who: str, drops: int = 1) -> None:
        """Count a request of that weight. Raises TooManyRequests with the time after which it would pass."""

    async def forget(self, until: datetime) -> int:
        """Delete stored buckets that are empty, until that time; returns how many."""

    async def flush(self) -> None:
        """Wait for writes in progress."""


class Tally(Protocol):
    """Counters of accounts and grants by state, written in the background."""

    def count_change(self, before: CountedRecord | None, after: CountedRecord | None) -> None:
        """Count a record that was added (no `before`), changed, or removed (no `after`)."""

    async def flush(self) -> None:
        """Wait until everything counted so far is written."""


class MailboxTurns(Protocol):
    """Bounds the calls to each mailbox that are in progress at once, fairly for all callers.

    `mailbox` identifies an OAuth app with a mailbox, because Graph's limits are for both. A turn lasts for the block;
    the wait for it raises TooManyRequests.
    """

    def turn(self, mailbox: Hashable, caller_id: str) -> AbstractAsyncContextManager[None]: ...


class GuardedEntra(SignInEntra, Protocol):
    """Entra behind one circuit breaker for each OAuth app."""

    async def record_verification(self, app: OAuthApp, failure: Failure | None) -> None:
        """Learn from a verification of the app's credentials."""

    async def close_breaker(self, app: OAuthApp) -> None:
        """Close the circuit breaker of an app that was changed."""


class UnstoredAnswer(NamedTuple):
    """An answer of Entra that could not be stored: when it arrived, and when storing it was last `tried`."""

    answer: RefreshAnswer
    at: datetime
    tried: datetime

    def waits(self, now: datetime) -> bool:
        """Whether it is too early for the next attempt to store it."""
        return timedelta() <= now - self.tried < STORE_RETRY_DELAY

    def applied(self, grant: DelegatedGrant, wish: TokenRequest, jitter: float, *, hand_out: bool) -> DelegatedGrant:
        """The grant after this answer, and after a hand-out if a caller is waiting for the token."""
        after = grant_after_refresh(grant, wish, self.answer, self.at, jitter)
        return after.with_hand_out(self.at, jitter, wish.resource) if hand_out and self.answer.is_complete else after


class CachedAccount(NamedTuple):
    """An account as it was read. It is valid until its grant's `bindings` change."""

    account: Account
    bindings: str


class Health(NamedTuple):
    """`storage` is the code of its error, or None. `success` also means that Microsoft accepts every OAuth app."""

    success: bool
    storage: str | None
    seen: datetime


@dataclass(frozen=True, slots=True)
class Caches:
    """Caches of single use cases. They start empty, and losing them costs time only.

    `resting_targets` is the end of the pause of each webhook that is down. `fanned_out` holds, by shard of the outbox,
    the pairs of webhook and event of the current page whose deliveries are written.
    """

    accounts: OrderedDict[str, CachedAccount] = field(default_factory=OrderedDict)
    refreshes: SharedCalls = field(default_factory=SharedCalls)
    unstored_answers: TTLCache[UnstoredAnswer] = field(default_factory=lambda: TTLCache(MAX_UNSTORED_ANSWERS))
    health: TTLCache[Health] = field(default_factory=lambda: TTLCache(1))
    health_checks: SharedCalls = field(default_factory=SharedCalls)
    resting_targets: dict[str, datetime] = field(default_factory=dict)
    fanned_out: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
