"""List, read, register, change and delete OAuth apps, the one of the settings among them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.domain.errors import AppInUse, AppOfSettings, InvalidInput, NotFound
from shared.domain.oauth_app import CircuitBreaker, RegisteredApp, new_app_id
from shared.ports import App, retry_on_conflict

log = logging.getLogger(__name__)


type Told = Mapping[str, Any]
"""Values by field of RegisteredApp; what is left out stays as it is."""


@dataclass(frozen=True, slots=True)
class AppView:
    """An app with its last fault. `stored` is false for that of the settings while nobody has changed it."""

    app: RegisteredApp
    stored: bool
    fault: CircuitBreaker | None
    accounts: int | None = None


async def list_oauth_apps(app: App, page: int, size: int) -> tuple[int, Sequence[AppView]]:
    """How many there are, and one zero-based page of them, the newest first.

    Reads the table itself, so that what is shown is what is kept.
    """
    found = await app.stores.oauth_apps.all()
    seeds = [] if any(oauth_app.id == app.config.seed.id for oauth_app in found) else [app.config.seed]
    newest = [*seeds, *found][::-1]
    shown = newest[page * size : (page + 1) * size]
    return len(newest), await asyncio.gather(
        *(_view(app, oauth_app, stored=oauth_app is not app.config.seed) for oauth_app in shown)
    )


async def read_oauth_app(app: App, app_id: str) -> AppView:
    """One app, and how many accounts use it. Raises NotFound."""
    stored = await app.stores.oauth_apps.get(app_id)
    if stored is None and app_id != app.config.seed.id:
        raise NotFound("No such OAuth app")
    found = stored.value if stored else app.config.seed
    return await _view(app, found, stored=stored is not None, accounts=await count_accounts(app, found.id))


async def count_accounts(app: App, app_id: str) -> int:
    """How many accounts use an app. Storage looks at every account there is, so listings do not say it."""
    return sum([1 async for _ in app.stores.principals.accounts(None, None, app=app_id)])


async def _view(app: App, oauth_app: RegisteredApp, *, stored: bool, accounts: int | None = None) -> AppView:
    fault = await app.stores.breakers.get(oauth_app.id)
    return AppView(oauth_app, stored, fault.value if fault else None, accounts)


async def register_oauth_app(app: App, told: Told, faults: Mapping[str, str]) -> str:
    """Register one; returns its id. `faults` were found in reading; raises InvalidInput with all there are.

    `seed` is the app of the settings: changing it writes a row, which stands before the settings from then on.
    """
    now = app.clock()
    new = RegisteredApp(id=new_app_id(now, app.entropy(4)), name="", client_id="", authority="", created=now)
    oauth_app = _checked(app, new, told, faults)
    await app.stores.oauth_apps.insert(oauth_app)
    app.oauth_apps.forget()
    log.info("oauth app registered", extra={"app": oauth_app.id})
    return oauth_app.id


async def change_oauth_app(app: App, app_id: str, told: Told, faults: Mapping[str, str]) -> str:
    """Change one, and ask Microsoft anew whether it is refused. Raises NotFound, InvalidInput and Conflict."""

    def change(stored: RegisteredApp | None) -> RegisteredApp:
        if stored is None and app_id != app.config.seed.id:
            raise NotFound("No such OAuth app")
        return _checked(app, stored or app.config.seed, told, faults)

    changed = await app.stores.oauth_apps.update(app_id, change)
    app.oauth_apps.forget()
    await app.microsoft.entra.forgive(changed.to_oauth_app(app.config.clouds))
    log.info("oauth app changed", extra={"app": changed.id})
    return changed.id


def _checked(app: App, before: RegisteredApp, told: Told, faults: Mapping[str, str]) -> RegisteredApp:
    after = before.changed(told, app.clock())
    errors = after.validation_errors(app.config.clouds, app.config.redirect_uri) | after.misplaced_credentials(told)
    all_faults = {**dict(_as_field_fault(name, error) for name, error in errors.items()), **faults}
    if all_faults:
        raise InvalidInput(all_faults)
    return after


def _as_field_fault(attribute: str, error: str) -> tuple[str, str]:
    """The field of the API, whose name is the attribute's in camel case, and the error as a sentence."""
    first, *others = attribute.split("_")
    field = first + "".join(map(str.capitalize, others))
    return field, f'"{field}" {error}'


async def delete_oauth_app(app: App, app_id: str, *, force: bool) -> int:
    """Delete it; returns how many accounts use it. Raises NotFound, AppInUse unless forced, and Conflict.

    Its accounts stay, and hand out what is still good; what comes due afterwards finds no app and says so.

    Of the app of the settings only the changes go; without any it raises AppOfSettings.
    """
    accounts = await count_accounts(app, app_id)
    deleted = await retry_on_conflict(partial(_remove_app, app, app_id, 0 if force else accounts))
    app.oauth_apps.forget()
    await app.microsoft.entra.forgive(deleted.to_oauth_app(app.config.clouds))
    log.warning("oauth app deleted", extra={"app": app_id, "accounts": accounts})
    return accounts


async def _remove_app(app: App, app_id: str, accounts: int) -> RegisteredApp:
    is_seed = app_id == app.config.seed.id
    stored = await app.stores.oauth_apps.get(app_id)
    if stored is None:
        raise AppOfSettings if is_seed else NotFound("No such OAuth app")
    if accounts and not is_seed:
        raise AppInUse(accounts)
    await app.stores.oauth_apps.remove(stored)
    return stored.value
