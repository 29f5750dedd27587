"""Reconnect: refresh and probe an account now."""

from shared.domain.account import Account
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.ports import Principals
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.probe_mailboxes import ProbeMailboxes
from shared.usecases.grants.refresh_on_demand import RefreshOnDemand


@use_case
class ReconnectAccount:
    """Also asks for a grant that was given up: an administrator may have mended what was wrong."""

    principals: Principals
    find: FindAccount
    refresh: RefreshOnDemand
    probe: ProbeMailboxes

    async def __call__(self, account: str) -> Account:
        """The account as it is afterwards. Raises NotFound, Conflict, and TooManyRequests for each grant."""
        found = await self.find.known(account)
        held = found.account.value
        try:
            grant = await self.principals.grant(held.principal_id, held.app)
            refreshed = await self.refresh(grant) if grant else None
            current = await self.principals.account(held.principal_id, held.id)
            if refreshed is not None and refreshed.failure is None and current is not None:
                return (await self.probe.one(current, refreshed.grant))[0]
        except StaleWrite:
            raise Conflict("The account is being changed by others; try again") from None
        if current is None:
            raise NotFound("No such account")
        return current.value
