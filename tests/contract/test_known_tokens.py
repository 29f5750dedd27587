"""Promises of how API tokens are read."""

import asyncio

from shared.domain.caller import ApiToken, Caller, Scope
from shared.domain.identity import fingerprint
from shared.ports import Stored
from shared.services import Services
from shared.usecases.callers.known_tokens import KnownTokens
from shared.usecases.callers.revoke_token import RevokeToken
from tests.journey.callers import api_token

ADMINISTRATOR = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


class Gated:
    """The rows of API tokens. What was read is as it was at the call, and arrives when the gate is open."""

    def __init__(self, services: Services) -> None:
        self.rows = services.api_tokens
        self.gate, self.read = asyncio.Event(), asyncio.Event()

    async def get(self, token_id: str) -> Stored[ApiToken] | None:
        found = await self.rows.get(token_id)
        self.read.set()
        await self.gate.wait()
        return found


async def test_a_token_that_is_revoked_here_while_it_is_read_is_not_remembered(services: Services) -> None:
    token = fingerprint(await api_token(services, frozenset({Scope.OAUTH_TOKEN})))
    rows = Gated(services)
    known = KnownTokens(rows, services.clock)  # type: ignore[arg-type] # passes on
    reading = asyncio.create_task(known.look_up(token))
    await rows.read.wait()

    assert token == await RevokeToken(services.api_tokens, known)(token, ADMINISTRATOR)
    rows.gate.set()

    assert await reading is not None  # it began before
    assert await known.look_up(token) is None
