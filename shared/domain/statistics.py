"""What is counted, so that nobody has to count by looking at everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.account import Account
from shared.domain.grant import DelegatedGrant
from shared.domain.work import WorkKind

type CountedRecord = Account | DelegatedGrant


@dataclass(frozen=True, slots=True)
class Counters:
    """How many accounts there are in each state, and how many grants are hot, idle and stopped.

    Kept by adding and subtracting; the daily sweep counts anew, and `swept` says when it last did.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    swept: datetime | None = None
    name: str = "counters"

    def changed_by(self, changes: Mapping[str, int]) -> "Counters":
        """With the changes added; a counter that a crash left wrong never shows less than nothing."""
        names = {*self.counts, *changes}
        sums = {name: max(self.counts.get(name, 0) + changes.get(name, 0), 0) for name in sorted(names)}
        return Counters(sums, self.swept)


@dataclass(frozen=True, slots=True)
class Tick:
    """What the last run of the timer did. `outcomes` counts rows by what became of them."""

    began: datetime
    ended: datetime
    outcomes: Mapping[str, int]
    handed_over: tuple[str, ...] = ()
    name: str = "tick"

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began).total_seconds()


def counter_name(record: CountedRecord) -> str:
    """The counter that a record is counted under."""
    if isinstance(record, Account):
        return f"accounts.{record.state}"
    if record.due is None:
        return "grants.stopped"
    return "grants.hot" if record.work is WorkKind.REFRESH else "grants.idle"


@dataclass(frozen=True, slots=True)
class Sweep:
    """How far a sweep has come. `cursor` is where it goes on; without one it has ended.

    `failed` names the steps of it that failed, or left something out.
    """

    began: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    mended: int = 0
    cursor: str | None = None
    failed: tuple[str, ...] = ()
    name: str = "sweep"
