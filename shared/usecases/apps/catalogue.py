"""OAuth apps: list, read, register, change and delete them, and the cache of the apps in use.

A stored app with the id of the settings' app takes precedence over the settings.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from shared.domain.clouds import Cloud
from shared.domain.errors import AppInUse, AppOfSettings, InvalidInput, NotFound
from shared.domain.formats import MAX_APP_ID_CHARACTERS
from shared.domain.oauth_app import CircuitBreaker, OAuthApp, RegisteredApp, new_app_id
from shared.domain.ttl_cache import SharedCalls, TTLCache
from shared.ports import App, Clock, RegisteredApps, retry_on_conflict

log = logging.getLogger(__name__)

# Every instance notices a change within this time, and few refreshes wait for a read.
APPS_CACHE_LIFETIME = timedelta(seconds=30)
MAX_MISSING_IDS = 1000
ALL = "all"

type AppFields = Mapping[str, Any]
"""Values by field of RegisteredApp. Fields that are left out keep their value."""


@dataclass(slots=True)
class CachedOAuthApps:
    """All OAuth apps, read together. `seed` is the app of the settings."""

    rows: RegisteredApps
    seed: RegisteredApp
    clouds: Mapping[str, Cloud]
    clock: Clock
    _known: TTLCache[Mapping[str, OAuthApp]] = field(default_factory=lambda: TTLCache(1))
    _missing: TTLCache[bool] = field(default_factory=lambda: TTLCache(MAX_MISSING_IDS))
    _reads: SharedCalls = field(default_factory=SharedCalls)
    _changes: int = 0

    async def get(self, app: str) -> OAuthApp | None:
        """The app, enabled or not.

        An app that is not cached may be new, so its own row is read. All apps are read again only if that row exists,
        because callers can send any number of invented ids.
        """
        if len(app) > MAX_APP_ID_CHARACTERS:
            return None
        known, now = (await self._apps()).get(app), self.clock()
        if known is not None or self._missing.get(app, now):
            return known
        if await self.rows.get(app) is None:
            self._missing.put(app, value=True, since=now, until=now + APPS_CACHE_LIFETIME)
            return None
        self._forget_known()
        return (await self._apps()).get(app)

    async def all(self) -> Sequence[OAuthApp]:
        """Every app; that of the settings comes first."""
        return list((await self._apps()).values())

    def forget(self) -> None:
        """Drop the cache after a change in this process."""
        self._forget_known()
        self._missing = TTLCache(MAX_MISSING_IDS)

    def _forget_known(self) -> None:
        self._known = TTLCache(1)
        self._changes += 1

    async def _apps(self) -> Mapping[str, OAuthApp]:
        known = self._known.get(ALL, self.clock())
        if known is not None:
            return known
        # A read that began before a change in this process must not be shared after it.
        return await self._reads(str(self._changes), self._read)

    async def _read(self) -> Mapping[str, OAuthApp]:
        """Read all apps.

        They are cached from before the read, because they may change right after it. A cache that was dropped during
        the read is not filled.
        """
        cache, now = self._known, self.clock()
        registered = {self.seed.id: self.seed} | {app.id: app for app in await self.rows.all()}
        apps = {app.id: app.to_oauth_app(self.clouds) for app in registered.values()}
        cache.put(ALL, apps, now, now + APPS_CACHE_LIFETIME)
        return apps


class AppView(NamedTuple):
    """An app with its last fault. `stored` is False for the app of the settings until someone changes it.

    `shadows_settings`: it is stored, and counts instead of the settings.
    """

    app: RegisteredApp
    stored: bool
    shadows_settings: bool
    fault: CircuitBreaker | None
    accounts: int | None = None


async def list_oauth_apps(app: App, page: int, size: int) -> tuple[int, Sequence[AppView]]:
    """The number of apps, and one zero-based page of them, the newest first. Reads storage, not the cache."""
    stored = await app.stores.oauth_apps.all()
    seeds = [] if any(oauth_app.id == app.config.seed.id for oauth_app in stored) else [app.config.seed]
    newest_first = [*seeds, *stored][::-1]
    shown = newest_first[page * size : (page + 1) * size]
    return len(newest_first), await asyncio.gather(
        *(_view(app, oauth_app, stored=oauth_app is not app.config.seed) for oauth_app in shown)
    )


async def read_oauth_app(app: App, app_id: str) -> AppView:
    """One app, and how many accounts use it. Raises NotFound."""
    stored = await app.stores.oauth_apps.get(app_id)
    oauth_app = existing_app(app, app_id, stored.value if stored else None)
    return await _view(app, oauth_app, stored=stored is not None, accounts=await count_accounts(app, oauth_app.id))


def existing_app(app: App, app_id: str, stored: RegisteredApp | None) -> RegisteredApp:
    """The stored app, or that of the settings. Raises NotFound."""
    if stored is None and app_id != app.config.seed.id:
        raise NotFound("No such OAuth app")
    return stored or app.config.seed


def shadows_settings(app: App, app_id: str) -> bool:
    """Whether a stored app with this id counts instead of the settings."""
    return app_id == app.config.seed.id


async def count_accounts(app: App, app_id: str) -> int:
    """How many accounts use an app. Reads every account, so lists leave it out."""
    return sum([1 async for _ in app.stores.principals.accounts(None, None, app=app_id)])


async def _view(app: App, oauth_app: RegisteredApp, *, stored: bool, accounts: int | None = None) -> AppView:
    fault = await app.stores.breakers.get(oauth_app.id)
    shadows = stored and shadows_settings(app, oauth_app.id)
    return AppView(oauth_app, stored, shadows, fault.value if fault else None, accounts)


async def register_oauth_app(app: App, values: AppFields, faults: Mapping[str, str]) -> str:
    """Register an app and return its id. `faults` were found while parsing; raises InvalidInput with all faults."""
    now = app.clock()
    blank = RegisteredApp(id=new_app_id(now, app.entropy(4)), name="", client_id="", authority="", created=now)
    oauth_app = _changed_app(app, blank, values, faults)
    await app.stores.oauth_apps.insert(oauth_app)
    app.oauth_apps.forget()
    log.info("oauth app registered", extra={"app": oauth_app.id})
    return oauth_app.id


async def change_oauth_app(app: App, app_id: str, values: AppFields, faults: Mapping[str, str]) -> str:
    """Change an app and close its circuit breaker. Changing the app of the settings stores it.

    Raises NotFound, InvalidInput and Conflict.
    """

    def change(stored: RegisteredApp | None) -> RegisteredApp:
        return _changed_app(app, existing_app(app, app_id, stored), values, faults)

    changed = await app.stores.oauth_apps.update(app_id, change)
    app.oauth_apps.forget()
    await app.microsoft.entra.close_breaker(changed.to_oauth_app(app.config.clouds))
    log.info("oauth app changed", extra={"app": changed.id})
    return changed.id


def _changed_app(app: App, before: RegisteredApp, values: AppFields, faults: Mapping[str, str]) -> RegisteredApp:
    changed = before.changed(values, app.clock())
    errors = changed.validation_errors(app.config.clouds, app.config.redirect_uri)
    errors |= changed.misplaced_credentials(values)
    all_faults = {**dict(_as_field_fault(name, error) for name, error in errors.items()), **faults}
    if all_faults:
        raise InvalidInput(all_faults)
    return changed


def _as_field_fault(attribute: str, error: str) -> tuple[str, str]:
    """The API's field, which is the attribute's name in camel case, and the error as a sentence."""
    first, *others = attribute.split("_")
    field = first + "".join(map(str.capitalize, others))
    return field, f'"{field}" {error}'


async def delete_oauth_app(app: App, app_id: str, *, force: bool) -> int:
    """Delete an app, and return how many accounts use it. Raises NotFound, AppInUse unless forced, and Conflict.

    Its accounts remain. They can use their access tokens until these expire; refreshes then report that the app is
    missing.

    For the app of the settings, only the stored changes are deleted. Without any, raises AppOfSettings.
    """
    deleted, accounts = await retry_on_conflict(partial(_remove_app, app, app_id, force=force))
    app.oauth_apps.forget()
    await app.microsoft.entra.close_breaker(deleted.to_oauth_app(app.config.clouds))
    log.warning("oauth app deleted", extra={"app": app_id, "accounts": accounts})
    return accounts


async def _remove_app(app: App, app_id: str, *, force: bool) -> tuple[RegisteredApp, int]:
    is_seed = app_id == app.config.seed.id
    stored = await app.stores.oauth_apps.get(app_id)
    if stored is None:
        raise AppOfSettings if is_seed else NotFound("No such OAuth app")
    accounts = await count_accounts(app, app_id)
    if accounts and not force and not is_seed:
        raise AppInUse(accounts)
    await app.stores.oauth_apps.remove(stored)
    return stored.value, accounts
