"""How API tokens are read and cached."""

import asyncio
from dataclasses import replace

from shared.domain.caller import ApiToken, Caller, Scope
from shared.domain.formats import fingerprint
from shared.ports import App, Stored
from shared.usecases.callers.api_tokens import CachedApiTokens, revoke_token
from tests.journey.callers import api_token

ADMINISTRATOR = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


class Gated:
    """The rows of API tokens. Reads return once the gate is open, with the state at the time of the call."""

    def __init__(self, services: App) -> None:
        self.rows = services.stores.api_tokens
        self.gate, self.read = asyncio.Event(), asyncio.Event()

    async def get(self, token_id: str) -> Stored[ApiToken] | None:
        found = await self.rows.get(token_id)
        self.read.set()
        await self.gate.wait()
        return found


async def test_token_revoked_during_its_read_is_not_cached(services: App) -> None:
    token = fingerprint(await api_token(services, frozenset({Scope.OAUTH_TOKEN})))
    rows = Gated(services)
    known = CachedApiTokens(rows, services.clock)  # type: ignore[arg-type] # passes on
    app = replace(services, callers=replace(services.callers, api_tokens=known))
    reading = asyncio.create_task(known.look_up(token))
    await rows.read.wait()

    assert token == await revoke_token(app, token, ADMINISTRATOR)
    rows.gate.set()

    assert await reading is not None  # it began before
    assert await known.look_up(token) is None
