"""Finish a rotation now: everything that is sealed goes under the newest data key, beside live traffic."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.errors import StaleWrite
from shared.domain.secret import KEY_CHECK_INTERVAL, DataKey, deletable_keys
from shared.ports import Clock, DataKeyRing, SealedRow, SealedRows
from shared.usecases import use_case

log = logging.getLogger(__name__)

AT_ONCE = 32
ROUNDS = 5

type Pause = Callable[[timedelta], Awaitable[None]]
"""Waits that long."""

type Report = Callable[[str], None]
"""Tells the operator a line of progress."""


@dataclass(slots=True)
class Walked:
    """What a walk through all tables found: values by data key, and what became of those under older ones.

    `resealed` and `changed` count rows; the latter were written by somebody else meanwhile. `broken` counts values that
    do not decrypt.
    """

    values: Counter[str | None] = field(default_factory=Counter)
    resealed: int = 0
    changed: int = 0
    broken: int = 0


@use_case
class RotateKeys:
    """Each step may be repeated, so what was interrupted is finished by running it again."""

    ring: DataKeyRing
    rows: SealedRows
    clock: Clock
    pause: Pause
    report: Report
    _named: set[str] = field(default_factory=set)

    async def make(self) -> None:
        """A new data key."""
        made = await self.ring.make()
        self.report(f"made data key {made.id}")

    async def rewrap(self) -> bool:
        """Every data key under the present key-encryption key; False when one does not open."""
        done, stuck = await self.ring.rewrap()
        self.report(f"re-wrapped {done} data keys; {stuck} do not open")
        return not stuck

    async def reseal(self) -> bool:
        """Everything under the newest data key; False when something does not open or keeps changing."""
        await self._noticed()
        for _ in range(ROUNDS):
            walked = await self._walk(reseal=True)
            if walked.resealed + walked.changed == 0:
                break
        return walked.changed + walked.broken == 0

    async def forget(self) -> Mapping[str, int]:
        """Delete the data keys that nobody seals under any more and nothing is sealed under.

        Returns how many values hold each of the older data keys back; 0 means that only its age does.
        """
        keys = await self.ring.listed()
        old = deletable_keys(keys, self.clock())
        walked = await self._walk(reseal=False)
        kept: dict[str, int] = {}
        for key in keys[:-1]:
            if key in old and not walked.values[key.id]:
                await self.ring.forget(key)
                self.report(f"forgot data key {key.id}")
                log.warning("data key forgotten", extra={"data_key": key.id})
            else:
                kept[key.id] = walked.values[key.id]
        return kept

    async def _noticed(self) -> None:
        """Wait until every process seals under the newest data key, or what they write would have to be done again."""
        newest = await self._newest()
        left = newest.created + KEY_CHECK_INTERVAL - self.clock()
        if left > timedelta():
            self.report(f"waiting {left.total_seconds():.0f} s for every process to notice data key {newest.id}")
            await self.pause(left)

    async def _newest(self) -> DataKey:
        return (await self.ring.listed())[-1]

    async def _walk(self, *, reseal: bool) -> Walked:
        newest, walked = (await self._newest()).id, Walked()
        for table in self.rows.tables:
            before = Counter(walked.values)
            page: list[SealedRow] = []
            async for row in self.rows.walk(table):
                walked.values.update(row.data_keys.values())
                if reseal and set(row.data_keys.values()) != {newest}:
                    page.append(row)
                if len(page) == AT_ONCE:
                    await asyncio.gather(*(self._reseal(table, each, newest, walked) for each in page))
                    page = []
            await asyncio.gather(*(self._reseal(table, each, newest, walked) for each in page))
            found = walked.values - before
            if found:
                self.report(f"{table}: {found.total()} sealed values, {found.total() - found[newest]} under older keys")
        self.report(f"re-sealed {walked.resealed}, changed meanwhile {walked.changed}, do not open {walked.broken}")
        return walked

    async def _reseal(self, table: str, row: SealedRow, newest: str, walked: Walked) -> None:
        names = [name for name, data_key in row.data_keys.items() if data_key != newest]
        try:
            broken = await self.rows.reseal(table, row, names)
        except StaleWrite:  # somebody else wrote it, and sealed it anew as they did
            walked.changed += 1
            return
        walked.resealed += len(broken) < len(names)
        walked.broken += len(broken)
        for place in (f"{row.place}/{name}" for name in broken):
            if place not in self._named:  # once, although a rotation goes through everything several times
                self._named.add(place)
                log.warning("sealed value does not open", extra={"place": place})
