"""A model of hot accounts: what each may be at a moment, and what its callers may be told.

A change at Microsoft shows at the next refresh or probe, by the times of docs/keeping-alive.md. Until then an account
is either as it was last seen or as it should be, and it never goes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from shared.domain.account import MAILBOX_ERROR_CODES, AccountState

# A hot token is renewed 10 to 15 minutes before its end.
TOKEN_LIFETIME = timedelta(minutes=90)
RENEWED_FROM, RENEWED_BY = TOKEN_LIFETIME - timedelta(minutes=15), TOKEN_LIFETIME - timedelta(minutes=10)
LONGEST_BACKOFF = timedelta(minutes=30)
# A blocked person is asked for again after this time, if a caller wants a token.
BLOCKED_PAUSE = timedelta(minutes=15)
# A locked person is asked for again after an hour, and up to a tenth more.
LOCKED_FROM, LOCKED_BY = timedelta(minutes=60), timedelta(minutes=66)
TICK = timedelta(minutes=1)


class Outage(NamedTuple):
    """A time in which the token endpoint renews nobody's tokens, which is no account's fault.

    `code` is what a caller without a usable token is told, and `mode` says how it happens.
    """

    begin: datetime
    end: datetime
    mode: str
    code: str


class Seen(NamedTuple):
    """What a caller sees of an account."""

    state: AccountState
    code: str | None
    name: str


@dataclass
class Watched:
    """One account, and the person who authorizes it.

    `truth` is what it should be since the last change at Microsoft, and what it must be at `known_by`. `refreshed` and
    `refused` are the times of Entra's last answers about the person, as the tenant noted them.
    """

    id: str
    person: str
    truth: Seen
    seen: Seen
    refreshed: datetime
    refused: datetime | None = None
    known_by: datetime | None = None
    events: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether nothing is, or will be seen to be, wrong with it."""
        return self.truth == self.seen and self.truth.code is None

    def next_refresh(self, now: datetime, outages: Sequence[Outage]) -> datetime:
        """By when a hot account's tokens are renewed next, or refused."""
        return _asked_by(now, self.refreshed + RENEWED_FROM, self.refreshed + RENEWED_BY, outages)

    def next_retry(self, now: datetime, outages: Sequence[Outage]) -> datetime:
        """By when Entra is asked again about a person who was locked."""
        refused = self.refused or now
        return _asked_by(now, refused + LOCKED_FROM, refused + LOCKED_BY, outages)

    def should_be(self, known_by: datetime | None, **changes: Any) -> None:
        """Something changed at Microsoft; None if only a caller's request can show it."""
        self.truth, self.known_by = self.truth._replace(**changes), known_by

    def look(self, seen: Seen, now: datetime) -> str | None:
        """Note what it is now, with the event of a change. Returns what is wrong about it."""
        is_known = self.known_by is not None and now >= self.known_by
        if seen != self.truth and (is_known or seen != self.seen):
            return f"{self.id} is {seen}, was {self.seen}, should be {self.truth} by {self.known_by}"
        if seen[:2] != self.seen[:2]:
            recovered = "connectSuccess" if self.seen.code in MAILBOX_ERROR_CODES else "authenticationSuccess"
            self.events.append((recovered if seen.code is None else str(seen.state), seen.code))
        self.seen = seen
        return None

    def may_be_refused(self, code: str | None, now: datetime) -> bool:
        """Whether a caller may be told to have somebody act."""
        pauses = self.refused is not None and now < self.refused + BLOCKED_PAUSE
        return code == self.truth.code or (code == self.seen.code and pauses)

    def is_asked_for(self, now: datetime) -> None:
        """A caller asks while Entra answers: a person who is no longer blocked is found out."""
        pauses = self.refused is not None and now < self.refused + BLOCKED_PAUSE
        is_blocked = self.seen.state is AccountState.CONNECT_ERROR and self.seen.code not in MAILBOX_ERROR_CODES
        if is_blocked and self.truth.code is None and not pauses:
            self.known_by = now


def _asked_by(now: datetime, earliest: datetime, latest: datetime, outages: Sequence[Outage]) -> datetime:
    """The last moment of a call that is due in this time, and is repeated after an outage that it meets."""
    ends = [outage.end + LONGEST_BACKOFF for outage in outages if outage.begin <= latest and earliest <= outage.end]
    return max(now, latest, *ends) + TICK
