"""What is due when, and who works it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.work import Work


class Agenda(Protocol):
    """What is due when, in shards."""

    @property
    def shards(self) -> Sequence[str]: ...

    async def add(self, work: Work) -> None:
        """Adding what is there already changes nothing."""

    async def put_off(self, work: Work) -> None:
        """Write down how often the work has failed, and when to try it again."""

    async def remove(self, works: Sequence[Work]) -> None:
        """Remove rows of one shard; those that are gone already are fine."""

    async def holds(self, work: Work) -> bool: ...

    async def due(self, shard: str, until: datetime, after: Work | datetime | None, limit: int = 100) -> Sequence[Work]:
        """At most `limit` of what is due, oldest first, behind a row or behind all that was due by a moment."""


class ShardQueue(Protocol):
    """Hands shards to whichever instance takes them."""

    async def send(self, shard: str, due_by: datetime) -> None: ...

    async def poisoned(self) -> int:
        """How many messages failed for good. They stay until an operator deletes them, or a week has passed."""
