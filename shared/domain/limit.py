"""Rate limits: leaky buckets, each stored as the time at which it will be empty."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from shared.domain.secret import Secret

MINUTE = timedelta(minutes=1)


class LimitKind(StrEnum):
    """What is limited, and per what it is counted."""

    FORM_BY_CALLER = "formByCaller"
    FORM_BY_ADDRESS = "formByAddress"
    ACCOUNT_BY_GRANT = "accountByGrant"
    PAGE = "page"
    CALLBACK = "callback"
    BAD_TOKEN = "badToken"  # noqa: S105 - the name of a limit


class Rate(NamedTuple):
    """A number of requests per minute, which may also come all at once after a pause.

    The algorithm is the virtual scheduling of ITU-T I.371: each request adds one drop to a bucket that empties evenly,
    and the bucket is represented by the time at which it is empty. A full bucket rejects requests, so a client that
    sends too fast waits until one drop has left, and no longer.
    """

    per_minute: int

    @property
    def interval(self) -> timedelta:
        """The time in which one drop leaves, rounded down so that all allowed requests fit into a minute."""
        return timedelta(microseconds=MINUTE // timedelta(microseconds=1) // self.per_minute)

    def wait_time(self, empty_at: datetime, now: datetime, drops: int = 1) -> timedelta:
        """How long until so many drops fit; zero if they fit now. An empty bucket takes any number of drops."""
        needed = min(drops, self.per_minute) * self.interval
        return max(min(empty_at, now + MINUTE) + needed - now - MINUTE, timedelta())

    def after_requests(self, empty_at: datetime, drops: int, now: datetime) -> datetime:
        """When the bucket is empty after these drops."""
        return min(max(empty_at, now) + drops * self.interval, now + MINUTE)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that all instances share. `id` does not reveal whose it is."""

    id: str
    empty_at: datetime


@dataclass(frozen=True, slots=True)
class LimitSalt:
    """The salt with which client addresses are hashed for one day. It is useless after `empty_at`."""

    day: str
    value: Secret
    empty_at: datetime
