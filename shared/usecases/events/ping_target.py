"""Ping a target: a signed event that means nothing."""

import json

from shared.domain.errors import InvalidInput
from shared.domain.formats import correlation_id, format_timestamp
from shared.domain.webhook import Delivery, Webhook
from shared.ports import Clock, Entropy, TargetRefused, Targets
from shared.usecases import use_case

PING = "ping"


@use_case
class PingTarget:
    """The ping is sent once and kept nowhere."""

    targets: Targets
    service_url: str
    clock: Clock
    entropy: Entropy

    async def __call__(self, webhook: Webhook) -> str | None:
        """What is wrong with the target, or None when it took the ping."""
        if not webhook.place:
            return "it has no URL"
        now = self.clock()
        identity = f"ping{self.entropy(12).hex()}"
        body = {
            "serviceUrl": self.service_url,
            "account": None,
            "date": format_timestamp(now),
            "event": PING,
            "data": {"webhook": webhook.id},
            "id": identity,
            "correlation": correlation_id(),
        }
        try:
            sent = Delivery(webhook.id, identity, PING, PING, json.dumps(body), now)
            answer = await self.targets.send(webhook, sent, now)
        except TargetRefused as refused:
            return str(refused)
        return None if answer.good else f"it answered {answer.status}"

    async def insist(self, webhook: Webhook, field: str, *, verify: bool) -> None:
        """Raise InvalidInput for a target that may not be one, or, when it is to be verified, does not take a ping."""
        try:
            await self.targets.check(webhook.url)
        except TargetRefused as refused:
            raise InvalidInput({field: f'"{field}" cannot be a target: {refused}'}) from None
        wrong = await self(webhook) if verify else None
        if wrong is not None:
            raise InvalidInput({field: f'"{field}" did not take a signed ping: {wrong}'})
