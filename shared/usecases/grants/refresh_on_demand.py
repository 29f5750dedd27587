"""Refresh a grant because a caller demands it: past the token that is there, and at most twice a minute."""

from shared.domain.errors import Conflict, StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.renewal import DEFAULT_TOKEN_REQUEST, TokenRequest
from shared.ports import Clock, Principals, Replace, Stored
from shared.usecases import use_case
from shared.usecases.grants.refresh_grant import Refreshed, RefreshGrant
from shared.usecases.grants.refusals import check_pause

MAX_WRITE_ATTEMPTS = 8


@use_case
class RefreshOnDemand:
    """The limit is of the grant, whichever of its accounts is named, by whomever, on whichever instance.

    It is written into the grant before Entra is asked: of callers who ask at the same moment, no more pass.
    """

    principals: Principals
    refresh: RefreshGrant
    clock: Clock

    async def __call__(
        self, stored: Stored[DelegatedGrant], wish: TokenRequest = DEFAULT_TOKEN_REQUEST, *, hand_out: bool = False
    ) -> Refreshed | None:
        """As RefreshGrant does. Raises TooManyRequests, Unavailable while Entra asks for a pause, and Conflict."""
        counted = await self._count(stored)
        return None if counted is None else await self.refresh(counted, wish, hand_out=hand_out, on_demand=True)

    async def _count(self, stored: Stored[DelegatedGrant]) -> Stored[DelegatedGrant] | None:
        current: Stored[DelegatedGrant] | None = stored
        for _ in range(MAX_WRITE_ATTEMPTS):
            if current is None:
                return None
            grant, now = current.value, self.clock()
            check_pause(grant, now)
            counted = grant.with_on_demand_refresh(now)
            try:
                versions = await self.principals.commit(grant.principal.id, [Replace(counted, current.version)])
            except StaleWrite:
                current = await self.principals.grant(grant.principal.id, grant.app)
            else:
                return Stored(counted, versions[0])
        raise Conflict("The account is being changed by others; try again")
