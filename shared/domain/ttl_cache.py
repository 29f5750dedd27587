"""A TTL cache with a limited number of entries, reads remembered in one, and calls shared by all that wait for them."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from shared.domain.formats import fingerprint


class TTLCache[T]:
    """Values by name. Expired values are dropped; when the cache is full, the oldest one is.

    Names are stored as their SHA-256, so that every entry has the same size: `max_entries` limits the memory too, as
    long as the values are of limited size.
    """

    def __init__(self, max_entries: int) -> None:
        self.max_entries = max_entries
        self._entries: OrderedDict[str, tuple[datetime, datetime, T]] = OrderedDict()

    def put(self, name: str, value: T, since: datetime, until: datetime) -> None:
        """Store a value that is valid in [since, until), replacing an older one."""
        self._drop_expired(since)
        key = fingerprint(name)
        self._entries.pop(key, None)
        self._entries[key] = (since, until, value)
        if len(self._entries) > self.max_entries:
            self._entries.popitem(last=False)

    def get(self, name: str, now: datetime) -> T | None:
        """The value, or None. A clock that was set back makes values invalid, never valid for longer."""
        since, until, value = self._entries.get(fingerprint(name), (now, now, None))
        return value if since <= now < until else None

    def discard(self, name: str) -> None:
        """Remove the value, if it is there."""
        self._entries.pop(fingerprint(name), None)

    def __len__(self) -> int:
        """The number of entries, including expired ones that have not been dropped yet."""
        return len(self._entries)

    def _drop_expired(self, now: datetime) -> None:
        """Drop expired entries, oldest first, up to the first valid one. Most expire in the order of insertion."""
        while self._entries:
            oldest = next(iter(self._entries))
            if self._entries[oldest][1] > now:
                return
            del self._entries[oldest]


class RememberedReads[T]:
    """What was read from storage, by name, for `lifetime`. Whoever writes has to `forget` the name afterwards."""

    def __init__(self, max_entries: int, lifetime: timedelta) -> None:
        self._lifetime = lifetime
        self._values: TTLCache[T] = TTLCache(max_entries)
        self._reads: dict[str, set[object]] = {}

    def get(self, name: str, now: datetime) -> T | None:
        """The value, or None."""
        return self._values.get(name, now)

    async def read(self, name: str, now: datetime, read: Callable[[], Awaitable[T | None]]) -> T | None:
        """What `read` returns. It is remembered, from before the read on, unless the name is forgotten meanwhile."""
        if not self._lifetime:
            return await read()
        this_read = object()
        self._reads.setdefault(name, set()).add(this_read)
        try:
            value = await read()
            if value is not None and this_read in self._reads.get(name, ()):
                self._values.put(name, value, now, now + self._lifetime)
            return value
        finally:
            self._end(name, this_read)

    def forget(self, name: str) -> None:
        """Drop the value, and what reads in progress will return: they may have read before the write."""
        self._values.discard(name)
        self._reads.pop(name, None)

    def _end(self, name: str, this_read: object) -> None:
        reads = self._reads.get(name, set())
        reads.discard(this_read)
        if not reads:
            self._reads.pop(name, None)


class SharedCalls:
    """Calls in progress, by name: at most one for each name, without a lock or a queue.

    A caller that is cancelled does not cancel the call, because others may be waiting for it.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def __call__[T](self, name: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the call with this name, started unless it is in progress. Raises what the call raises."""
        return await asyncio.shield(self.start(name, call))

    def start[T](self, name: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Start the call without waiting for it. If nobody waits, what the call raises is lost."""
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(call())
            self._running[name] = task
            task.add_done_callback(partial(self._ended, name))
        return task

    def __contains__(self, name: Hashable) -> bool:
        """Whether a call with this name is in progress."""
        return name in self._running

    async def wait_until_idle(self) -> None:
        """Wait until no call is in progress, whether calls succeed or fail."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def close(self) -> None:
        """Cancel the calls in progress, and wait until they have ended."""
        for task in self._running.values():
            task.cancel()
        await self.wait_until_idle()

    def _ended(self, name: Hashable, task: asyncio.Task[Any]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # retrieved here as well, because every waiting caller may have been cancelled
