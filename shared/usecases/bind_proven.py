"""Prove, then bind: the one way from a sign-in to a bound account, at the callback and on the agenda."""

from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.ports import Principals, SignedIn
from shared.usecases import use_case
from shared.usecases.bind_mailbox import BindMailbox, Bound, Proven
from shared.usecases.find_account import FindAccount
from shared.usecases.prove_access import ProveAccess, check_principal


@use_case
class BindProven:
    """Nothing is bound before the mailbox opened."""

    principals: Principals
    find: FindAccount
    prove: ProveAccess
    bind: BindMailbox

    async def __call__(self, asked: PendingRegistration, app: OAuthApp, signed_in: SignedIn) -> Bound:
        """Raises AccessRefused and GraphUnavailable, with nothing changed."""
        found = await self.find(asked.account)
        holder = found.account.value if found else None
        partition = await self.principals.partition(signed_in.principal.id)
        check_principal(asked, app, signed_in.principal, holder, partition)
        proof = await self.prove(asked, app, signed_in, holder)
        return await self.bind(Proven(asked, app, signed_in, proof))
