"""Expire: say that a link has ended without anybody having used it to its end."""

from contextlib import suppress

from shared.domain.correlation import correlate
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName, Origin
from shared.domain.event_data import of_registration
from shared.domain.registration import RegistrationStatus
from shared.domain.work import Work
from shared.ports import Clock, Registrations
from shared.usecases import use_case
from shared.usecases.outbox import Outbox

TRIES = 8


@use_case
class ExpireRegistration:
    """Works the agenda's `expire` rows."""

    registrations: Registrations
    outbox: Outbox
    clock: Clock

    async def __call__(self, work: Work) -> str:
        """Note it once, with its event; whatever was bound, replaced, or waits for access, does not expire."""
        for _ in range(TRIES):
            stored = await self.registrations.get(work.owner)
            if stored is None or stored.value.stage is RegistrationStatus.EXPIRED:
                return "settled"
            asked = stored.value
            correlate(asked.correlation)
            if asked.status(self.clock()) is not RegistrationStatus.EXPIRED:
                return "settled"
            name = EventName.REGISTRATION_EXPIRED
            news = [
                await self.outbox.event(Origin.REGISTRATION, asked.id, name, of_registration(asked, code), account)
                for account, code in ((one.account, one.failure or asked.failure) for one in asked.open)
            ]
            with suppress(StaleWrite):  # somebody follows the link right now
                await self.registrations.replace(stored, asked.expired(), news)
                return "expired"
        raise StaleWrite
