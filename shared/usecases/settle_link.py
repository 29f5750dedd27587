"""Settle a link: say on it what became of waiting that has ended."""

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.registration import BindOutcome
from shared.ports import Clock, Principals, Registrations
from shared.usecases import use_case
from shared.usecases.find_account import FindAccount

TRIES = 8


@use_case
class SettleLink:
    """The pending account goes in one transaction with what became of it, the link says so afterwards.

    A crash between the two would leave a link that waits for ever, so this is safe to repeat, and is repeated for every
    probe that finds no pending account. A link waits only after its pending account was written, and every new waiting
    writes the link: so a link that still waits when the pending account is gone is settled by exactly one.
    """

    registrations: Registrations
    principals: Principals
    find: FindAccount
    clock: Clock

    async def __call__(self, registration: str, principal_id: str, code: str | None = None) -> None:
        """Nothing happens unless the link waits for this principal; `code` says why there is no account."""
        for _ in range(TRIES):
            link = await self.registrations.get(registration)
            if link is None or not link.value.waits_for(principal_id):
                return
            if await self.principals.pending(principal_id, registration) is not None:
                return
            found = await self.find(link.value.account)
            bound = found is not None and found.account.value.registration == registration
            if found is not None and bound and found.account.value.principal_id == principal_id:
                settled = link.value.completed_by(principal_id, _outcome(found.account.value), self.clock())
            else:
                settled = link.value.given_up(code or link.value.failure or "no_mailbox_access")
            try:
                await self.registrations.replace(link, settled)
            except StaleWrite:
                continue
            return


def _outcome(account: Account) -> BindOutcome:
    return BindOutcome.NEW if account.created == account.bound else BindOutcome.EXISTING
