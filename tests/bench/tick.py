"""A tick with nothing due, at a thousand and at a hundred thousand grants; and the memory of a long one."""

import resource
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from infra.local import azurite
from shared.bootstrap import build_services
from shared.services import Services
from tests.bench.figure import Figure, at_most, in_turn
from tests.bench.grants import plan, seed
from tests.bench.refresh import parts_running
from tests.conftest import settings_for

FEW, MANY = 1_000, 100_000
ROUNDS = 41
DUE = 100_000


async def idle() -> list[Figure]:
    """Two Azurites, so that each holds its own number of rows; the ticks take turns."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        storages = [azurite.start(folder=Path(folder)) for folder in (one, other)]
        few, many = (build_services(settings_for(storage.connection_string)) for storage in storages)
        try:
            later = few.clock() + timedelta(days=1)
            await plan(few, FEW, later)
            await plan(many, MANY, later)

            async def small() -> None:
                assert not (await few.run_tick()).outcomes

            async def large() -> None:
                assert not (await many.run_tick()).outcomes

            await small()
            await large()
            base, grown, ratio = await in_turn(small, large, ROUNDS)
            bare_base, bare_grown, bare = await in_turn(_range_query(few), _range_query(many), ROUNDS)
            detail = {"at_1000_ms": round(1000 * base, 1), "at_100000_ms": round(1000 * grown, 1)}
            bare_detail = {"at_1000_ms": round(1000 * bare_base, 1), "at_100000_ms": round(1000 * bare_grown, 1)}
            return [
                at_most("a tick with nothing due, at 100,000 grants against 1,000", 1 / ratio, 1.2, **detail),
                # A range of row keys is a seek in Azure; Azurite walks the partition. So much of it is the emulator's:
                at_most("the same, for a bare range query of one shard", 1 / bare, 1.2, **bare_detail),
            ]
        finally:
            for services, storage in zip((few, many), storages, strict=True):
                await services.close()
                storage.stop()


def _range_query(services: Services) -> Callable[[], Awaitable[None]]:
    table = services.storage.get_table_client("Agenda")

    async def query() -> None:
        where = "PartitionKey eq '000' and RowKey gt '' and RowKey lt '00001'"
        assert not [row async for row in table.query_entities(where, results_per_page=100)]

    return query


async def memory(due: int = DUE) -> list[Figure]:
    """The peak of this process over a tick of so many due grants, against its peak after a tenth of them."""
    async with parts_running() as (services, clock, _):
        await seed(services, due, services.clock())
        clock.forward(days=8)
        early = 0.0
        refreshed = 0
        real = services.refresh_grant.__class__.__call__

        async def counted(self: object, *args: object, **named: object) -> object:
            nonlocal early, refreshed
            refreshed += 1
            if refreshed == due // 10:
                early = _peak()
            return await real(self, *args, **named)  # type: ignore[arg-type]

        services.refresh_grant.__class__.__call__ = counted  # type: ignore[method-assign,assignment]
        try:
            done = await services.run_tick()
        finally:
            services.refresh_grant.__class__.__call__ = real  # type: ignore[method-assign]
        detail = {"due": due, "early_mb": round(early), "late_mb": round(_peak()), "outcomes": dict(done.outcomes)}
        return [at_most(f"peak memory over a tick of {due:,} due grants", _peak() / early, 1.1, **detail)]


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
