"""Hand-out of a fresh token against the bare read of its row, with and without finding out who asks."""

import asyncio
import tempfile
import time
from pathlib import Path

from infra.local import azurite, parts
from infra.local.environment import Secrets, app_settings, start_tenant
from shared.adapters.entra_callers import EntraCallerTokens
from shared.bootstrap import build
from shared.domain.caller import Scope
from shared.domain.formats import fingerprint, table_key
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.callers.api_tokens import TokenWish, issue_token
from shared.usecases.callers.identify import ADMINISTRATOR, identify_caller
from shared.usecases.tokens.hand_out import hand_out
from tests.bench.figure import Figure, at_least, in_turn
from tests.bench.grants import bound_account
from tests.conftest import storage_of
from tests.contract.records import APP
from tests.local.calling_app import token_by_msal

ROUNDS = 15
CALLS = 200
AT_ONCE = 16


async def figures() -> list[Figure]:
    """One caller at a time, and sixteen: with nobody asking, with an API token, and with an access token of Entra's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        storage = azurite.start(folder=folder)
        with parts.running(start_tenant(folder, state=folder)) as tenant:
            settings = app_settings(storage, tenant.ready, "http://127.0.0.1:7071", Secrets.fresh())
            # A remembered token is another figure; see tests.bench.remembered.
            services = build({**settings, "MAILBIND_REMEMBER_SECONDS": "0"})
            try:
                held, partition = await bound_account(services)
                callers = {"": None, ", for an API token": await _api_token(services)}
                callers[", for a token of Entra's"] = Secret(token_by_msal(tenant.ready))
                return [
                    await _figure(services, held, partition, at_once, who, bearer)
                    for who, bearer in callers.items()
                    for at_once in (1, AT_ONCE)
                ]
            finally:
                await services.close()
                storage.stop()


async def _api_token(services: App) -> Secret:
    wish = TokenWish("bench", frozenset({Scope.OAUTH_TOKEN}))
    return (await issue_token(services, wish, {}, ADMINISTRATOR)).token


async def _figure(services: App, name: str, partition: str, at_once: int, who: str, bearer: Secret | None) -> Figure:
    table = storage_of(services).get_table_client("Principals")
    row = f"grant~{table_key(APP)}"

    async def one() -> None:
        if bearer is not None:
            caller = await identify_caller(services, bearer, None)
            caller.require_scope(Scope.OAUTH_TOKEN)
            caller.require_account(name)
        (await hand_out(services, name)).access_token.reveal()

    async def reads() -> None:
        for _ in range(CALLS // at_once):
            await asyncio.gather(*(table.get_entity(partition, row) for _ in range(at_once)))

    async def hand_outs() -> None:
        for _ in range(CALLS // at_once):
            await asyncio.gather(*(one() for _ in range(at_once)))

    await reads()
    await hand_outs()
    read, handed_out, ratio = await in_turn(reads, hand_outs, ROUNDS)
    detail = {"per_hand_out_ms": round(1000 * handed_out / CALLS, 3), "per_read_ms": round(1000 * read / CALLS, 3)}
    if bearer is not None:
        detail["identify_us"] = await _microseconds(services, bearer)
        detail["identify_anew_us"] = await _microseconds(services, bearer, anew=True)
    return at_least(f"hand-out of a fresh token, {at_once} at once{who}, against the bare read", ratio, 0.8, **detail)


async def _microseconds(services: App, bearer: Secret, *, anew: bool = False) -> float:
    """What finding out who asks costs when it is remembered, and when it is not: a table read, or a signature."""
    seconds = 0.0
    for _ in range(CALLS):
        if anew:
            services.callers.api_tokens.forget(fingerprint(bearer))
            if isinstance(services.callers.entra, EntraCallerTokens):
                services.callers.entra._verified.discard(fingerprint(bearer))  # noqa: SLF001 - what is measured is how it is without
        began = time.perf_counter()
        await identify_caller(services, bearer, None)
        seconds += time.perf_counter() - began
    return round(1e6 * seconds / CALLS, 1)
