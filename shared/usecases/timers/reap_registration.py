"""Reap: forget a registration once nobody may ask for it any more."""

import logging
from contextlib import suppress
from datetime import datetime

from shared.domain.errors import RowUnreadable
from shared.domain.work import Work
from shared.ports import Clock, Principals, Registrations
from shared.usecases import use_case
from shared.usecases.sign_in.claim_account import ClaimAccount
from shared.usecases.timers.expire_registration import ExpireRegistration
from shared.usecases.timers.work_agenda import LEFT

log = logging.getLogger(__name__)


@use_case
class ReapRegistration:
    """Works the agenda's `reap` rows. One that names an account is for a request that no registration stands for."""

    registrations: Registrations
    principals: Principals
    claim: ClaimAccount
    expire: ExpireRegistration
    clock: Clock

    async def __call__(self, work: Work, until: datetime) -> str | None:
        """Delete the invitation with its sign-in attempts.

        Waiting lasts a day and begins before the link expires, so a week later it is over whatever the link says, and
        a grant that is still kept for it goes too.
        """
        if work.item:
            await self.claim.lapse(work.item, work.owner)
            return None
        with suppress(RowUnreadable):  # nobody can tell what it was about, but it can go
            await self.expire(work, until)  # after a stop of a week, both are due at once
            await self._let_go(work.owner)
        while not await self.registrations.forget(work.owner):
            if self.clock() >= until:
                return LEFT
        log.info("registration reaped", extra={"registration": work.owner})
        return None

    async def _let_go(self, registration: str) -> None:
        stored = await self.registrations.get(registration)
        for mailbox in stored.value.mailboxes if stored else ():
            await self.claim.lapse(mailbox.account, registration)
        for waits in {mailbox.principal_id for mailbox in stored.value.unsettled_mailboxes} if stored else set():
            if waits is not None:
                await self.principals.forget_pending(waits, registration)
