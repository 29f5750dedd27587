"""Register an OAuth app, and change one."""

import logging
from collections.abc import Mapping
from typing import Any

from shared.domain.clouds import Cloud
from shared.domain.errors import Conflict, InvalidInput, NotFound, StaleWrite
from shared.domain.oauth_app import RegisteredApp, new_app_id
from shared.ports import Clock, Entropy, RegisteredApps
from shared.usecases import use_case
from shared.usecases.oauth_apps.guarded_entra import GuardedEntra
from shared.usecases.oauth_apps.known_apps import KnownApps

log = logging.getLogger(__name__)

TRIES = 8

type Told = Mapping[str, Any]
"""Values by field of RegisteredApp; what is left out stays as it is."""


@use_case
class RegisterApp:
    """`seed` is the app of the settings: changing it writes a row, which stands before the settings from then on."""

    rows: RegisteredApps
    seed: RegisteredApp
    clouds: Mapping[str, Cloud]
    redirect_uri: str
    known: KnownApps
    entra: GuardedEntra
    clock: Clock
    entropy: Entropy

    async def __call__(self, told: Told, faults: Mapping[str, str]) -> str:
        """Register one; returns its id. `faults` were found in reading; raises InvalidInput with all there are."""
        now = self.clock()
        new = RegisteredApp(id=new_app_id(now, self.entropy(4)), name="", client_id="", authority="", created=now)
        app = self._checked(new, told, faults)
        await self.rows.insert(app)
        self.known.forget()
        log.info("oauth app registered", extra={"app": app.id})
        return app.id

    async def change(self, app: str, told: Told, faults: Mapping[str, str]) -> str:
        """Change one, and ask Microsoft anew whether it is refused. Raises NotFound, InvalidInput and Conflict."""
        for _ in range(TRIES):
            stored = await self.rows.get(app)
            if stored is None and app != self.seed.id:
                raise NotFound("No such OAuth app")
            after = self._checked(stored.value if stored else self.seed, told, faults)
            try:
                await (self.rows.insert(after) if stored is None else self.rows.replace(stored, after))
            except StaleWrite:
                continue
            self.known.forget()
            await self.entra.forgive(after.to_oauth_app(self.clouds))
            log.info("oauth app changed", extra={"app": after.id})
            return after.id
        raise Conflict("The OAuth app is being changed by others; try again")

    def _checked(self, before: RegisteredApp, told: Told, faults: Mapping[str, str]) -> RegisteredApp:
        after = before.changed(told, self.clock())
        found = {
            **after.validation_errors(self.clouds, self.redirect_uri),
            **after.misplaced_credentials(told),
            **faults,
        }
        if found:
            raise InvalidInput(found)
        return after
