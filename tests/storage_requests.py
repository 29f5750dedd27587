"""Counts requests to Table Storage, as they leave this process, and how many of them wait for one another."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.pipeline.transport import AioHttpTransport

# Counters and rate limits are written in the background, now and then, whatever a request is about.
BACKGROUND_TABLES = ("Limits", "Statistics")
# A request is held until what does not wait for it has begun too, however quickly it would be answered.
LOOP_ROUNDS = 100


@dataclass(frozen=True)
class Request:
    """A request: its method, the path with the table, and from when to when it ran."""

    method: str
    path: str
    began: float
    ended: float


@dataclass
class StorageRequests:
    """Requests that were made."""

    made: list[Request] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there are, without those of the background."""
        return len(self._counted)

    @property
    def round_trips(self) -> int:
        """The longest chain of requests of which each began after the one before it had ended."""
        longest: list[tuple[float, int]] = []
        for request in sorted(self._counted, key=lambda each: each.began):
            before = [depth for ended, depth in longest if ended <= request.began]
            longest.append((request.ended, 1 + max(before, default=0)))
        return max((depth for _, depth in longest), default=0)

    @property
    def _counted(self) -> Sequence[Request]:
        return [each for each in self.made if not any(f"/{table}" in each.path for table in BACKGROUND_TABLES)]


@contextmanager
def recorded_requests() -> Iterator[StorageRequests]:
    """Records the requests of every client in this process until the end of the block."""
    requests, send = StorageRequests(), AioHttpTransport.send

    async def recording_send(transport: AioHttpTransport, request: Any, **options: Any) -> Any:
        began = time.perf_counter()
        for _ in range(LOOP_ROUNDS):
            await asyncio.sleep(0)
        try:
            return await send(transport, request, **options)
        finally:
            path = urlsplit(request.url).path
            requests.made.append(Request(request.method, path, began, time.perf_counter()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AioHttpTransport, "send", recording_send)
        yield requests
