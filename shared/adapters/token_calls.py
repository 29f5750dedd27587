"""The thread pool for MSAL's blocking calls to the token endpoint, and the exception for a refusal."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from shared.domain.errors import EntraBusy
from shared.domain.failure import TokenError


class TokenRefused(Exception):
    """The token endpoint's response contains no token.

    It is raised within MSAL's call, so the response never reaches MSAL's throttle, which would repeat an
    `invalid_grant` to every caller for a minute (msal/throttled_http_client.py).
    """

    def __init__(self, answer: TokenError) -> None:
        super().__init__("token endpoint refused")
        self.answer = answer


class TokenCalls:
    """Runs at most `threads` calls at once. A call that cannot start within `queue_timeout` seconds is not made."""

    def __init__(self, threads: int, queue_timeout: float) -> None:
        self._threads = threads
        self.queue_timeout = queue_timeout
        self._free_threads = asyncio.Semaphore(threads)
        self._pool: ThreadPoolExecutor | None = None

    async def run[T](self, call: Callable[[], T]) -> T:
        """Run the call in a thread. Raises EntraBusy, and whatever the call raises."""
        try:
            async with asyncio.timeout(self.queue_timeout):
                await self._free_threads.acquire()
        except TimeoutError:
            raise EntraBusy from None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="msal")
        # The copied context carries the correlation id into the thread.
        future = self._pool.submit(copy_context().run, call)
        future.add_done_callback(self._release_in(asyncio.get_running_loop()))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _release_in(self, loop: asyncio.AbstractEventLoop) -> Callable[[Future[Any]], None]:
        """Release the semaphore when the thread is free, which may be later than when the caller gave up."""

        def release(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(self._free_threads.release)

        return release
