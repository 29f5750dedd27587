"""Keep checking: wait for a mailbox to open, without a second sign-in."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite
from shared.domain.pending_account import PendingAccount, wait_for_access
from shared.domain.principal import Principal
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
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
from shared.usecases.browser_binding import BrowserBinding

log = logging.getLogger(__name__)

KEEP = "keep"
OFFER_LASTS = timedelta(minutes=30)
TRIES = 8


@dataclass(frozen=True, slots=True)
class KeepChecking:
    """Until the person asks for it, nothing of a refused grant is stored.

    It rides, sealed for their browser and this registration, in the page's own form. Only the refresh token does: the
    first probe gets its own access token.
    """

    principals: Principals
    registrations: Registrations
    agenda: Agenda
    binding: BrowserBinding
    clock: Clock

    async def offer(self, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> str:
        """The form field that carries the grant."""
        principal = signed_in.principal
        carried = {
            "tid": principal.tenant_id,
            "oid": principal.object_id,
            "name": principal.sign_in_name,
            "refresh": signed_in.tokens.refresh_token.reveal(),
            "scopes": signed_in.tokens.scopes,
            "until": (self.clock() + OFFER_LASTS).isoformat(),
        }
        return await self.binding.seal(KEEP, asked.id, cookie, Secret(json.dumps(carried)))

    async def __call__(
        self, registration: str, field: str, cookie: Secret | None
    ) -> tuple[PendingRegistration, PendingAccount] | None:
        """Begin to wait; None when the offer is not this browser's, too old, or the link is used or expired."""
        stored = await self.registrations.get(registration)
        carried = await self.binding.unseal(KEEP, registration, cookie, field)
        if stored is None or carried is None or not stored.value.usable(self.clock()):
            return None
        offered = json.loads(carried.reveal())
        now = self.clock()
        if now >= datetime.fromisoformat(offered["until"]):
            return None
        # Already expired: the first probe asks for an access token of its own.
        tokens = TokenSet(Secret(offered["refresh"]), Secret(""), now, tuple(offered["scopes"]))
        pending = wait_for_access(
            registration=registration,
            principal=Principal(offered["tid"], offered["oid"], offered["name"]),
            app=stored.value.app,
            tokens=tokens,
            kept=True,
            reason="no_mailbox_access",
            now=now,
        )
        return (stored.value, pending) if await self.wait(pending) else None

    async def wait(self, pending: PendingAccount) -> bool:
        """Write the pending account down: agenda first, then truth, then the pointer. False when the link is used."""
        principal_id, registration = pending.principal.id, pending.registration
        await self.agenda.add(Work(WorkKind.PROBE, pending.due, principal_id, registration))
        for _ in range(TRIES):
            before = await self.principals.pending(principal_id, registration)
            change: Change = Insert(pending) if before is None else Replace(pending, before.version)
            try:
                await self.principals.commit(principal_id, [change])
                break
            except StaleWrite:
                continue
        for _ in range(TRIES):
            stored = await self.registrations.get(registration)
            if stored is None or not stored.value.usable(self.clock()):
                return False
            try:
                await self.registrations.replace(stored, stored.value.waiting(principal_id, pending.reason))
            except StaleWrite:
                continue
            log.info("access awaited", extra={"registration": registration, "code": pending.reason})
            return True
        return False
