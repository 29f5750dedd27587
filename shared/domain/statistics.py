"""Counters of accounts and grants, and the state of the timer and of the daily sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.account import Account
from shared.domain.grant import DelegatedGrant
from shared.domain.work import WorkKind

type CountedRecord = Account | DelegatedGrant


@dataclass(frozen=True, slots=True)
class Counters:
    """How many accounts are in each state, and how many grants are hot, idle and stopped.

    They are maintained by adding and subtracting, so that nobody has to read every row. The daily sweep counts again;
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


def counter_name(record: CountedRecord) -> str:
    """The counter that a record is counted in."""
    if isinstance(record, Account):
        return f"accounts.{record.state}"
    if record.due is None:
        return "grants.stopped"
    return "grants.hot" if record.work is WorkKind.REFRESH else "grants.idle"


@dataclass(frozen=True, slots=True)
class Sweep:
    """The progress of a sweep. `cursor` is where it continues; None means that it has ended.

    `failed` names the steps that failed or were incomplete.
    """

    began: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    mended: int = 0
    cursor: str | None = None
    failed: tuple[str, ...] = ()
    name: str = "sweep"
