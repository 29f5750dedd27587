"""What a process remembers: a bounded number of things, each for a while."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Memory[T]:
    """Values by name. When there are too many, the one that was kept first goes."""

    most: int
    _kept: OrderedDict[str, tuple[datetime, datetime, T]] = field(default_factory=OrderedDict)

    def keep(self, name: str, value: T, since: datetime, until: datetime) -> None:
        """Remember a value that is good in [since, until), in place of an older one."""
        self._kept.pop(name, None)
        self._kept[name] = (since, until, value)
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def recall(self, name: str, now: datetime) -> T | None:
        """The value, or None. A clock that was set back makes forgetful, not trusting."""
        since, until, value = self._kept.get(name, (now, now, None))
        return value if since <= now < until else None

    def forget(self, name: str) -> None:
        """Remember it no more."""
        self._kept.pop(name, None)
