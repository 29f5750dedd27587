"""Keep checking: wait for a mailbox to open, without a second sign-in."""

import logging

from shared.domain.errors import Conflict, StaleWrite, StorageUnavailable
from shared.domain.formats import set_correlation_id
from shared.domain.invited_mailbox import MailboxResult, MailboxState, PendingAccount, new_pending_account
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import (
    Agenda,
    Change,
    Clock,
    Insert,
    Principals,
    Replace,
    SignedIn,
)
from shared.usecases import use_case
from shared.usecases.sign_in.carried_grant import Carried, CarriedGrant
from shared.usecases.sign_in.live_links import DeadLink, LiveLinks
from shared.usecases.sign_in.record_results import RecordResults
from shared.usecases.sign_in.sign_in_outcome import Outcome, Refused, Tried

log = logging.getLogger(__name__)

KEEP = "keep"
NO_ACCESS = "no_mailbox_access"
TRIES = 8


@use_case
class KeepChecking:
    """Until the person asks for it, nothing of a refused grant is stored: the page carries it."""

    principals: Principals
    links: LiveLinks
    agenda: Agenda
    record: RecordResults
    carried: CarriedGrant
    clock: Clock

    async def offer(self, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> Carried:
        """The form field that carries the grant."""
        return await self.carried.seal(KEEP, asked, signed_in, cookie)

    async def __call__(self, offered: Carried, cookie: Secret | None) -> Outcome:
        """Begin to wait, unless the offer is not this browser's or too old, or the link is dead."""
        try:
            return await self._keep(offered, cookie)
        except StorageUnavailable:
            return Refused("storage_unavailable", keep=offered)

    async def _keep(self, offered: Carried, cookie: Secret | None) -> Outcome:
        opened = await self.carried.open(KEEP, offered, cookie)
        if opened is None:
            return Refused("sign_in_unknown")
        signed_in = opened.signed_in
        stored = await self.links(offered.registration)
        if isinstance(stored, DeadLink):
            return Refused(stored.code, stored.registration)
        asked = stored.value
        set_correlation_id(asked.correlation)
        shut = [mailbox.account for mailbox in asked.unsettled_mailboxes if mailbox.failure == NO_ACCESS]
        return await self.wait(
            asked,
            new_pending_account(
                registration=asked.id,
                accounts=tuple(shut or [mailbox.account for mailbox in asked.unsettled_mailboxes]),
                principal=signed_in.principal,
                app=asked.via_app(opened.app).app,
                tokens=signed_in.tokens,
                kept=True,
                reason=NO_ACCESS,
                now=self.clock(),
            ),
        )

    async def wait(self, asked: PendingRegistration, pending: PendingAccount) -> Outcome:
        """Write the pending account down: agenda first, then truth, then the link, unless that is dead by now.

        After a crash before the link says so, the first probe says it.
        """
        principal_id, registration = pending.principal.id, pending.registration
        await self.agenda.add(Work(WorkKind.PROBE, pending.due, principal_id, registration))
        await self._write(pending)
        stored = await self.links(registration)
        if isinstance(stored, DeadLink):
            await self.principals.forget_pending(principal_id, registration)
            return Refused(stored.code, asked, principal=principal_id)
        waits = MailboxResult(MailboxState.WAITING_FOR_ACCESS, pending.reason)
        results = dict.fromkeys(pending.accounts, waits)
        link = await self.record(registration, principal_id, results)
        log.info("access awaited", extra={"registration": registration, "code": pending.reason})
        return Tried(link.via_app(pending.app) if link else asked, results, until=pending.until, principal=principal_id)

    async def _write(self, pending: PendingAccount) -> None:
        for _ in range(TRIES):
            before = await self.principals.pending(pending.principal.id, pending.registration)
            change: Change = Insert(pending)
            if before is not None:
                change = Replace(pending.merged_with(before.value), before.version)
            try:
                await self.principals.commit(pending.principal.id, [change])
            except StaleWrite:
                continue
            return
        raise Conflict("The sign-in is being changed by others; try again")
