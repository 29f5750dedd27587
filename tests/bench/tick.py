"""A tick with nothing due, at a thousand and at a hundred thousand grants; and the memory of a long one."""

import asyncio
import cProfile
import gc
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import azurite
from shared.bootstrap import build
from shared.domain.oauth_app import OAuthApp
from shared.ports import App
from shared.usecases.upkeep.tick import run_tick
from tests.bench.figure import Figure, at_most, in_turn
from tests.bench.grants import plan, seed
from tests.bench.refresh import parts_running
from tests.conftest import first_app, settings_for, storage_of
from tests.faults.lossy_proxy import lossy_proxy

FEW, MANY = 1_000, 100_000
ROUNDS = 41
APPS = 100


async def idle() -> list[Figure]:
    """Two Azurites, so that each holds its own number of rows; the ticks take turns."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        storages = [azurite.start(folder=Path(folder)) for folder in (one, other)]
        few, many = (build(settings_for(storage.connection_string)) for storage in storages)
        try:
            later = few.clock() + timedelta(days=1)
            await plan(few, FEW, later)
            await plan(many, MANY, later)
            return [await _requests(storages), *await _times(few, many)]
        finally:
            for services, storage in zip((few, many), storages, strict=True):
                await services.close()
                storage.stop()


async def _requests(storages: list[azurite.Azurite]) -> Figure:
    """What storage is asked, counted on the way: it is what Azure takes time and money for."""
    counts = []
    for storage in storages:
        port = urlsplit(storage.tables_url).port or 0
        async with lossy_proxy(port) as (proxy, through):
            services = build(settings_for(storage.connection_string.replace(f":{port}/", f":{through}/")))
            await run_tick(services)
            before = proxy.requests
            assert not (await run_tick(services)).outcomes
            counts.append(proxy.requests - before)
            await services.close()
    name = "storage requests of a tick with nothing due, at 100,000 grants against 1,000"
    return at_most(name, counts[1] / counts[0], 1.2, at_1000=counts[0], at_100000=counts[1])


async def _times(few: App, many: App) -> list[Figure]:
    """The tick's own time, and what passes on the clock; the latter beside a bare query."""

    async def small() -> None:
        assert not (await run_tick(few)).outcomes

    async def large() -> None:
        assert not (await run_tick(many)).outcomes

    await small()
    await large()
    calls = [await _function_calls(work) for work in (large, small)]
    own = await in_turn(large, small, ROUNDS, time.process_time)
    passed = await in_turn(large, small, ROUNDS)
    bare = await in_turn(_range_query(many), _range_query(few), ROUNDS)
    return [
        _in_calls("function calls of a tick with nothing due, at 100,000 grants against 1,000", calls, own),
        _in_queries("time of a tick with nothing due, in bare range queries of one shard", passed, bare),
    ]


def _in_queries(name: str, ticks: tuple[float, float, float], queries: tuple[float, float, float]) -> Figure:
    """Azure seeks a range of row keys; Azurite looks at every row. So the tick is counted in what storage takes."""
    large, small = ticks[0] / queries[0], ticks[1] / queries[1]
    detail = {"at_1000": round(small, 1), "at_100000": round(large, 1)}
    milliseconds = {"tick_ms": _milliseconds(ticks), "query_ms": _milliseconds(queries)}
    return at_most(name, large / small, 1.2, **detail, **milliseconds)


def _milliseconds(times: tuple[float, float, float]) -> list[float]:
    return [round(1000 * seconds, 1) for seconds in (times[1], times[0])]


def _in_calls(name: str, calls: Sequence[int], processor: tuple[float, float, float]) -> Figure:
    """The same calls take longer after a slow answer: meanwhile Azurite's search has emptied the processor's caches."""
    large, small = calls
    detail = {"at_1000": small, "at_100000": large, "processor_ms": _milliseconds(processor)}
    return at_most(name, large / small, 1.2, **detail)


async def _function_calls(work: Callable[[], Awaitable[None]]) -> int:
    profile = cProfile.Profile()
    profile.enable()
    try:
        await work()
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())


def _range_query(services: App) -> Callable[[], Awaitable[None]]:
    table = storage_of(services).get_table_client("Agenda")

    async def query() -> None:
        where = "PartitionKey eq '000' and RowKey gt '' and RowKey lt '00001'"
        assert not [row async for row in table.query_entities(where, results_per_page=100)]

    return query


@dataclass(frozen=True)
class ManyApps:
    """The app of the settings under any id: grants of many apps have many row keys.

    Azurite looks at every row of a row key to find one of a partition, so a hundred thousand rows of one key are slow.
    """

    app: OAuthApp

    async def get(self, app_id: str) -> OAuthApp:
        return replace(self.app, id=app_id)

    async def all(self) -> list[OAuthApp]:
        return [self.app]

    def forget(self) -> None:
        """Nothing is cached."""


async def memory(due: int = int(os.environ.get("MAILBIND_BENCH_DUE", "100000"))) -> list[Figure]:
    """This process's memory while it works so many due grants, tick by tick, against the first tenth of that time."""
    async with parts_running() as (built, clock, _):
        services = replace(built, oauth_apps=ManyApps(first_app(built)))
        await seed(services, due, services.clock(), apps=APPS)
        clock.forward(days=8)
        samples: list[float] = []
        objects: list[int] = []
        sampling = asyncio.create_task(_sample(samples))
        outcomes, seconds, ticks = Counter[str](), time.monotonic(), 0
        while outcomes["refreshed"] < due:
            done = await run_tick(services)
            assert done.outcomes, outcomes
            outcomes.update(done.outcomes)
            ticks += 1
            gc.collect()
            objects.append(len(gc.get_objects()))
            clock.forward(minutes=16)  # nobody works the queue here, so the timer takes back what it handed over
        seconds = time.monotonic() - seconds
        sampling.cancel()
        early, late = max(samples[: len(samples) // 10]), max(samples)
        # Resident memory has gaps between what is held; the objects that a tick leaves behind have none.
        detail = {"early_mb": round(early), "late_mb": round(late), "ticks": ticks, "objects_after_ticks": objects}
        name = f"peak memory while {due:,} due grants are worked, against the first tenth of the time"
        return [
            at_most(
                name, late / early, 1.1, refreshes_per_second=round(due / seconds), outcomes=dict(outcomes), **detail
            )
        ]


async def _sample(samples: list[float]) -> None:
    """Resident memory in MB, four times a second (proc(5): the second figure of statm, in pages)."""
    page, statm = resource.getpagesize(), Path("/proc/self/statm")
    while True:
        samples.append(int(statm.read_text().split()[1]) * page / 1e6)  # noqa: ASYNC240 - no disk behind it
        await asyncio.sleep(0.25)
