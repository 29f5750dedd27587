"""A hand-out of a token that the process remembers, against a route of the same app on the same host that does nothing.

Both identify the caller by an API token, check scope and account, write an audit record and answer.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from infra.local import azurite, parts
from infra.local.environment import running_app, start_tenant
from infra.local.parts import ROOT
from shared.api import access_tokens
from shared.bootstrap import build
from shared.domain.caller import Scope
from shared.usecases.callers.api_tokens import TokenWish, issue_token
from shared.usecases.callers.identify import ADMINISTRATOR
from tests.bench.figure import Figure, at_least, in_turn
from tests.bench.grants import bound_account
from tests.environments import STILL

ROUNDS, CALLS = 15, 400
AT_ONCE = 16
# The first use of the caller's token is recorded in the background.
SETTLING_SECONDS = 1
NOTHING = "/v1/account/{account}/nothing"
CHANGES = {**STILL, "MAILBIND_REMEMBER_SECONDS": "300"}


async def figures() -> list[Figure]:
    """One caller at a time, and sixteen."""
    with tempfile.TemporaryDirectory() as name:
        folder, storage = Path(name), azurite.start(folder=Path(name))
        app_folder = folder / "app"
        app_folder.mkdir()
        (app_folder / "function_app.py").write_text("from tests.bench.remembered_app import app\n")
        shutil.copy(ROOT / "host.json", app_folder)
        tenant = start_tenant(folder, state=folder / "tenant")
        with (
            parts.running(tenant),
            running_app(folder, storage, tenant, changes=CHANGES, app=app_folder) as environment,
        ):
            app = build(environment.settings)
            account, _ = await bound_account(app)
            wish = TokenWish("bench", frozenset({Scope.OAUTH_TOKEN}))
            token = (await issue_token(app, wish, {}, ADMINISTRATOR)).token
            headers = {"Authorization": f"Bearer {token.reveal()}"}
            async with aiohttp.ClientSession(environment.base_url, headers=headers) as session:
                found = [await _figure(session, account, at_once) for at_once in (1, AT_ONCE)]
            await app.close()
        storage.stop()
        return found


async def _figure(session: aiohttp.ClientSession, account: str, at_once: int) -> Figure:
    async def hand_out() -> None:
        async with session.get(access_tokens.ROUTE.format(account=account)) as answer:
            answer.raise_for_status()
            await answer.read()

    async def nothing() -> int:
        async with session.get(NOTHING.format(account=account)) as answer:
            answer.raise_for_status()
            return int((await answer.json())["storageRequests"])

    hand_outs, nothings = _repeated(hand_out, at_once), _repeated(nothing, at_once)
    await hand_outs()
    await asyncio.sleep(SETTLING_SECONDS)
    # Now, because the caller's own token is remembered for half a minute only.
    before = await nothing()
    await hand_outs()
    storage_requests = await nothing() - before
    trivial, took, ratio = await in_turn(nothings, hand_outs, ROUNDS)
    detail = {
        "per_hand_out_ms": round(1000 * took / CALLS, 3),
        "per_trivial_call_ms": round(1000 * trivial / CALLS, 3),
        "storage_requests": storage_requests,
        "hand_outs": CALLS,
    }
    return at_least(f"hand-out of a remembered token, {at_once} at once, against a trivial route", ratio, 0.8, **detail)


def _repeated(one: Callable[[], Awaitable[object]], at_once: int) -> Callable[[], Awaitable[None]]:
    async def several() -> None:
        for _ in range(CALLS // at_once):
            await asyncio.gather(*(one() for _ in range(at_once)))

    return several
