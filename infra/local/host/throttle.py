"""Bounds on requests that are in the host at once (host.json, `maxConcurrentRequests` and `maxOutstandingRequests`)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

UNBOUNDED = -1


@dataclass(slots=True)
class Throttle:
    """At most so many requests run; others wait, until as many as are allowed in all are there.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook#hostjson-settings
    """

    running: asyncio.Semaphore | nullcontext[None]
    most: int
    inside: int = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[bool]:
        """Wait for this request's turn; False at once when it is one too many."""
        if self.inside == self.most:
            yield False
            return
        self.inside += 1
        try:
            async with self.running:
                yield True
        finally:
            self.inside -= 1


def throttle(concurrent: int, outstanding: int) -> Throttle:
    """A throttle of these bounds; UNBOUNDED is none."""
    return Throttle(nullcontext() if concurrent == UNBOUNDED else asyncio.Semaphore(concurrent), outstanding)
