"""The data keys that this process has opened, each by one unwrap, and a new one when the newest has served its time."""

import asyncio
import base64
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from shared.domain.errors import KeyUnavailable, SealBroken, StaleWrite
from shared.domain.secret import KEY_CHECK_INTERVAL, DataKey, next_data_key_id, sealing_order
from shared.domain.ttl_cache import SharedCalls, TTLCache
from shared.ports import Clock, DataKeys, Entropy, Jitter, KeyWrapping, Stored

log = logging.getLogger(__name__)

KEY = 32  # bytes
# A vault that does not answer is not asked by every caller who waits for it, nor storage for a key that is not there.
ASKED_AGAIN = timedelta(seconds=5)
# For so long callers are told of a failure at once, while the vault is asked again in the background.
FAILURE_TOLD = timedelta(minutes=1)
# A data key that is due can wait for its vault: until it is made, the newest one seals.
SUCCESSOR_RETRY = timedelta(minutes=5)
# How long sealing waits for a data key that another process made, while one that may still seal is open.
NEWER_KEY_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sealing:
    """The data key that seals, and when the data keys were listed to choose it."""

    id: str
    key: bytes = field(repr=False)
    listed: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """An unwrap that the vault did not answer, or refused."""

    error: type[KeyUnavailable]
    at: datetime


@dataclass(slots=True)
class OpenDataKeys:
    """The unwrapped data keys of this process.

    It lists the stored keys again only to seal, once its list is older than KEY_CHECK_INTERVAL, and to open what an
    unknown key sealed. `every` is how long a data key seals before the next one is made. Nobody waits for the vault
    unless they must: the next key is made in the background, and callers that need the same key share one unwrap.
    """

    keys: DataKeys
    wrapping: KeyWrapping
    clock: Clock
    entropy: Entropy
    jitter: Jitter
    every: timedelta
    _open: dict[str, bytes] = field(default_factory=dict)
    _known: dict[str, DataKey] = field(default_factory=dict)
    _gone: TTLCache[bool] = field(default_factory=lambda: TTLCache(1000))
    _failed: TTLCache[Failed] = field(default_factory=lambda: TTLCache(1000))
    _sealing: Sealing | None = None
    _no_successor_before: datetime | None = None
    _calls: SharedCalls = field(default_factory=SharedCalls)

    async def sealing(self) -> tuple[str, bytes]:
        """The data key to seal with. Raises KeyUnavailable, SealBroken and StorageUnavailable."""
        found = self._recent()
        if found is None:
            found = await self._calls("look", self._look)
        return found.id, found.key

    async def opened(self, key_id: str) -> bytes:
        """The data key of that id. Raises SealBroken when there is none, and as `sealing` does."""
        known = self._open.get(key_id)
        if known is not None:
            return known
        if key_id not in self._known:
            await self._find(key_id)
        return await self._unwrapped(self._known[key_id])

    async def listed(self) -> Sequence[DataKey]:
        """Every data key, the oldest first."""
        return [stored.value for stored in await self._list()]

    async def make(self) -> DataKey:
        """A new data key, which seals from now on."""
        stored = await self._list()
        await self._add(next_data_key_id(stored[-1].value if stored else None, self.clock()))
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

    async def settled(self) -> None:
        """Wait for what goes on in the background."""
        await self._calls.wait_until_idle()

    async def close(self) -> None:
        """End what goes on in the background."""
        await self._calls.close()

    def _recent(self) -> Sealing | None:
        found = self._sealing
        fresh = found is not None and timedelta() <= self.clock() - found.listed < KEY_CHECK_INTERVAL
        return found if fresh else None

    async def _find(self, key_id: str) -> None:
        now = self.clock()
        if not self._gone.get(key_id, now):
            if "list" in self._calls:  # it may have begun before the key was made
                await self._calls("list", self._list)
            if key_id not in self._known:
                await self._calls("list", self._list)
            if key_id in self._known:
                return
            self._gone.put(key_id, value=True, since=now, until=now + ASKED_AGAIN)
        raise SealBroken("the data key of a sealed value is gone")

    async def _list(self) -> Sequence[Stored[DataKey]]:
        found = await self.keys.all()
        self._known = {stored.value.id: stored.value for stored in found}
        return found

    async def _look(self) -> Sealing:
        """Find the data key to seal with. When it is time for the next one, that is made in the background."""
        now = self.clock()
        keys = [stored.value for stored in await self._list()]
        if not keys:
            await self._add(next_data_key_id(None, now))
            keys = [stored.value for stored in await self._list()]
        elif now - keys[-1].created >= self.every:
            self._start_successor(keys[-1])
        chosen = await self._chosen(keys)
        self._sealing = Sealing(chosen.id, self._open[chosen.id], now)
        return self._sealing

    async def _chosen(self, keys: Sequence[DataKey]) -> DataKey:
        """The best data key that is open. Without one, the best that opens, and only then the vault is waited for."""
        newest, *_ = order = sealing_order(keys, self.clock())
        if not any(key.id in self._open for key in order):
            return await self._first_to_open(order)
        if newest.id not in self._open:
            with suppress(KeyUnavailable, SealBroken, TimeoutError):
                async with asyncio.timeout(NEWER_KEY_WAIT_SECONDS):
                    await self._unwrapped(newest)
        if newest.id not in self._open:
            log.warning("data key does not open", extra={"data_key": newest.id, "wrapped_by": newest.wrapped_by})
        return next(key for key in order if key.id in self._open)

    async def _first_to_open(self, order: Sequence[DataKey]) -> DataKey:
        failure: KeyUnavailable | SealBroken | None = None
        for key in order:
            try:
                await self._unwrapped(key)
            except (KeyUnavailable, SealBroken) as error:
                failure = failure or error
                log.warning("data key does not open", extra={"data_key": key.id, "wrapped_by": key.wrapped_by})
            else:
                return key
        raise failure or SealBroken("there is no data key")

    def _start_successor(self, newest: DataKey) -> None:
        if self._no_successor_before is None or self.clock() >= self._no_successor_before:
            self._calls.start("successor", partial(self._make_successor, newest))

    async def _make_successor(self, newest: DataKey) -> None:
        """The next data key by schedule; until it is there, the newest one goes on."""
        try:
            await self._add(next_data_key_id(newest, newest.created + self.every))
            await self._look()
        except Exception as error:  # noqa: BLE001 - nobody waits for this task, so it tells and tries again later
            self._no_successor_before = self.clock() + SUCCESSOR_RETRY * (1 + self.jitter() / 2)
            log.warning("data key not made", extra={"data_key": newest.id, "error": type(error).__name__})

    async def _add(self, key_id: str) -> None:
        key = self.entropy(KEY)
        wrapped_by, wrapped = await self.wrapping.wrap(key)
        data_key = DataKey(key_id, base64.b64encode(wrapped).decode(), wrapped_by, self.clock())
        with suppress(StaleWrite):  # another process was faster, and its key is as good
            await self.keys.add(data_key)
            self._open[key_id] = key
            log.info("data key made", extra={"data_key": key_id, "wrapped_by": wrapped_by})

    async def _unwrapped(self, data_key: DataKey) -> bytes:
        known = self._open.get(data_key.id)
        if known is not None:
            return known
        failed, now = self._failed.get(data_key.id, self.clock()), self.clock()
        if failed is not None and now - failed.at < ASKED_AGAIN:
            raise failed.error
        unwrap = self._calls.start(f"unwrap {data_key.id}", partial(self._unwrap, data_key))
        if failed is not None:
            raise failed.error
        return await asyncio.shield(unwrap)

    async def _unwrap(self, data_key: DataKey) -> bytes:
        try:
            key = await self.wrapping.unwrap(data_key.wrapped_by, base64.b64decode(data_key.wrapped))
        except KeyUnavailable as error:
            now = self.clock()
            self._failed.put(data_key.id, Failed(type(error), now), now, now + FAILURE_TOLD)
            raise
        self._open[data_key.id] = key
        if self._sealing is not None and data_key.id > self._sealing.id:  # ids sort by age
            self._sealing = None
        return key
