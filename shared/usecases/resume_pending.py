"""Resume a pending account: probe again, bind when the mailbox opens, give up when patience ends."""

import logging
from contextlib import suppress
from datetime import timedelta

from shared.domain.audit import Action, AuditOutcome, AuditRecord
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName
from shared.domain.kinds import FailureKind
from shared.domain.pending_account import PendingAccount
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.work import Work, WorkKind
from shared.ports import (
    Agenda,
    AuditLog,
    Clock,
    Entra,
    EntraFailed,
    GraphUnavailable,
    OAuthApps,
    Principals,
    Registrations,
    Remove,
    Replace,
    SignedIn,
    Stored,
)
from shared.usecases import use_case
from shared.usecases.bind_proven import BindProven
from shared.usecases.open_link import APP_UNAVAILABLE
from shared.usecases.outbox import Outbox
from shared.usecases.prove_access import AccessRefused
from shared.usecases.settle_link import SettleLink

log = logging.getLogger(__name__)

STILL_GOOD = timedelta(minutes=1)


class GiveUp(Exception):
    """Waiting longer will not help; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@use_case
class ResumePending:
    """Works the agenda's `probe` rows."""

    principals: Principals
    registrations: Registrations
    agenda: Agenda
    apps: OAuthApps
    entra: Entra
    bind: BindProven
    outbox: Outbox
    settle: SettleLink
    audit: AuditLog
    clock: Clock

    async def __call__(self, work: Work) -> None:
        """Probe once; a row that the pending account does not wait for means nothing."""
        stored = await self.principals.pending(work.owner, work.item)
        if stored is None:
            await self.settle(work.item, work.owner)
            return
        if stored.value.due != work.due:
            return
        link = await self.registrations.get(work.item)
        if link is None or link.value.stage is RegistrationStatus.COMPLETED:
            await self.principals.commit(work.owner, [Remove(stored.value, stored.version)])
            return
        try:
            await self._probe(stored, link)
        except GiveUp as given_up:
            await self._give_up(stored, link.value, given_up.code)

    async def _probe(self, stored: Stored[PendingAccount], link: Stored[PendingRegistration]) -> None:
        if link.value.stage is RegistrationStatus.REPLACED:
            raise GiveUp("link_replaced")
        if self.clock() >= stored.value.until:
            raise GiveUp(stored.value.reason)
        app = await self.apps.get(stored.value.app)
        if app is None:
            raise GiveUp(APP_UNAVAILABLE)
        pending = stored.value
        try:
            if pending.access_expires - self.clock() < STILL_GOOD:
                pending = pending.refreshed(await self.entra.refresh(app, pending.refresh_token))
            await self.bind(link.value, app, SignedIn(pending.principal, pending.tokens))
            self._record(pending, link.value, AuditOutcome.DONE)
        except EntraFailed as failed:
            if failed.failure.kind not in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}:
                raise GiveUp(failed.failure.code) from None
            await self._wait_on(stored, link, pending.looked("entra_unavailable", self.clock()))
        except GraphUnavailable:
            await self._wait_on(stored, link, pending.looked("graph_unavailable", self.clock()))
        except AccessRefused as refused:
            if refused.code != "account_busy" and not (pending.kept and refused.code == "no_mailbox_access"):
                raise GiveUp(refused.code) from None
            await self._wait_on(stored, link, pending.looked(refused.code, self.clock()))

    async def _wait_on(
        self, stored: Stored[PendingAccount], link: Stored[PendingRegistration], after: PendingAccount
    ) -> None:
        principal_id = after.principal.id
        await self.agenda.add(Work(WorkKind.PROBE, after.due, principal_id, after.registration))
        await self.principals.commit(principal_id, [Replace(after, stored.version)])
        if link.value.stage is not RegistrationStatus.WAITING_FOR_ACCESS:
            # A crash came before the link said so, or somebody else who waited too has given up since.
            with suppress(StaleWrite):  # somebody follows it right now; the next probe looks again
                await self.registrations.replace(link, link.value.waiting(principal_id, after.reason))
        log.info("access still awaited", extra={"registration": after.registration, "code": after.reason})

    async def _give_up(self, stored: Stored[PendingAccount], asked: PendingRegistration, code: str) -> None:
        """Delete the grant, tell the caller. The person's link stays what it was."""
        principal_id = stored.value.principal.id
        event = await self.outbox.event(principal_id, EventName.REGISTRATION_FAILED, asked.account, code)
        await self.principals.commit(principal_id, [Remove(stored.value, stored.version), event])
        await self.settle(asked.id, principal_id, code)
        self._record(stored.value, asked, AuditOutcome.REFUSED, code)
        log.info("access not given", extra={"registration": asked.id, "code": code})

    def _record(
        self, pending: PendingAccount, asked: PendingRegistration, outcome: AuditOutcome, code: str | None = None
    ) -> None:
        self.audit(
            AuditRecord(
                Action.RESUME_SIGN_IN,
                outcome,
                correlation=asked.id,
                actor=f"person:{pending.principal.id}",
                account=asked.account,
                target=asked.id,
                code=code,
            )
        )
