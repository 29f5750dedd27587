"""Events: outboxes, webhooks, and deliveries to their targets."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from shared.domain.event import Event, Origin
from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook
from shared.ports.storage import Rows, Stored


class Webhooks(Rows[Webhook], Protocol):
    """Webhooks, by their ids."""

    async def all(self) -> Sequence[Webhook]: ...


class Outboxes(Protocol):
    """Events that are not fanned out yet, each in the partition of the record that it is about."""

    async def read(self, origin: Origin, owner: str, event: str) -> Event | None: ...

    async def forget(self, events: Sequence[Event]) -> None:
        """Delete events. Missing ones are no error."""


class Deliveries(Protocol):
    """Deliveries, in one partition for each webhook. Writes raise StaleWrite."""

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries to one webhook in order, unconditionally. After a failure, no later one was written."""

    async def waiting(self, webhook: str, after: Delivery | None, limit: int) -> Sequence[Stored[Delivery]]:
        """Waiting deliveries after a given one, in the order of ids; those that can wait come last."""

    async def parked(self, webhook: str, limit: int) -> Sequence[Stored[Delivery]]:
        """Parked deliveries (dead letters), in the order of ids."""

    async def replace(self, stored: Stored[Delivery], delivery: Delivery) -> None:
        """Write a delivery over the version that was read, and move it between waiting and parked if that changed."""

    async def remove(self, stored: Stored[Delivery]) -> None: ...

    async def forget(self, webhook: str) -> bool:
        """Delete a webhook's deliveries unconditionally.

        Returns False when there are very many and only some were deleted: then call again.
        """


class Answer(NamedTuple):
    """A target's response: its HTTP status, and the delay of its Retry-After header."""

    status: int
    retry_after: timedelta | None = None

    @property
    def good(self) -> bool:
        """Whether the target accepted the delivery: any 2xx status."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers


class TargetRefused(Exception):
    """A target was not reached, or is not allowed. The message says why, and contains no part of the URL."""


class UnknownTarget(TargetRefused):
    """The name of a target cannot be looked up now. It may be known later."""


class Targets(Protocol):
    """Receivers of events. Both methods raise TargetRefused."""

    async def check(self, url: Secret) -> None:
        """Check the URL and its addresses without sending a request."""

    async def send(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        """Send a delivery, signed with the current time."""
