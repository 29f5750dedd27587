"""Events on their way out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.event import Event, Origin
from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook
from shared.ports.rows import Rows, Stored


class Webhooks(Rows[Webhook], Protocol):
    """Where events go, by their ids."""

    async def all(self) -> Sequence[Webhook]: ...


class Outboxes(Protocol):
    """Events, wherever they were written with what they tell of."""

    async def read(self, origin: Origin, owner: str, event: str) -> Event | None: ...

    async def forget(self, events: Sequence[Event]) -> None:
        """Delete events; those that are gone already are fine."""


class Deliveries(Protocol):
    """Events on their way, in one partition for each webhook. Writes raise StaleWrite."""

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries to one webhook in their order, whatever was there; should it fail, no later one is there."""

    async def waiting(self, webhook: str, after: Delivery | None, limit: int) -> Sequence[Stored[Delivery]]:
        """What waits, in the order of the ids and then what can wait, behind one of them."""

    async def parked(self, webhook: str, limit: int) -> Sequence[Stored[Delivery]]:
        """What is parked, in the order of the ids."""

    async def replace(self, stored: Stored[Delivery], delivery: Delivery) -> None:
        """Write a delivery over the version that was read, and move it to where it belongs: parked or waiting."""

    async def remove(self, stored: Stored[Delivery]) -> None: ...

    async def forget(self, webhook: str) -> bool:
        """Delete deliveries to a webhook, also those that are being changed.

        False when only some of very many are deleted: then call again.
        """


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target answered: an HTTP status, and for how long it asks to be left alone."""

    status: int
    retry_after: timedelta | None = None

    @property
    def good(self) -> bool:
        """Whether it took the delivery: any 2xx, and nothing else."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers


class TargetRefused(Exception):
    """A target was not reached, or may not be; the message says why and holds nothing of its URL."""


class Targets(Protocol):
    """Whoever receives events. Both raise TargetRefused."""

    async def check(self, url: Secret) -> None:
        """Look where the URL leads, without calling."""

    async def send(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        """Send a delivery, signed for now."""
