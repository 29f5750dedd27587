"""Reauthorize an account: a link that repairs it, for the person and the mailbox that it has."""

from collections.abc import Mapping

from shared.domain.caller import Caller
from shared.domain.errors import Conflict
from shared.ports import OAuthApps
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.sign_in.check_invitation import Invitation
from shared.usecases.sign_in.start_registration import Started, StartRegistration


@use_case
class ReauthorizeAccount:
    """An ordinary invitation, in which the account fills in all but where its person goes afterwards."""

    find: FindAccount
    apps: OAuthApps
    start: StartRegistration

    async def __call__(
        self, account: str, redirect_url: str | None, faults: Mapping[str, str], caller: Caller
    ) -> Started:
        """The link. Raises NotFound, InvalidInput, and Conflict when the account's OAuth app is no more."""
        found = await self.find.known(account)
        held = found.account.value
        app = await self.apps.get(held.app)
        if app is None or not app.enabled:
            raise Conflict(
                "The OAuth app that the account is bound through is gone or disabled. Enable it, or bind the account"
                ' through another one: POST /v1/authentication/form with its "type"'
            )
        invitation = Invitation(
            redirect_url=redirect_url,
            account=held.id,
            email=held.email,
            delegated=held.shared,
            type=held.app,
            principal_id=held.principal_id,
            named=False,
        )
        return await self.start(invitation, faults, caller)
