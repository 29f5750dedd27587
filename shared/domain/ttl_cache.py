"""A TTL cache, and calls that are shared by everyone who waits for the same answer."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from shared.domain.identity import fingerprint


@dataclass(slots=True)
class TTLCache[T]:
    """Values by name. Expired ones are dropped; when there are too many, the oldest one goes.

    A name is kept as its SHA-256, so that an entry has the same size whatever text it was asked for by: `most` bounds
    the cache in bytes as well, as long as values are of bounded size.
    """

    max_entries: int
    _kept: OrderedDict[str, tuple[datetime, datetime, T]] = field(default_factory=OrderedDict)

    def put(self, name: str, value: T, since: datetime, until: datetime) -> None:
        """Remember a value that is good in [since, until), in place of an older one."""
        self._drop_expired(since)
        kept = fingerprint(name)
        self._kept.pop(kept, None)
        self._kept[kept] = (since, until, value)
        if len(self._kept) > self.max_entries:
            self._kept.popitem(last=False)

    def get(self, name: str, now: datetime) -> T | None:
        """The value, or None. A clock that was set back makes forgetful, not trusting."""
        since, until, value = self._kept.get(fingerprint(name), (now, now, None))
        return value if since <= now < until else None

    def discard(self, name: str) -> None:
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


@dataclass(slots=True)
class SharedCalls:
    """Calls in flight, by name. A caller who gives up ends no call, because others may wait for it."""

    _running: dict[Hashable, asyncio.Task[Any]] = field(default_factory=dict)

    async def __call__[T](self, name: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the call of that name, started here unless it is in flight; raises what the call raises."""
        return await asyncio.shield(self.start(name, call))

    def start[T](self, name: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The same without waiting for it. What the call raises is lost when nobody waits."""
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(call())
            self._running[name] = task
            task.add_done_callback(partial(self._ended, name))
        return task

    def __contains__(self, name: Hashable) -> bool:
        """Whether a call of that name is in flight."""
        return name in self._running

    async def wait_until_idle(self) -> None:
        """Wait until nothing is in flight, whether it succeeds or fails."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def close(self) -> None:
        """Cancel what is in flight, and wait until it has ended."""
        for task in self._running.values():
            task.cancel()
        await self.wait_until_idle()

    def _ended(self, name: Hashable, task: asyncio.Task[Any]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # retrieved here too, because everybody who waited may have given up
