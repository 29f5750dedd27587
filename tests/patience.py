"""Waiting for what happens in its own time: long enough for a busy machine, and over as soon as it is seen."""

import asyncio
import time
from collections.abc import Callable

SECONDS = 60
PAUSE = 0.05  # seconds


def wait_until(seen: Callable[[], object]) -> None:
    """Return when it is seen; fail when it is not in time."""
    ends = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(PAUSE)


async def until(seen: Callable[[], object]) -> None:
    """As `wait_until`, while other tasks of this loop go on."""
    ends = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(PAUSE)
