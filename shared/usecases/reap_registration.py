"""Reap: forget a registration once nobody may ask for it any more."""

import logging
from dataclasses import dataclass

from shared.domain.registration import REMEMBERED, RegistrationStatus
from shared.domain.work import Work, WorkKind
from shared.ports import Agenda, Clock, Registrations

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReapRegistration:
    """Works the agenda's `reap` rows."""

    registrations: Registrations
    agenda: Agenda
    clock: Clock

    async def __call__(self, work: Work) -> None:
        """Delete the invitation with its sign-in attempts; one that still waits for access is left for another day."""
        stored = await self.registrations.get(work.owner)
        if stored is not None and stored.value.stage is RegistrationStatus.WAITING_FOR_ACCESS:
            await self.agenda.add(Work(WorkKind.REAP, self.clock() + REMEMBERED, work.owner))
            return
        await self.registrations.forget(work.owner)
        log.info("registration reaped", extra={"registration": work.owner})
