"""Calls that several callers share: one at a time for each name, with no lock and no queue."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any


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

    async def settled(self) -> None:
        """Wait until nothing is in flight, whether it succeeds or fails."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def close(self) -> None:
        """Cancel what is in flight, and wait until it has ended."""
        for task in self._running.values():
            task.cancel()
        await self.settled()

    def _ended(self, name: Hashable, task: asyncio.Task[Any]) -> None:
        self._running.pop(name, None)
        if not task.cancelled():
            task.exception()  # retrieved here too, because everybody who waited may have given up
