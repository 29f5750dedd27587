"""Settle a link: say on it what became of waiting that has ended."""

from collections.abc import Mapping

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.ports import Clock, Principals, Registrations
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount

TRIES = 8


@use_case
class SettleLink:
    """The pending account changes in one transaction with what became of its mailboxes, the link says so afterwards.

    A crash between the two would leave a link that waits for ever, so this is safe to repeat, and is repeated for every
    probe that finds no pending account. A link waits only after its pending account was written, and every new waiting
    writes the link: so what still waits when the pending account knows nothing of it is settled by exactly one.
    """

    registrations: Registrations
    principals: Principals
    find: FindAccount
    clock: Clock

    async def __call__(self, registration: str, principal_id: str, codes: Mapping[str, str] | None = None) -> None:
        """Nothing happens unless the link waits for this principal; `codes` say by account why it is not bound."""
        for _ in range(TRIES):
            link = await self.registrations.get(registration)
            waits = (
                [mailbox for mailbox in link.value.mailboxes if mailbox.is_waiting_for(principal_id)] if link else []
            )
            pending = await self.principals.pending(principal_id, registration) if waits else None
            results = {
                mailbox.account: await self._became(registration, principal_id, mailbox, codes or {})
                for mailbox in waits
                if pending is None or not pending.value.includes(mailbox.account)
            }
            if link is None or not results:
                return
            settled = link.value.after_sign_in(principal_id, results, self.clock(), stop_waiting=True)
            try:
                await self.registrations.replace(link, settled)
            except StaleWrite:
                continue
            return

    async def _became(
        self, registration: str, principal_id: str, mailbox: InvitedMailbox, codes: Mapping[str, str]
    ) -> MailboxResult:
        found = await self.find(mailbox.account)
        account = found.account.value if found else None
        if account is not None and account.registration == registration and account.principal_id == principal_id:
            return as_bound(account)
        code = codes.get(mailbox.account) or mailbox.failure or "no_mailbox_access"
        return MailboxResult(MailboxState.REFUSED, code)


def as_bound(account: Account) -> MailboxResult:
    """What the link that bound an account says of it."""
    state = MailboxState.NEW if account.created == account.bound else MailboxState.EXISTING
    return MailboxResult(state, email=account.email)
