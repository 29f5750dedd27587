"""Sends deliveries to webhooks, signed as Standard Webhooks and EmailEngine sign them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from shared.domain.secret import Secret
from shared.domain.webhook import LOST_SECRETS_MESSAGE, SIGNING_SECRET_PREFIX, Delivery, Webhook
from shared.ports import Answer, TargetRefused

if TYPE_CHECKING:
    from shared.adapters.webhook_connections import WebhookConnections

USER_AGENT = "mailbind"


class WebhookSender:
    """`loopback` also allows targets on this computer, and plain http there; it is for local work only.

    `resolve` replaces the operating system's name resolution.
    """

    def __init__(
        self, ca_file: str | None, *, loopback: bool, resolve: Callable[[str, int], Sequence[str]] | None = None
    ) -> None:
        self._ca_file = ca_file
        self._loopback = loopback
        self._resolve = resolve

    async def check(self, url: Secret) -> None:
        """Check that the URL leads to an allowed address."""
        await self._connections.check(urlsplit(url.reveal()))

    async def send(self, webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
        """Post the delivery's body."""
        if webhook.has_lost_secrets:
            raise TargetRefused(LOST_SECRETS_MESSAGE)
        parts, body = urlsplit(webhook.url.reveal()), delivery.body.encode()
        return await self._connections.post(parts, _headers(parts, webhook, delivery, body, now), body)

    async def close(self) -> None:
        """Close all connections."""
        if "_connections" in self.__dict__:
            await self._connections.close()

    @cached_property
    def _connections(self) -> "WebhookConnections":
        from shared.adapters.webhook_connections import (  # noqa: PLC0415 - not needed at start-up
            WebhookConnections,
            resolve_name,
        )

        return WebhookConnections(self._ca_file, loopback=self._loopback, resolve=self._resolve or resolve_name)


def _headers(parts: SplitResult, webhook: Webhook, delivery: Delivery, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks and of EmailEngine, and the webhook's own, which replace none of them.

    `X-EE-Wh-Signature` is the base64url of HMAC-SHA-256 over the body, with the secret's text as the key.
    """
    from standardwebhooks import Webhook as Signer  # noqa: PLC0415 - not needed at start-up

    secret = webhook.secret.reveal()
    signer = Signer(secret if secret.startswith(SIGNING_SECRET_PREFIX) else secret.encode())
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    own_headers: dict[str, str] = json.loads(webhook.headers.reveal() or "{}")
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        own_headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return own_headers | {
        "host": parts.netloc.rpartition("@")[2],
        "user-agent": USER_AGENT,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(delivery.id, now, delivery.body),
        "x-ee-wh-id": f"{webhook.id}.{delivery.id}",
        "x-ee-wh-attempts-made": str(delivery.attempts + 1),
        "x-ee-wh-queued-time": f"{max(int((now - delivery.queued).total_seconds()), 0)}s",
        "x-ee-wh-event-id": delivery.id,
        "x-ee-wh-signature": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }
