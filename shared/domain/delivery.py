"""Deliveries: events on their way to one target each."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=30)
PATIENCE = timedelta(days=3)
PARKED_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one target, with the very text that is sent.

    `id` is the event's. Deliveries of one `lane` arrive in the order of their ids. One that failed waits until
    `not_before`; one that failed for three days is `parked`, and its lane goes on without it. One that
    `can_wait` is read behind all others of its target.
    """

    webhook: str
    id: str
    lane: str
    event: str
    body: str
    queued: datetime
    account: str | None = None
    attempts: int = 0
    not_before: datetime | None = None
    error: str | None = None
    parked: datetime | None = None
    can_wait: bool = False
    accounts: tuple[str, ...] = ()

    @property
    def about(self) -> tuple[str | None, ...]:
        """The accounts that it tells of; None stands for all."""
        return self.accounts or (self.account,)

    def failed(self, error: str, now: datetime, jitter: float, retry_after: timedelta | None = None) -> "Delivery":
        """After one more attempt that came to nothing: 5 s, 20 s, 80 s … 30 minutes, spread by a fifth."""
        tried = replace(self, attempts=self.attempts + 1, error=error)
        if now - self.queued >= PATIENCE:
            return replace(tried, parked=now, not_before=None)
        pause = min(FIRST * 4 ** min(self.attempts, 10), LONGEST) * (0.8 + 0.4 * jitter)
        return replace(tried, not_before=now + max(pause, min(retry_after or timedelta(), LONGEST)))

    def again(self, now: datetime) -> "Delivery":
        """To be tried anew, for as long as the first time."""
        return replace(self, attempts=0, queued=now, not_before=None, parked=None)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who delivers at present. One who died is replaced at `until`."""

    holder: str
    until: datetime
    name: str = "delivery"
