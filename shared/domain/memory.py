"""A TTL cache with a bounded number of entries."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.keys import fingerprint


@dataclass(slots=True)
class Memory[T]:
    """Values by name. Expired ones are dropped; when there are too many, the oldest one goes.

    A name is kept as its SHA-256, so that an entry has the same size whatever text it was asked for by: `most` bounds
    the cache in bytes as well, as long as values are of bounded size.
    """

    most: int
    _kept: OrderedDict[str, tuple[datetime, datetime, T]] = field(default_factory=OrderedDict)

    def keep(self, name: str, value: T, since: datetime, until: datetime) -> None:
        """Remember a value that is good in [since, until), in place of an older one."""
        self._drop_expired(since)
        kept = fingerprint(name)
        self._kept.pop(kept, None)
        self._kept[kept] = (since, until, value)
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def recall(self, name: str, now: datetime) -> T | None:
        """The value, or None. A clock that was set back makes forgetful, not trusting."""
        since, until, value = self._kept.get(fingerprint(name), (now, now, None))
        return value if since <= now < until else None

    def forget(self, name: str) -> None:
        """Remember it no more."""
        self._kept.pop(fingerprint(name), None)

    def __len__(self) -> int:
        """How many entries there are, expired ones that were not dropped yet included."""
        return len(self._kept)

    def _drop_expired(self, now: datetime) -> None:
        """From the oldest entry on, so that each is looked at once; they mostly expire in the order they came in."""
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][1] > now:
                return
            del self._kept[oldest]
