"""A pool of threads for MSAL's calls, which block. Calls wait for a thread in turn, and not for long."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import EntraBusy


@dataclass(slots=True)
class TokenCalls:
    """At most `threads` calls at once; one that has not begun within `queue_timeout` seconds is not made."""

    threads: int
    queue_timeout: float
    _turns: asyncio.Semaphore = field(init=False)
    _pool: ThreadPoolExecutor | None = None

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(self.threads)

    async def run[T](self, call: Callable[[], T]) -> T:
        """Run the call in a thread. Raises EntraBusy, and whatever the call raises."""
        try:
            async with asyncio.timeout(self.queue_timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise EntraBusy from None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="msal")
        # A thread of the pool knows nothing of the request that it works for.
        running = self._pool.submit(copy_context().run, call)
        running.add_done_callback(self._give_back(asyncio.get_running_loop()))
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _give_back(self, loop: asyncio.AbstractEventLoop) -> Callable[[Future[Any]], None]:
        """The turn is over when the thread is free: a caller who gave up does not end the call."""

        def give_back(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(self._turns.release)

        return give_back
