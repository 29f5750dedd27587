"""Work on the agenda, and shards that are handed over to other instances."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

FIRST_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(minutes=1), timedelta(minutes=30)


class WorkKind(StrEnum):
    """What there can be to do."""

    REFRESH = "refresh"
    KEEPALIVE = "keepalive"
    PROBE = "probe"
    REAP = "reap"
    EVENT = "event"
    LATE_EVENT = "lateEvent"
    EXPIRE = "expire"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the agenda. `owner` is a principal's or registration's id, `item` what of theirs is meant.

    The item is an OAuth app for `refresh` and `keepalive`, a registration for `probe`, the account of a request that no
    registration stands for, or empty, for `reap`, and empty for `expire`. For `event`
    and `lateEvent`, owner is the event's place and item its id; for `deliver`, owner is a webhook.

    Work that failed is tried again after `not_before`. It is the same work as before, whatever these two say.
    """

    kind: WorkKind
    due: datetime
    owner: str
    item: str = ""
    failures: int = field(default=0, compare=False)
    not_before: datetime | None = field(default=None, compare=False)

    def is_waiting(self, now: datetime) -> bool:
        """Whether it is not to be tried again yet. A time from further ahead was written by a clock that was wrong."""
        return self.not_before is not None and now < self.not_before <= now + MAX_RETRY_DELAY

    def after_failure(self, now: datetime) -> "Work":
        """After one more failure: a minute, two, four … half an hour."""
        pause = min(FIRST_RETRY_DELAY * (1 << min(self.failures, 10)), MAX_RETRY_DELAY)
        return replace(self, failures=self.failures + 1, not_before=now + pause)


# A worker that stays away this long has died; its shard is the timer's again.
HANDOVER_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Handover:
    """Rows of a shard that were due by `due_by` are somebody else's until `expires`."""

    shard: str
    due_by: datetime
    expires: datetime
