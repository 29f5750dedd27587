"""What happened in the tenant, in order, for tests and for people who watch a run. Never a token."""

from collections import deque
from typing import Any

KEPT = 100_000


class Journal:
    """Numbered events; the oldest fall out after `KEPT`."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._last = 0

    def note(self, what: str, at: str, **about: object) -> None:
        """Write down an event and the ids that belong to it; those that are None are left out."""
        self._last += 1
        told = {name: value for name, value in about.items() if value is not None}
        self._events.append({"n": self._last, "at": at, "what": what, **told})

    def after(self, number: int) -> list[dict[str, Any]]:
        """Events with a higher number, oldest first."""
        return [event for event in self._events if event["n"] > number]

    def clear(self) -> None:
        """Forget the events. Numbers go on."""
        self._events.clear()
