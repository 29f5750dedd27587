"""Hand-out of a fresh token against the bare read of its row."""

import asyncio
import tempfile
from pathlib import Path

from infra.local import azurite
from shared.bootstrap import build_services
from shared.domain.keys import key
from shared.domain.secret import Secret
from shared.ports import DirectoryEntry, Insert
from shared.services import Services
from tests.bench.figure import Figure, at_least, in_turn
from tests.conftest import settings_for
from tests.contract.records import APP, account, grant, principal

ROUNDS = 21
CALLS = 200
AT_ONCE = 16


async def figures() -> list[Figure]:
    """One caller at a time, and sixteen."""
    with tempfile.TemporaryDirectory() as folder:
        storage = azurite.start(folder=Path(folder))
        services = build_services(settings_for(storage.connection_string))
        try:
            name, partition = await _bound(services)
            return [await _figure(services, name, partition, at_once) for at_once in (1, AT_ONCE)]
        finally:
            await services.close()
            storage.stop()


async def _bound(services: Services) -> tuple[str, str]:
    who, now = principal(), services.clock()
    held = account(who, now)
    # Tokens of the size that Entra gives.
    hot = grant(who, now).handed_out_at(now, 0)
    changes = {"access_token": Secret("a" * 2200), "refresh_token": Secret("r" * 1200)}
    sized = hot.__class__(**{**{name: getattr(hot, name) for name in hot.__slots__}, **changes})
    await services.principals.commit(who.id, [Insert(sized), Insert(held)])
    await services.directory.insert(DirectoryEntry(held.id, who.id, APP))
    await services.hand_out(held.id)
    return held.id, key(who.id)


async def _figure(services: Services, name: str, partition: str, at_once: int) -> Figure:
    table = services.storage.get_table_client("Principals")
    row = f"grant~{key(APP)}"

    async def reads() -> None:
        for _ in range(CALLS // at_once):
            await asyncio.gather(*(table.get_entity(partition, row) for _ in range(at_once)))

    async def hand_outs() -> None:
        for _ in range(CALLS // at_once):
            await asyncio.gather(*(services.hand_out(name) for _ in range(at_once)))

    await reads()
    await hand_outs()
    read, handed_out, ratio = await in_turn(reads, hand_outs, ROUNDS)
    detail = {"per_hand_out_ms": round(1000 * handed_out / CALLS, 3), "per_read_ms": round(1000 * read / CALLS, 3)}
    return at_least(f"hand-out of a fresh token, {at_once} at once, against the bare read", ratio, 0.8, **detail)
