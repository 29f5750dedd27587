"""Know the OAuth apps: the one of the settings and those of the table, read together and trusted for half a minute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.clouds import Cloud
from shared.domain.formats import MAX_APP_ID_CHARACTERS
from shared.domain.oauth_app import OAuthApp, RegisteredApp
from shared.domain.ttl_cache import SharedCalls, TTLCache
from shared.ports import Clock, RegisteredApps

# Every instance notices a change within this time; a refresh seldom waits for a read.
CACHE_LIFETIME = timedelta(seconds=30)
MAX_MISSING = 1000
ALL = "all"


@dataclass(slots=True)
class CachedOAuthApps:
    """`seed` is the app of the settings; a row of the same id stands before it."""

    rows: RegisteredApps
    seed: RegisteredApp
    clouds: Mapping[str, Cloud]
    clock: Clock
    _known: TTLCache[Mapping[str, OAuthApp]] = field(default_factory=lambda: TTLCache(1))
    _missing: TTLCache[bool] = field(default_factory=lambda: TTLCache(MAX_MISSING))
    _reads: SharedCalls = field(default_factory=SharedCalls)
    _changes: int = 0

    async def get(self, app: str) -> OAuthApp | None:
        """The app, enabled or not. One that is not known here may be new: its absence is read, not assumed.

        Its own row is, for nobody's made-up id is worth reading all apps.
        """
        if len(app) > MAX_APP_ID_CHARACTERS:
            return None
        found, now, missing = (await self._apps()).get(app), self.clock(), self._missing
        if found is not None or missing.get(app, now):
            return found
        if await self.rows.get(app) is None:
            missing.put(app, value=True, since=now, until=now + CACHE_LIFETIME)
            return None
        self._forget_known()
        return (await self._apps()).get(app)

    async def all(self) -> Sequence[OAuthApp]:
        """Every app, the first one first."""
        return list((await self._apps()).values())

    def forget(self) -> None:
        """Trust nothing of what was read: something was changed here just now."""
        self._forget_known()
        self._missing = TTLCache(MAX_MISSING)

    def _forget_known(self) -> None:
        self._known = TTLCache(1)
        self._changes += 1

    async def _apps(self) -> Mapping[str, OAuthApp]:
        known = self._known.get(ALL, self.clock())
        if known is not None:
            return known
        # A read that began before a change here is not one to share.
        return await self._reads(str(self._changes), self._read)

    async def _read(self) -> Mapping[str, OAuthApp]:
        """Kept from before the read on, because what was read may have been changed right after.

        What is forgotten meanwhile is not kept.
        """
        known, now = self._known, self.clock()
        registered = {self.seed.id: self.seed} | {app.id: app for app in await self.rows.all()}
        apps = {app.id: app.to_oauth_app(self.clouds) for app in registered.values()}
        known.put(ALL, apps, now, now + CACHE_LIFETIME)
        return apps
