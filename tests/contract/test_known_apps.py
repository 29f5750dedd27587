"""OAuth apps are read once for all concurrent callers."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from shared.domain.oauth_app import RegisteredApp
from shared.ports import App, Stored
from shared.usecases.apps.catalogue import CachedOAuthApps


class Gated:
    """The rows of OAuth apps. Reads return once the gate is open, with the state at the time of the call."""

    def __init__(self, services: App) -> None:
        self.rows = services.stores.oauth_apps
        self.gate = asyncio.Event()
        self.reads = 0

    async def get(self, app: str) -> Stored[RegisteredApp] | None:
        return await self.rows.get(app)

    async def all(self) -> Sequence[RegisteredApp]:
        self.reads += 1
        found = await self.rows.all()
        await self.gate.wait()
        return found


def known(services: App, rows: Gated) -> CachedOAuthApps:
    return CachedOAuthApps(rows, services.config.seed, services.config.clouds, services.clock)  # type: ignore[arg-type] # passes on


async def test_callers_share_a_read_that_survives_a_cancellation(services: App) -> None:
    rows = Gated(services)
    apps = known(services, rows)
    waiting = [asyncio.create_task(apps.all()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    rows.gate.set()

    found = await asyncio.gather(*waiting[1:])

    assert 1 == rows.reads
    assert all(services.config.seed.id in {app.id for app in each} for each in found)


async def test_who_asks_after_a_change_shares_no_read_from_before_it(services: App) -> None:
    rows, seed = Gated(services), services.config.seed
    apps = known(services, rows)
    before = asyncio.create_task(apps.get(seed.id))
    while not rows.reads:  # noqa: ASYNC110 - there is no event for a read that has begun
        await asyncio.sleep(0.01)
    stored = await rows.get(seed.id)
    changed = replace(stored.value if stored else seed, title="Changed")
    await (
        services.stores.oauth_apps.replace(stored, changed) if stored else services.stores.oauth_apps.insert(changed)
    )
    apps.forget()
    after = asyncio.create_task(apps.get(seed.id))
    await asyncio.sleep(0.1)
    rows.gate.set()

    assert (await before) is not None
    found = await after
    assert found is not None
    assert "Changed" == found.name
    assert found == await apps.get(seed.id)
    kept = await services.stores.oauth_apps.get(seed.id)
    assert kept is not None
    await services.stores.oauth_apps.remove(kept)
