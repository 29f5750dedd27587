"""Read an account, with what keeps it alive."""

from dataclasses import dataclass

from shared.domain.account import Account
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.ports import OAuthApps, Principals
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """An account; its grant and its OAuth app are None when they are gone."""

    account: Account
    grant: DelegatedGrant | None
    app: OAuthApp | None


@use_case
class ReadAccount:
    """Three point reads."""

    principals: Principals
    apps: OAuthApps
    find: FindAccount

    async def __call__(self, account: str) -> AccountDetails:
        """The account of that id. Raises NotFound."""
        found = await self.find.known(account)
        held = found.account.value
        grant = await self.principals.grant(held.principal_id, held.app)
        return AccountDetails(held, grant.value if grant else None, await self.apps.get(held.app))
