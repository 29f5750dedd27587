"""Keep checking: wait for a mailbox to open, without a second sign-in."""

import logging

from shared.domain.errors import Conflict, StaleWrite, StorageUnavailable
from shared.domain.pending_account import PendingAccount, wait_for_access
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import (
    Agenda,
    Change,
    Clock,
    Insert,
    Principals,
    Registrations,
    Replace,
    SignedIn,
)
from shared.usecases import use_case
from shared.usecases.carried_grant import Carried, CarriedGrant
from shared.usecases.open_link import DeadLink, dead_link
from shared.usecases.sign_in_outcome import Refused, Waiting

log = logging.getLogger(__name__)

KEEP = "keep"
TRIES = 8


@use_case
class KeepChecking:
    """Until the person asks for it, nothing of a refused grant is stored: the page carries it."""

    principals: Principals
    registrations: Registrations
    agenda: Agenda
    carried: CarriedGrant
    clock: Clock

    async def offer(self, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> Carried:
        """The form field that carries the grant."""
        return await self.carried.seal(KEEP, asked, signed_in, cookie)

    async def __call__(self, offered: Carried, cookie: Secret | None) -> Waiting | Refused:
        """Begin to wait, unless the offer is not this browser's or too old, or the link is dead."""
        try:
            return await self._keep(offered, cookie)
        except StorageUnavailable:
            return Refused("storage_unavailable", keep=offered)

    async def _keep(self, offered: Carried, cookie: Secret | None) -> Waiting | Refused:
        opened = await self.carried.open(KEEP, offered, cookie)
        if opened is None:
            return Refused("sign_in_unknown")
        signed_in = opened.signed_in
        stored = await self.registrations.get(offered.registration)
        dead = dead_link(stored, self.clock)
        if stored is None or dead:
            return Refused(dead.code if dead else "link_unknown", dead.registration if dead else None)
        pending = wait_for_access(
            registration=stored.value.id,
            principal=signed_in.principal,
            app=stored.value.through(opened.app).app,
            tokens=signed_in.tokens,
            kept=True,
            reason="no_mailbox_access",
            now=self.clock(),
        )
        dead = await self.wait(pending)
        if dead:
            return Refused(dead.code, stored.value, principal=signed_in.principal.id)
        return Waiting(stored.value, pending.reason, pending.until, signed_in.principal.id)

    async def wait(self, pending: PendingAccount) -> DeadLink | None:
        """Write the pending account down: agenda first, then truth, then the link, unless that is dead by now.

        After a crash before the link says so, the first probe says it.
        """
        principal_id, registration = pending.principal.id, pending.registration
        await self.agenda.add(Work(WorkKind.PROBE, pending.due, principal_id, registration))
        await self._write(pending)
        for _ in range(TRIES):
            stored = await self.registrations.get(registration)
            dead = dead_link(stored, self.clock)
            if stored is None or dead:
                await self.principals.forget_pending(principal_id, registration)
                return dead or DeadLink("link_unknown")
            try:
                await self.registrations.replace(stored, stored.value.waiting(principal_id, pending.reason))
            except StaleWrite:
                continue
            break
        log.info("access awaited", extra={"registration": registration, "code": pending.reason})
        return None

    async def _write(self, pending: PendingAccount) -> None:
        for _ in range(TRIES):
            before = await self.principals.pending(pending.principal.id, pending.registration)
            change: Change = Insert(pending)
            if before is not None:
                change = Replace(pending.after(before.value), before.version)
            try:
                await self.principals.commit(pending.principal.id, [change])
            except StaleWrite:
                continue
            return
        raise Conflict("The sign-in is being changed by others; try again")
