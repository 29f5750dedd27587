"""Subscribe: have events sent to a URL."""

import base64
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.domain.caller import Binding, Caller
from shared.domain.errors import Conflict, Forbidden, InvalidInput, LimitReached, StaleWrite
from shared.domain.secret import Secret
from shared.domain.webhook import GLOBAL_WEBHOOK_ID, SIGNING_SECRET_PREFIX, Webhook, masked_url, url_origin, webhook_id
from shared.ports import Clock, Entropy, Stored, Webhooks
from shared.usecases import use_case
from shared.usecases.events.ping_target import PingTarget

log = logging.getLogger(__name__)

TRIES = 8
# Each event is written once for every webhook that wants it. Flows of one maker share a caller, and flows of all makers
# an origin; yet no caller alone fills the places of an origin, nor those of everybody.
MOST, MOST_OF_ORIGIN, MOST_OF_CALLER = 200, 100, 50


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a caller asks for; see Webhook. Without `verify` the target is looked up, but not pinged."""

    url: Secret
    events: tuple[str, ...]
    filter: Binding | None = None
    secret: Secret | None = None
    description: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The webhook; `secret` was made for it, and is shown this once. `new` says that it was not there before."""

    webhook: Webhook
    secret: Secret | None
    new: bool


@use_case
class Subscribe:
    """The same caller's URL for the same accounts is the same webhook: asking again changes and revives it."""

    webhooks: Webhooks
    ping: PingTarget
    clock: Clock
    entropy: Entropy

    async def __call__(self, asked: Subscription, faults: Mapping[str, str], caller: Caller) -> Subscribed:
        """Store the webhook. Raises InvalidInput with `faults` or for a bad target, Forbidden, and Conflict.

        Raises LimitReached for a new one when there are too many.
        """
        if faults:
            raise InvalidInput(faults)
        accounts = asked.filter or caller.binding
        if not caller.can_access_all_of(accounts):
            raise Forbidden("The accounts are outside of those that this caller is bound to")
        made = new_secret(self.entropy)
        for number in range(TRIES):
            stored = await self._mine(asked, accounts, caller)
            identity = stored.value.id if stored else webhook_id(asked.url, accounts, caller.id)
            secret = asked.secret or (stored.value.secret if stored and not stored.value.has_lost_secrets else made)
            webhook = self._webhook(asked, identity, accounts, caller, secret, stored)
            if number == 0:
                await self.ping.insist(webhook, "url", verify=asked.verify)
            try:
                await self._store(stored, webhook, caller)
            except StaleWrite:
                continue
            log.info("webhook stored", extra={"webhook": identity, "by": caller.id})
            return Subscribed(webhook, made if secret is made else None, stored is None)
        raise Conflict("The webhook is being changed by others; try again")

    async def _mine(self, asked: Subscription, accounts: Binding | None, caller: Caller) -> Stored[Webhook] | None:
        """The caller's webhook for this URL, which may have an id that names no caller."""
        for asker in (caller.id, None):
            stored = await self.webhooks.get(webhook_id(asked.url, accounts, asker))
            if stored is not None and stored.value.may_be_changed_by(caller):
                return stored
        return None

    async def _store(self, stored: Stored[Webhook] | None, webhook: Webhook, caller: Caller) -> None:
        if stored is not None:
            await self.webhooks.replace(stored, webhook)
            return
        check_places(await self.webhooks.all(), webhook.url, caller)
        made = await self.webhooks.insert(webhook)
        # Of those that are made at the same moment, the earliest ones stay.
        earlier = [one for one in await self.webhooks.all() if (one.created, one.id) < (webhook.created, webhook.id)]
        try:
            check_places(earlier, webhook.url, caller)
        except LimitReached:
            with suppress(StaleWrite):  # removed or changed by others just now
                await self.webhooks.remove(made)
            raise

    def _webhook(
        self,
        asked: Subscription,
        identity: str,
        accounts: Binding | None,
        caller: Caller,
        secret: Secret,
        stored: Stored[Webhook] | None,
    ) -> Webhook:
        if stored is not None:
            known = stored.value
            return replace(
                known,
                url=asked.url,
                events=asked.events,
                secret=secret,
                description=asked.description or known.description,
                enabled=True,
                gone=None,
            )
        return Webhook(
            id=identity,
            url=asked.url,
            place=masked_url(asked.url),
            secret=secret,
            events=asked.events,
            created=self.clock(),
            created_by=caller.id,
            filter=accounts,
            description=asked.description,
        )


def check_places(kept: Sequence[Webhook], url: Secret, caller: Caller) -> None:
    """Raise LimitReached when one more would be too many: of this caller, to this origin, or in all."""
    others = [webhook for webhook in kept if webhook.id != GLOBAL_WEBHOOK_ID]
    origin = url_origin(url)
    counts = (
        (MOST_OF_CALLER, [one for one in others if one.created_by == caller.id], "of this caller"),
        (MOST_OF_ORIGIN, [one for one in others if url_origin(one.url) == origin], "to this origin"),
        (MOST, others, "in all"),
    )
    for most, found, whose in counts:
        if len(found) >= most:
            raise LimitReached(
                f"There are already {most} webhooks {whose}, which is the limit; delete one that is not needed"
            )


def new_secret(entropy: Entropy) -> Secret:
    """A signing secret: 24 random bytes, as the Standard Webhooks specification advises."""
    return Secret(SIGNING_SECRET_PREFIX + base64.b64encode(entropy(24)).decode())
