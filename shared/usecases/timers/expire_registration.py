"""Expire: say that a link has ended without anybody having used it to its end."""

from contextlib import suppress
from datetime import datetime

from shared.domain.errors import StaleWrite
from shared.domain.event import Event, EventName
from shared.domain.formats import set_correlation_id
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.work import Work
from shared.ports import Clock, Registrations
from shared.usecases import use_case
from shared.usecases.events.outbox import Outbox
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.timers.settle_link import as_bound
from shared.usecases.timers.work_agenda import EARLY

TRIES = 8


@use_case
class ExpireRegistration:
    """Works the agenda's `expire` rows."""

    registrations: Registrations
    find: FindAccount
    outbox: Outbox
    clock: Clock

    async def __call__(self, work: Work, _until: datetime) -> str:
        """Note it once, with its event; what was bound or replaced, or waits or is being bound, does not expire."""
        for _ in range(TRIES):
            stored = await self.registrations.get(work.owner)
            if stored is None or stored.value.stage is RegistrationStatus.EXPIRED:
                return "settled"
            if stored.value.has_binding_in_progress(self.clock()):
                return EARLY
            if stored.value.status_at(self.clock()) is not RegistrationStatus.EXPIRED:
                return "settled"
            set_correlation_id(stored.value.correlation)
            asked = await self._with_bound(stored.value)
            news = [await self._event(asked)] if asked.unsettled_mailboxes else []
            with suppress(StaleWrite):  # somebody follows the link right now
                await self.registrations.replace(stored, asked if asked.completed else asked.expired(), news)
                return "expired" if news else "settled"
        raise StaleWrite

    async def _event(self, asked: PendingRegistration) -> Event:
        codes = {one.failure or asked.failure for one in asked.unsettled_mailboxes}
        code = codes.pop() if len(codes) == 1 else asked.failure
        accounts = [one.account for one in asked.unsettled_mailboxes]
        return await self.outbox.of_link(asked, EventName.REGISTRATION_EXPIRED, accounts, code)

    async def _with_bound(self, asked: PendingRegistration) -> PendingRegistration:
        """With what was bound by a process that died before the link said so."""
        for mailbox in asked.unsettled_mailboxes:
            found = await self.find(mailbox.account)
            if found is not None and found.account.value.registration == asked.id:
                account = found.account.value
                asked = asked.after_sign_in(account.principal_id, {mailbox.account: as_bound(account)}, self.clock())
        return asked
