"""Bind a proven mailbox to its principal: claim the id, write the truth, confirm the claim."""

import logging
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.invited_mailbox import LINK_CANCELLED, BindRequest, InvitedMailbox, MailboxState
from shared.domain.registration import RegistrationStatus
from shared.domain.webhook import can_change_accounts, can_register
from shared.ports import Clock, Directory, Principals, Registrations
from shared.usecases import use_case
from shared.usecases.callers.standing_callers import StandingCallers
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.prove_access import AccessRefused, check_mailbox, check_principal
from shared.usecases.grants.remove_account import RemoveAccount
from shared.usecases.sign_in.claim_account import ClaimAccount
from shared.usecases.sign_in.live_links import WITHDRAWN
from shared.usecases.sign_in.write_binding import Proven, WriteBinding

log = logging.getLogger(__name__)

TRIES = 8


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound account, and whether its id was there before: `new` or `existing`."""

    account: Account
    state: MailboxState


@use_case
class BindMailbox:
    """Every step is safe to repeat, and a claim whose transaction never came is taken over."""

    principals: Principals
    directory: Directory
    registrations: Registrations
    callers: StandingCallers
    find: FindAccount
    claim: ClaimAccount
    write: WriteBinding
    remove: RemoveAccount
    clock: Clock

    async def __call__(self, proven: Proven) -> Bound:
        """Bind, or raise AccessRefused with nothing changed."""
        for _ in range(TRIES):
            try:
                return await self._once(proven)
            except StaleWrite:
                continue
            except AccessRefused:
                await self.claim.release(proven)
                raise
        raise AccessRefused("account_busy")

    async def _once(self, proven: Proven) -> Bound:
        if proven.request.through is None:
            proven = replace(proven, request=await self._authorized(proven.request))
        request, principal = proven.request, proven.signed_in.principal
        partition = await self.principals.partition(principal.id)
        entry = await self.directory.get(request.account)
        found = await self.find.behind(entry) if entry else None
        holder = found.account.value if found else None
        check_principal(request, proven.app, principal, holder, partition)
        check_mailbox(request, proven.proof, holder)
        claimed = await self.claim(proven, entry, holder)
        if request.through is None:
            await self._check_not_ended(request)
        account = await self.write(proven, partition, holder)
        await self.claim.confirm(claimed, account, partition)
        if holder is not None and holder.principal_id != principal.id:
            await self.remove.leftover(holder)
        state = _state(request, holder)
        log.info("mailbox bound", extra={"by": request.by, "principal": principal.id, "state": state})
        return Bound(account, state)

    async def _authorized(self, request: BindRequest) -> BindRequest:
        """The request with the authority that its caller has now. Raises AccessRefused when the link has ended.

        Where the link's end is near it is postponed: optimistic locking decides between expiry and binding.
        """
        link = await self.registrations.for_account(request.by, request.account)
        now = self.clock()
        mailbox = link.value.mailbox_for(request.account) if link else None
        _refuse_ended(mailbox)
        if link is None or mailbox is None or mailbox.is_settled:
            raise AccessRefused("link_used")
        if link.value.stage is RegistrationStatus.EXPIRED:
            raise AccessRefused("link_expired")
        if link.value.expires_during_binding(now):
            await self.registrations.replace(link, replace(link.value, being_bound=now))
        requester = await self.callers(link.value.requested_by)
        if not can_register(requester, [request.account]):
            raise AccessRefused(WITHDRAWN)
        return request.with_permissions(may_change=can_change_accounts(requester))

    async def _check_not_ended(self, request: BindRequest) -> None:
        """Raise AccessRefused when the link was ended while the account's id was claimed.

        What another tab of the same person bound meanwhile ends nothing: both tabs come to the same account.
        """
        link = await self.registrations.for_account(request.by, request.account)
        _refuse_ended(link.value.mailbox_for(request.account) if link else None)


def _refuse_ended(mailbox: InvitedMailbox | None) -> None:
    if mailbox is not None and mailbox.state in {MailboxState.REPLACED, MailboxState.CANCELLED}:
        raise AccessRefused(mailbox.failure or LINK_CANCELLED)


def _state(request: BindRequest, before: Account | None) -> MailboxState:
    # After a crash before the link said so, the account of this very link is there; it is still a new one.
    known = before is not None and (before.registration != request.by or before.created != before.bound)
    return MailboxState.EXISTING if known else MailboxState.NEW
