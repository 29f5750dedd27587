"""Answer a claims challenge: an API refused a caller's token, and says what a better one must meet."""

from shared.domain.clouds import Resource
from shared.domain.errors import InvalidInput
from shared.domain.failure import FailureKind
from shared.domain.renewal import SIGN_IN_FAILURE_KINDS, TokenRequest
from shared.ports import Clock
from shared.usecases import use_case
from shared.usecases.grants.hand_out import HandedOut, HandOut, handed_out
from shared.usecases.grants.refresh_on_demand import RefreshOnDemand
from shared.usecases.grants.refusals import check_askable, refusal, settled


@use_case
class AnswerChallenge:
    """A refresh with the claims, past the token that is there (Entra: "Claims challenges, claims requests").

    Callers who may take an account's tokens may pass claims on, and may make them up. So claims alone never stop a
    grant: when Entra asks for a person, it is asked again without them, and other callers go on as long as that
    succeeds. What Microsoft returns waits a day for the next sign-in; the caller's claims are not kept.
    """

    hand_out: HandOut
    refresh: RefreshOnDemand
    clock: Clock

    async def __call__(self, account_id: str, claims: str, resource: Resource | None = None) -> HandedOut:
        """A token that meets the claims, which `read_challenge` wrote. Raises as HandOut does, and TooManyRequests."""
        account, stored = await self.hand_out.look_up(account_id)
        grant = stored.value
        resource = resource or grant.resource
        await self.hand_out.check_covered(grant, resource)
        check_askable(grant, self.clock())
        refreshed = await self.refresh(stored, TokenRequest(resource, claims), hand_out=True)
        refused = refreshed.refused if refreshed and refreshed.failure is None else None
        if refused is not None and refused.kind in SIGN_IN_FAILURE_KINDS:
            raise refusal("claims_challenge")
        if refused is not None and refused.kind is FailureKind.APP_FAULT:
            raise InvalidInput({"claims": '"claims" are not such as Microsoft accepts'})
        grant = settled(refreshed)
        return handed_out(account, grant, grant.token_for(resource), cached=False)
