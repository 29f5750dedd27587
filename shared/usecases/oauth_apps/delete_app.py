"""Delete an OAuth app."""

import logging
from collections.abc import Mapping

from shared.domain.clouds import Cloud
from shared.domain.errors import AppInUse, AppOfSettings, Conflict, NotFound, StaleWrite
from shared.domain.oauth_app import RegisteredApp
from shared.ports import RegisteredApps
from shared.usecases import use_case
from shared.usecases.oauth_apps.app_catalogue import AppCatalogue
from shared.usecases.oauth_apps.guarded_entra import GuardedEntra
from shared.usecases.oauth_apps.known_apps import KnownApps

log = logging.getLogger(__name__)

TRIES = 8


@use_case
class DeleteApp:
    """Its accounts stay, and hand out what is still good; what comes due afterwards finds no app and says so."""

    rows: RegisteredApps
    seed: RegisteredApp
    clouds: Mapping[str, Cloud]
    catalogue: AppCatalogue
    known: KnownApps
    entra: GuardedEntra

    async def __call__(self, app: str, *, force: bool) -> int:
        """Delete it; returns how many accounts use it. Raises NotFound, AppInUse unless forced, and Conflict.

        Of the app of the settings only the changes go; without any it raises AppOfSettings.
        """
        accounts: int | None = None
        for _ in range(TRIES):
            stored = await self.rows.get(app)
            if stored is None:
                raise AppOfSettings if app == self.seed.id else NotFound("No such OAuth app")
            accounts = await self.catalogue.accounts(stored.value.id) if accounts is None else accounts
            if accounts and not force and stored.value.id != self.seed.id:
                raise AppInUse(accounts)
            try:
                await self.rows.remove(stored)
            except StaleWrite:
                continue
            self.known.forget()
            await self.entra.forgive(stored.value.to_oauth_app(self.clouds))
            log.warning("oauth app deleted", extra={"app": stored.value.id, "accounts": accounts})
            return accounts
        raise Conflict("The OAuth app is being changed by others; try again")
