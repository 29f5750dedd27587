"""The data keys that this process has unwrapped, and their rotation on schedule."""

import asyncio
import base64
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from shared.domain.errors import KeyUnavailable, SealBroken, StaleWrite
from shared.domain.secret import KEY_CHECK_INTERVAL, DataKey, next_data_key_id, sealing_order
from shared.domain.ttl_cache import SharedCalls, TTLCache
from shared.ports import Clock, DataKeys, Entropy, Jitter, KeyWrapping, Stored

log = logging.getLogger(__name__)

KEY_BYTES = 32
# The least time between two unwraps of a key that failed, and between two look-ups of a key that does not exist.
RETRY_INTERVAL = timedelta(seconds=5)
# How long callers get a failed unwrap's error at once, while the unwrap is retried in the background.
FAILURE_TTL = timedelta(minutes=1)
# When the next data key could not be created, the newest one stays in use until then.
SUCCESSOR_RETRY_INTERVAL = timedelta(minutes=5)
# How long sealing waits for a data key that another process created, while an older key that may still seal is open.
NEWER_KEY_WAIT_SECONDS = 1.0
MAX_CACHED_FAILURES = 1000


@dataclass(frozen=True)
class SealingKey:
    """The data key that seals, and when the stored data keys were listed to choose it."""

    id: str
    key: bytes = field(repr=False)
    listed: datetime


class FailedUnwrap(NamedTuple):
    """An unwrap that the vault refused or did not answer."""

    error: type[KeyUnavailable]
    at: datetime


class OpenDataKeys:
    """The unwrapped data keys of this process.

    `rotation_interval` is how long a data key seals before the next one is created. The stored keys are listed again
    only to seal, once the list is older than KEY_CHECK_INTERVAL, and to unseal a value of an unknown key. Callers
    rarely wait for the vault: the next key is created in the background, and concurrent callers share one unwrap.
    """

    def __init__(
        self,
        keys: DataKeys,
        wrapping: KeyWrapping,
        *,
        clock: Clock,
        entropy: Entropy,
        jitter: Jitter,
        rotation_interval: timedelta,
    ) -> None:
        self._keys = keys
        self.wrapping = wrapping
        self._clock = clock
        self._entropy = entropy
        self._jitter = jitter
        self._rotation_interval = rotation_interval
        self._open: dict[str, bytes] = {}
        self._listed: dict[str, DataKey] = {}
        self._missing: TTLCache[bool] = TTLCache(MAX_CACHED_FAILURES)
        self._failed: TTLCache[FailedUnwrap] = TTLCache(MAX_CACHED_FAILURES)
        self._sealing_key: SealingKey | None = None
        self._no_successor_before: datetime | None = None
        self._calls = SharedCalls()

    async def sealing(self) -> tuple[str, bytes]:
        """The id and the key to seal with. Raises KeyUnavailable, SealBroken and StorageUnavailable."""
        sealing_key = self._sealing_key
        if sealing_key is None or not timedelta() <= self._clock() - sealing_key.listed < KEY_CHECK_INTERVAL:
            sealing_key = await self._calls("choose", self._choose_sealing_key)
        return sealing_key.id, sealing_key.key

    async def opened(self, key_id: str) -> bytes:
        """The unwrapped data key. Raises SealBroken when it does not exist, and what `sealing` raises."""
        key = self._open.get(key_id)
        if key is not None:
            return key
        if key_id not in self._listed:
            await self._find(key_id)
        return await self._unwrapped(self._listed[key_id])

    async def listed(self) -> Sequence[DataKey]:
        """All data keys, oldest first."""
        return [stored.value for stored in await self._list()]

    async def make(self) -> DataKey:
        """Create a data key, which seals from now on."""
        stored = await self._list()
        await self._add(next_data_key_id(stored[-1].value if stored else None, self._clock()))
        await self._choose_sealing_key()
        return list(self._listed.values())[-1]

    async def rewrap(self) -> tuple[int, int]:
        """Wrap data keys again that an earlier key-encryption key wrapped. Returns how many succeeded and failed."""
        newest, succeeded, failed = await self.wrapping.newest(), 0, 0
        for stored in await self._list():
            if stored.value.wrapped_by == newest:
                continue
            try:
                key = await self.opened(stored.value.id)
            except (KeyUnavailable, SealBroken):
                log.warning("data key does not open", extra={"data_key": stored.value.id})
                failed += 1
                continue
            wrapped_by, wrapped = await self.wrapping.wrap(key)
            rewrapped = replace(stored.value, wrapped=base64.b64encode(wrapped).decode(), wrapped_by=wrapped_by)
            with suppress(StaleWrite):  # another process does the same
                await self._keys.replace(stored, rewrapped)
                succeeded += 1
        return succeeded, failed

    async def forget(self, data_key: DataKey) -> None:
        """Delete a data key. Values that are sealed under it cannot be unsealed any more."""
        for stored in await self._list():
            if stored.value.id == data_key.id:
                await self._keys.remove(stored)
        self._open.pop(data_key.id, None)
        self._listed.pop(data_key.id, None)

    async def wait_until_idle(self) -> None:
        """Wait for the calls in the background."""
        await self._calls.wait_until_idle()

    async def close(self) -> None:
        """Cancel the calls in the background."""
        await self._calls.close()

    async def _find(self, key_id: str) -> None:
        """List the stored keys, so that this one is among `_listed`. Raises SealBroken when it does not exist."""
        now = self._clock()
        if not self._missing.get(key_id, now):
            if "list" in self._calls:  # it may have begun before the key was created
                await self._calls("list", self._list)
            if key_id not in self._listed:
                await self._calls("list", self._list)
            if key_id in self._listed:
                return
            self._missing.put(key_id, value=True, since=now, until=now + RETRY_INTERVAL)
        raise SealBroken("the data key of a sealed value is gone")

    async def _list(self) -> Sequence[Stored[DataKey]]:
        data_keys = await self._keys.all()
        self._listed = {stored.value.id: stored.value for stored in data_keys}
        return data_keys

    async def _choose_sealing_key(self) -> SealingKey:
        """Choose the data key to seal with. If the next one is due, it is created in the background."""
        now = self._clock()
        keys = [stored.value for stored in await self._list()]
        if not keys:
            await self._add(next_data_key_id(None, now))
            keys = [stored.value for stored in await self._list()]
        elif now - keys[-1].created >= self._rotation_interval:
            self._start_successor(keys[-1])
        data_key = await self._best_open_key(keys)
        self._sealing_key = SealingKey(data_key.id, self._open[data_key.id], now)
        return self._sealing_key

    async def _best_open_key(self, keys: Sequence[DataKey]) -> DataKey:
        """The best data key that is unwrapped. Only if none is, this waits until one is unwrapped."""
        newest, *_ = order = sealing_order(keys, self._clock())
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
        if self._no_successor_before is None or self._clock() >= self._no_successor_before:
            self._calls.start("successor", partial(self._make_successor, newest))

    async def _make_successor(self, newest: DataKey) -> None:
        """Create the next data key."""
        try:
            await self._add(next_data_key_id(newest, newest.created + self._rotation_interval))
            await self._choose_sealing_key()
        except Exception as error:  # noqa: BLE001 - nothing awaits this task, so it logs and retries later
            self._no_successor_before = self._clock() + SUCCESSOR_RETRY_INTERVAL * (1 + self._jitter() / 2)
            log.warning("data key not made", extra={"data_key": newest.id, "error": type(error).__name__})

    async def _add(self, key_id: str) -> None:
        key = self._entropy(KEY_BYTES)
        wrapped_by, wrapped = await self.wrapping.wrap(key)
        data_key = DataKey(key_id, base64.b64encode(wrapped).decode(), wrapped_by, self._clock())
        with suppress(StaleWrite):  # another process was faster; its key is used instead
            await self._keys.add(data_key)
            self._open[key_id] = key
            log.info("data key made", extra={"data_key": key_id, "wrapped_by": wrapped_by})

    async def _unwrapped(self, data_key: DataKey) -> bytes:
        key = self._open.get(data_key.id)
        if key is not None:
            return key
        now = self._clock()
        failed = self._failed.get(data_key.id, now)
        if failed is not None and now - failed.at < RETRY_INTERVAL:
            raise failed.error
        unwrap = self._calls.start(f"unwrap {data_key.id}", partial(self._unwrap, data_key))
        if failed is not None:
            raise failed.error
        return await asyncio.shield(unwrap)

    async def _unwrap(self, data_key: DataKey) -> bytes:
        try:
            key = await self.wrapping.unwrap(data_key.wrapped_by, base64.b64decode(data_key.wrapped))
        except KeyUnavailable as error:
            now = self._clock()
            self._failed.put(data_key.id, FailedUnwrap(type(error), now), now, now + FAILURE_TTL)
            raise
        self._open[data_key.id] = key
        if self._sealing_key is not None and data_key.id > self._sealing_key.id:  # ids sort by age
            self._sealing_key = None
        return key
