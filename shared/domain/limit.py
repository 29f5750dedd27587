"""How many requests somebody may send: leaky buckets, each kept as the moment at which it will be empty."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.secret import Secret

MINUTE = timedelta(minutes=1)


class LimitKind(StrEnum):
    """What is limited, and by whom it is counted."""

    FORM_BY_CALLER = "formByCaller"
    FORM_BY_ADDRESS = "formByAddress"
    ACCOUNT_BY_GRANT = "accountByGrant"
    PAGE = "page"
    CALLBACK = "callback"
    BAD_TOKEN = "badToken"  # noqa: S105 - the name of a limit


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a minute, and as many at once after a pause.

    The algorithm is the virtual scheduling of ITU-T I.371: a request puts one drop into a bucket that empties evenly,
    and a bucket is known by the moment at which it is empty. A full one takes no more, so whoever goes on too fast
    waits for one drop to leave, and no longer.
    """

    per_minute: int

    @property
    def interval(self) -> timedelta:
        """How long one request takes to be forgotten, rounded so that all that are allowed fit into a minute."""
        return timedelta(microseconds=MINUTE // timedelta(microseconds=1) // self.per_minute)

    def wait_time(self, empty_at: datetime, now: datetime, drops: int = 1) -> timedelta:
        """How long until so many more fit; zero when they do. More than a minute's worth fits into an empty bucket."""
        needed = min(drops, self.per_minute) * self.interval
        return max(min(empty_at, now + MINUTE) + needed - now - MINUTE, timedelta())

    def after_requests(self, empty_at: datetime, drops: int, now: datetime) -> datetime:
        """When the bucket is empty after some more drops."""
        return min(max(empty_at, now) + drops * self.interval, now + MINUTE)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that all instances share. `id` tells nobody whose it is."""

    id: str
    empty_at: datetime


@dataclass(frozen=True, slots=True)
class LimitSalt:
    """What addresses are hashed with for one day; worth nothing after `empty_at`."""

    day: str
    value: Secret
    empty_at: datetime
