"""The data keys that this process has opened, each by one unwrap, and a new one when the newest has served its time."""

import asyncio
import base64
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.data_key import NOTICED_WITHIN, DataKey, next_id, sealing_order
from shared.domain.errors import KeyUnavailable, SealBroken, StaleWrite
from shared.domain.memory import Memory
from shared.ports import Clock, DataKeys, Entropy, KeyWrapping, Stored

log = logging.getLogger(__name__)

KEY = 32  # bytes
# A vault that does not answer is not asked by every caller who waits for it, nor storage for a key that is not there.
ASKED_AGAIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Sealing:
    """The data key that seals, and when that was looked up."""

    id: str
    at: datetime


@dataclass(slots=True)
class OpenDataKeys:
    """Lists data keys when it must: to seal, at most NOTICED_WITHIN ago; to open, when it meets one that is new to it.

    `every` is for how long a data key seals before the next one is made.
    """

    keys: DataKeys
    wrapping: KeyWrapping
    clock: Clock
    entropy: Entropy
    every: timedelta
    _open: dict[str, bytes] = field(default_factory=dict)
    _known: dict[str, DataKey] = field(default_factory=dict)
    _gone: Memory[bool] = field(default_factory=lambda: Memory(1000))
    _failed: Memory[type[KeyUnavailable]] = field(default_factory=lambda: Memory(1000))
    _sealing: Sealing | None = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def sealing(self) -> tuple[str, bytes]:
        """The data key to seal with. Raises KeyUnavailable, SealBroken and StorageUnavailable."""
        found = self._recent()
        if found is None:
            async with self._looking:
                found = self._recent() or await self._look()
        return found.id, self._open[found.id]

    async def opened(self, key_id: str) -> bytes:
        """The data key of that id. Raises SealBroken when there is none, and as `sealing` does."""
        known = self._open.get(key_id)
        if known is not None:
            return known
        async with self._looking:
            if key_id not in self._known:
                await self._find(key_id)
            return await self._unwrapped(self._known[key_id])

    async def _find(self, key_id: str) -> None:
        now = self.clock()
        if not self._gone.recall(key_id, now):
            await self._list()
            if key_id in self._known:
                return
            self._gone.keep(key_id, value=True, since=now, until=now + ASKED_AGAIN)
        raise SealBroken("the data key of a sealed value is gone")

    async def listed(self) -> Sequence[DataKey]:
        """Every data key, the oldest first."""
        return [stored.value for stored in await self._list()]

    async def make(self) -> DataKey:
        """A new data key, which seals from now on."""
        async with self._looking:
            stored = await self._list()
            await self._add(next_id(stored[-1].value if stored else None, self.clock()))
            await self._look()
            return list(self._known.values())[-1]

    async def rewrap(self) -> tuple[int, int]:
        """Wrap with the present key-encryption key what an earlier one wrapped. Open data keys stay as they are."""
        newest, done, stuck = await self.wrapping.newest(), 0, 0
        for stored in await self._list():
            if stored.value.wrapped_by == newest:
                continue
            try:
                key = await self.opened(stored.value.id)
            except (KeyUnavailable, SealBroken):
                log.warning("data key does not open", extra={"data_key": stored.value.id})
                stuck += 1
                continue
            wrapped_by, wrapped = await self.wrapping.wrap(key)
            anew = replace(stored.value, wrapped=base64.b64encode(wrapped).decode(), wrapped_by=wrapped_by)
            with suppress(StaleWrite):  # somebody else does the same
                await self.keys.replace(stored, anew)
                done += 1
        return done, stuck

    async def forget(self, data_key: DataKey) -> None:
        """Delete a data key; what is sealed under it does not open any more."""
        for stored in await self._list():
            if stored.value.id == data_key.id:
                await self.keys.remove(stored)
        self._open.pop(data_key.id, None)
        self._known.pop(data_key.id, None)

    def _recent(self) -> Sealing | None:
        found = self._sealing
        fresh = found is not None and timedelta() <= self.clock() - found.at < NOTICED_WITHIN
        return found if fresh else None

    async def _list(self) -> Sequence[Stored[DataKey]]:
        found = await self.keys.all()
        self._known = {stored.value.id: stored.value for stored in found}
        return found

    async def _look(self) -> Sealing:
        """Find the data key to seal with, made here when it is time for one."""
        now = self.clock()
        keys = [stored.value for stored in await self._list()]
        if not keys or now - keys[-1].created >= self.every:
            await self._succeed(keys)
            keys = list(self._known.values())
        failure: KeyUnavailable | SealBroken | None = None
        for key in sealing_order(keys, now):
            try:
                await self._unwrapped(key)
            except (KeyUnavailable, SealBroken) as error:
                failure = failure or error
                log.warning("data key does not open", extra={"data_key": key.id, "wrapped_by": key.wrapped_by})
            else:
                self._sealing = Sealing(key.id, now)
                return self._sealing
        raise failure or SealBroken("there is no data key")

    async def _succeed(self, keys: Sequence[DataKey]) -> None:
        """The next data key by schedule; without a key to wrap it, the newest one goes on."""
        newest = keys[-1] if keys else None
        due = newest.created + self.every if newest else self.clock()
        try:
            await self._add(next_id(newest, due))
        except KeyUnavailable:
            if newest is None:
                raise
            log.warning("data key not made", extra={"data_key": newest.id})
        await self._list()

    async def _add(self, key_id: str) -> None:
        key = self.entropy(KEY)
        wrapped_by, wrapped = await self.wrapping.wrap(key)
        data_key = DataKey(key_id, base64.b64encode(wrapped).decode(), wrapped_by, self.clock())
        with suppress(StaleWrite):  # another process was faster, and its key is as good
            await self.keys.add(data_key)
            self._open[key_id] = key
            log.info("data key made", extra={"data_key": key_id, "wrapped_by": wrapped_by})

    async def _unwrapped(self, data_key: DataKey) -> bytes:
        if data_key.id not in self._open:
            if failed := self._failed.recall(data_key.id, self.clock()):
                raise failed
            try:
                key = await self.wrapping.unwrap(data_key.wrapped_by, base64.b64decode(data_key.wrapped))
            except KeyUnavailable as error:
                now = self.clock()
                self._failed.keep(data_key.id, type(error), now, now + ASKED_AGAIN)
                raise
            self._open[data_key.id] = key
        return self._open[data_key.id]
