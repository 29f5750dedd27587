"""Turns of callers at mailboxes: bounded concurrency, so that no caller keeps others from their mail."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.errors import TooManyRequests

# For each app and mailbox (Microsoft Graph service-specific throttling limits, Outlook service limits).
MAX_CALLS_PER_MAILBOX = 4
MAX_CALLS = 32
MAX_WAITING_PER_CALLER, MAX_WAITING = 32, 256
MAX_WAIT_SECONDS = 10.0
RETRY_AFTER = timedelta(seconds=5)


@dataclass(slots=True)
class _Mailbox:
    """Calls in progress by caller, and waiting ones by caller, in the order in which the callers take turns."""

    calls: Counter[str] = field(default_factory=Counter)
    queues: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return self.calls.total() >= MAX_CALLS_PER_MAILBOX

    def next_caller(self) -> str:
        return min(self.queues, key=lambda caller_id: self.calls[caller_id])

    def remove(self, caller_id: str, waiter: asyncio.Future[None] | None = None) -> asyncio.Future[None]:
        """Remove a waiter, by default the first one. The caller goes to the end of the order."""
        queue = self.queues.pop(caller_id)
        removed = waiter or queue[0]
        queue.remove(removed)
        if queue:
            self.queues[caller_id] = queue
        return removed


class FairTurns:
    """Implements the port in memory, for one instance.

    At most four calls for each mailbox are in progress, and 32 in all. When one ends, the next is of the caller with
    the fewest calls in progress; callers with equally many take turns, and calls of one caller are served in order. A
    call waits for ten seconds at most. At most 32 calls of one caller wait, and 256 in all.
    """

    def __init__(self) -> None:
        self._mailboxes: dict[Hashable, _Mailbox] = {}
        self._calls = Counter[str]()

    @asynccontextmanager
    async def turn(self, mailbox: Hashable, caller_id: str) -> AsyncIterator[None]:
        """Wait for a turn, which lasts for the block. Raises TooManyRequests."""
        state = self._mailboxes.setdefault(mailbox, _Mailbox())
        if state.is_full or self._calls.total() >= MAX_CALLS:
            await self._wait(mailbox, caller_id)
        else:
            self._begin(state, caller_id)
        try:
            yield
        finally:
            self._end(mailbox, caller_id)

    async def _wait(self, mailbox: Hashable, caller_id: str) -> None:
        waiter = asyncio.get_running_loop().create_future()
        try:
            self._enqueue(mailbox, caller_id, waiter)
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                # Shielded, so that a waiter is never cancelled: it has its turn, or is in the queue.
                await asyncio.shield(waiter)
        except TimeoutError:
            self._give_up(mailbox, caller_id, waiter)
            raise TooManyRequests(RETRY_AFTER) from None
        except asyncio.CancelledError:
            self._give_up(mailbox, caller_id, waiter)
            raise

    def _enqueue(self, mailbox: Hashable, caller_id: str, waiter: asyncio.Future[None]) -> None:
        """Raises TooManyRequests if too many calls wait."""
        waiting = Counter[str]()
        for state in self._mailboxes.values():
            waiting.update({waiting_caller: len(queue) for waiting_caller, queue in state.queues.items()})
        if waiting[caller_id] >= MAX_WAITING_PER_CALLER or waiting.total() >= MAX_WAITING:
            self._forget_if_idle(mailbox)
            raise TooManyRequests(RETRY_AFTER)
        self._mailboxes[mailbox].queues.setdefault(caller_id, deque()).append(waiter)

    def _give_up(self, mailbox: Hashable, caller_id: str, waiter: asyncio.Future[None]) -> None:
        if waiter.done():  # its turn came at the same moment
            self._end(mailbox, caller_id)
        else:
            self._mailboxes[mailbox].remove(caller_id, waiter)
            self._forget_if_idle(mailbox)

    def _begin(self, state: _Mailbox, caller_id: str) -> None:
        state.calls[caller_id] += 1
        self._calls[caller_id] += 1

    def _end(self, mailbox: Hashable, caller_id: str) -> None:
        for calls in (self._mailboxes[mailbox].calls, self._calls):
            calls[caller_id] -= 1
            if not calls[caller_id]:
                del calls[caller_id]
        self._begin_next()
        self._forget_if_idle(mailbox)

    def _begin_next(self) -> None:
        """Begin one waiting call, in the place of the one that ended."""
        next_callers = [
            (mailbox, state.next_caller())
            for mailbox, state in self._mailboxes.items()
            if state.queues and not state.is_full
        ]
        if next_callers:
            mailbox, caller_id = min(next_callers, key=lambda candidate: self._calls[candidate[1]])
            state = self._mailboxes[mailbox] = self._mailboxes.pop(mailbox)  # behind the others
            self._begin(state, caller_id)
            state.remove(caller_id).set_result(None)

    def _forget_if_idle(self, mailbox: Hashable) -> None:
        state = self._mailboxes[mailbox]
        if not state.calls and not state.queues:
            del self._mailboxes[mailbox]
