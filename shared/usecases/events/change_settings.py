"""Change settings: the global target of events, in EmailEngine's words."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.domain.caller import Caller
from shared.domain.errors import Conflict, InvalidInput, StaleWrite
from shared.domain.secret import Secret
from shared.domain.webhook import ALL_EVENTS, GLOBAL_WEBHOOK_ID, LOST_SECRETS_MESSAGE, Webhook, masked_url
from shared.ports import Clock, Entropy, Webhooks
from shared.usecases import use_case
from shared.usecases.events.ping_target import PingTarget
from shared.usecases.events.subscribe import new_secret

log = logging.getLogger(__name__)

TRIES = 8


@dataclass(frozen=True, slots=True)
class SettingsWish:
    """What is to be changed; None leaves a setting as it is, and an empty URL takes the target away."""

    url: Secret | None = None
    enabled: bool | None = None
    events: tuple[str, ...] | None = None
    headers: Mapping[str, str] | None = None
    secret: Secret | None = None
    verify: bool = True


@use_case
class ChangeSettings:
    """The global target is a webhook like the others, with an id that everybody knows."""

    webhooks: Webhooks
    ping: PingTarget
    clock: Clock
    entropy: Entropy

    async def __call__(self, wish: SettingsWish, faults: Mapping[str, str], caller: Caller) -> Webhook:
        """The target as it is now. Raises InvalidInput (`faults`, or a target that takes no ping) and Conflict."""
        if faults:
            raise InvalidInput(faults)
        for number in range(TRIES):
            stored = await self.webhooks.get(GLOBAL_WEBHOOK_ID)
            before = stored.value if stored else self._first(caller)
            if before.has_lost_secrets and wish.url is None:
                raise InvalidInput({"webhooks": f'"webhooks" is needed to change anything: {LOST_SECRETS_MESSAGE}'})
            after = self._changed(before, wish, caller)
            if number == 0 and after.is_active and wish.url is not None:
                await self.ping.insist(after, "webhooks", verify=wish.verify)
            try:
                await (self.webhooks.insert(after) if stored is None else self.webhooks.replace(stored, after))
            except StaleWrite:
                continue
            log.info("settings changed", extra={"by": caller.id})
            return after
        raise Conflict("The settings are being changed by others; try again")

    def _first(self, caller: Caller) -> Webhook:
        secret, now = new_secret(self.entropy), self.clock()
        return Webhook(GLOBAL_WEBHOOK_ID, "", (ALL_EVENTS,), now, caller.id, secret=secret)

    def _changed(self, before: Webhook, wish: SettingsWish, caller: Caller) -> Webhook:
        after = before
        if before.has_lost_secrets:
            after = replace(before, secret=new_secret(self.entropy), headers=Secret(""), header_names=())
        if wish.url is not None:
            # The caller who sets the URL owns the target from then on.
            after = replace(after, url=wish.url, place=masked_url(wish.url), gone=None, created_by=caller.id)
        if wish.headers is not None:
            after = replace(after, headers=Secret(json.dumps(wish.headers)), header_names=tuple(wish.headers))
        return replace(
            after,
            enabled=before.enabled if wish.enabled is None else wish.enabled,
            gone=None if wish.enabled else after.gone,
            events=before.events if wish.events is None else wish.events,
            secret=wish.secret or after.secret,
        )
