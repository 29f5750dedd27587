"""The agenda's work, the handover of a shard, and what the timers record: counters, the last tick and the sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

# Shards of the agenda that hold no work for grants. Registrations have one of their own because they have a timer of
# their own; so have the outbox and the deliveries, because slow targets hold up no refreshes.
REAP_SHARD = "reap"
OUTBOX_SHARD = "outbox"
LATE_OUTBOX_SHARD = "late"
OUTBOX_SHARDS = (OUTBOX_SHARD, LATE_OUTBOX_SHARD)
DELIVERY_SHARD = "delivery"

FIRST_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(minutes=1), timedelta(minutes=30)


class WorkKind(StrEnum):
    """The kinds of work."""

    REFRESH = "refresh"
    KEEPALIVE = "keepalive"
    PROBE = "probe"
    REAP = "reap"
    EVENT = "event"
    LATE_EVENT = "lateEvent"
    EXPIRE = "expire"
    DELIVER = "deliver"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the agenda. `owner` and `item` say what the work is about.

    - `refresh`, `keepalive`: a principal, and an OAuth app.
    - `probe`: a principal, and a registration.
    - `reap`: a registration, without an item; or an API request without a registration, and its account.
    - `expire`: a registration; no item.
    - `event`, `lateEvent`: the event's source, and its id.
    - `deliver`: a webhook.
    - `send`: a submission.

    Work that failed is retried after `not_before`. `failures` and `not_before` do not count when rows are compared.
    """

    kind: WorkKind
    due: datetime
    owner: str
    item: str = ""
    failures: int = field(default=0, compare=False)
    not_before: datetime | None = field(default=None, compare=False)

    def is_waiting(self, now: datetime) -> bool:
        """Whether it must not be retried yet. A later time than any retry was written by a clock that was ahead."""
        return self.not_before is not None and now < self.not_before <= now + MAX_RETRY_DELAY

    def after_failure(self, now: datetime) -> "Work":
        """Retry later: after a minute, two, four … half an hour."""
        delay = min(FIRST_RETRY_DELAY * (1 << min(self.failures, 10)), MAX_RETRY_DELAY)
        return replace(self, failures=self.failures + 1, not_before=now + delay)


# If a worker needs longer, it has died, and the timer takes the shard back.
HANDOVER_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Handover:
    """The rows of a shard that were due by `due_by` are another instance's work until `expires`."""

    shard: str
    due_by: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class Counters:
    """How many accounts are in each state, and how many grants are hot, idle and stopped.

    They are maintained by adding and subtracting, so that not every row must be read. The daily sweep counts again;
    `swept` says when it last did.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    swept: datetime | None = None
    name: str = "counters"

    def changed_by(self, changes: Mapping[str, int]) -> "Counters":
        """Add the changes. A counter that a crash left wrong is never shown below zero."""
        names = {*self.counts, *changes}
        sums = {name: max(self.counts.get(name, 0) + changes.get(name, 0), 0) for name in sorted(names)}
        return Counters(sums, self.swept)


@dataclass(frozen=True, slots=True)
class Tick:
    """What the last run of the timer did. `outcomes` counts agenda rows by their outcome."""

    began: datetime
    ended: datetime
    outcomes: Mapping[str, int]
    handed_over: tuple[str, ...] = ()
    name: str = "tick"

    @property
    def seconds(self) -> float:
        """The duration of the run."""
        return (self.ended - self.began).total_seconds()


@dataclass(frozen=True, slots=True)
class Sweep:
    """The progress of a sweep. `cursor` is where it continues; None means that it has ended.

    `index_cursor` is where the check of the index of mailboxes continues, which may take several sweeps. `failed` names
    the steps that failed or were incomplete.
    """

    began: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    mended: int = 0
    cursor: str | None = None
    failed: tuple[str, ...] = ()
    name: str = "sweep"
    index_cursor: str | None = None
