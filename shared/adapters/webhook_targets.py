"""Targets of events, behind an HTTP client that is loaded when there is something to send."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook
from shared.ports import Answer

if TYPE_CHECKING:
    from shared.adapters.webhook_sender import WebhookSender


@dataclass
class WebhookTargets:
    """`loopback` lets events go to this computer too; see WebhookSender."""

    ca_file: str | None
    loopback: bool

    async def check(self, url: Secret) -> None:
        """Look up where the URL leads."""
        await self._sender.check(url)

    async def send(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        """Post the delivery's body."""
        return await self._sender.send(webhook, delivery, now)

    async def close(self) -> None:
        """End all connections."""
        if "_sender" in self.__dict__:
            await self._sender.close()

    @cached_property
    def _sender(self) -> "WebhookSender":
        from shared.adapters.webhook_sender import WebhookSender  # noqa: PLC0415 - start-up does without it

        return WebhookSender(self.ca_file, self.loopback)
