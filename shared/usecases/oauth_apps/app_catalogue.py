"""The OAuth apps as operators see them: that of the settings among those of the table."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import NotFound
from shared.domain.oauth_app import CircuitBreaker, RegisteredApp
from shared.ports import Principals, RegisteredApps, Rows
from shared.usecases import use_case


@dataclass(frozen=True, slots=True)
class AppView:
    """An app with its last fault. `stored` is false for that of the settings while nobody has changed it."""

    app: RegisteredApp
    stored: bool
    fault: CircuitBreaker | None
    accounts: int | None = None


@use_case
class AppCatalogue:
    """Reads the table itself, so that what is shown is what is kept."""

    rows: RegisteredApps
    seed: RegisteredApp
    breakers: Rows[CircuitBreaker]
    principals: Principals

    async def page(self, page: int, size: int) -> tuple[int, Sequence[AppView]]:
        """How many there are, and one zero-based page of them, the newest first."""
        found = await self.rows.all()
        seeds = [] if any(app.id == self.seed.id for app in found) else [self.seed]
        newest = [*seeds, *found][::-1]
        shown = newest[page * size : (page + 1) * size]
        return len(newest), await asyncio.gather(*(self._view(app, stored=app is not self.seed) for app in shown))

    async def one(self, app: str) -> AppView:
        """One app, and how many accounts use it. Raises NotFound."""
        stored = await self.rows.get(app)
        if stored is None and app != self.seed.id:
            raise NotFound("No such OAuth app")
        found = stored.value if stored else self.seed
        return await self._view(found, stored=stored is not None, accounts=await self.accounts(found.id))

    async def accounts(self, app: str) -> int:
        """How many accounts use an app. Storage looks at every account there is, so listings do not say it."""
        return sum([1 async for _ in self.principals.accounts(None, None, app=app)])

    async def _view(self, app: RegisteredApp, *, stored: bool, accounts: int | None = None) -> AppView:
        fault = await self.breakers.get(app.id)
        return AppView(app, stored, fault.value if fault else None, accounts)
