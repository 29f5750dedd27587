"""Refresh, end to end, against the floor made of the bare calls that it needs; and which transport suits MSAL."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msal
import requests
from azure.core import MatchConditions
from azure.data.tables import UpdateMode

from infra.local import azurite, parts
from shared.adapters.token_transport import NoCache, TokenTransport
from shared.assembly import TIMER_THREADS
from shared.bootstrap import build
from shared.ports import App
from shared.usecases.upkeep.tick import run_tick
from tests.bench.figure import Figure, at_least, in_turn
from tests.bench.grants import seed
from tests.conftest import MovedClock, settings_for, storage_of

GRANTS = 1000
ROUNDS = 3
LATENCY = 50  # milliseconds
BATCH = 100
SCOPES = ["https://graph.microsoft.com/Mail.ReadWrite.Shared"]


@asynccontextmanager
async def parts_running(**more: str) -> AsyncIterator[tuple[App, MovedClock, parts.Ready]]:
    """Azurite and a token endpoint with latency, each in a process of its own, and services on them."""
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), MovedClock()
        storage = azurite.start(folder=folder)
        command = parts.python_part("tests.bench.token_server", str(folder / "tls"), str(LATENCY))
        with parts.running(parts.start("tokens", command, folder=folder)) as tokens:
            settings = settings_for(
                storage.connection_string,
                MAILBIND_AUTHORITY_HOST=tokens.ready["url"],
                MAILBIND_CA_FILE=tokens.ready["caFile"],
                MAILBIND_TICK_ROWS="100000",
                **more,
            )
            services = build(settings, clock)
            try:
                yield services, clock, tokens.ready
            finally:
                await services.close()
                storage.stop()


async def figures() -> list[Figure]:
    """End to end, and the transports."""
    async with parts_running() as (services, clock, ready):
        await seed(services, GRANTS, services.clock())
        return [await _end_to_end(services, clock, ready), *await _transports(ready)]


async def _end_to_end(services: App, clock: MovedClock, ready: parts.Ready) -> Figure:
    floor = await _floor(services, ready)

    async def tick() -> None:
        clock.forward(days=8)
        done = await run_tick(services)
        assert done.outcomes == {"refreshed": GRANTS}, done.outcomes

    await tick()
    await floor()
    bare, worked, ratio = await in_turn(floor, tick, ROUNDS)
    detail = {
        "refreshes_per_second": round(GRANTS / worked),
        "floor_per_second": round(GRANTS / bare),
        "latency_ms": LATENCY,
        "threads": TIMER_THREADS,
    }
    return at_least("refresh, end to end, against bare MSAL and bare table operations", ratio, 0.8, **detail)


async def _floor(services: App, ready: parts.Ready) -> Callable[[], Any]:
    """For each grant: read its row, one MSAL call in the pool, write its row; for a hundred: two agenda batches."""
    table, agenda = (storage_of(services).get_table_client(name) for name in ("Principals", "Agenda"))
    rows = [row async for row in table.query_entities("RowKey ge 'grant~'", select=["PartitionKey", "RowKey"])]
    application = _application(ready, TokenTransport(TIMER_THREADS, ready["caFile"]))
    pool, runs = ThreadPoolExecutor(TIMER_THREADS), itertools.count()
    loop = asyncio.get_running_loop()

    async def one(row: Any, slots: asyncio.Semaphore) -> None:
        async with slots:
            entity = await table.get_entity(row["PartitionKey"], row["RowKey"])
            await loop.run_in_executor(pool, _refresh, application)
            await table.update_entity(
                entity,
                mode=UpdateMode.REPLACE,
                etag=entity.metadata["etag"],
                match_condition=MatchConditions.IfNotModified,
            )

    async def floor() -> None:
        slots, run = asyncio.Semaphore(services.config.rows_at_once), next(runs)
        names = [f"{run:06d}-{number:06d}" for number in range(len(rows))]
        for verb in ("upsert", "delete"):
            for begin in range(0, len(names), BATCH):
                batch = [
                    (verb, {"PartitionKey": "bench", "RowKey": name, "owner": "o" * 70, "kind": "refresh"})
                    for name in names[begin : begin + BATCH]
                ]
                await agenda.submit_transaction(batch)
        await asyncio.gather(*(one(row, slots) for row in rows))

    return floor


async def _transports(ready: parts.Ready) -> list[Figure]:
    """Calls of MSAL for each second of processor time, over each candidate: with latency, time is what all wait for."""
    session = requests.Session()
    session.trust_env = False
    session.verify = ready["caFile"]
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=TIMER_THREADS))
    candidates = {
        "urllib3": TokenTransport(TIMER_THREADS, ready["caFile"]),
        "requests": session,
        "httpx": httpx.Client(verify=_context(ready), limits=httpx.Limits(max_connections=TIMER_THREADS)),
    }
    speeds: dict[str, float] = {}
    for name, client in candidates.items():
        application = _application(ready, client)
        with ThreadPoolExecutor(TIMER_THREADS) as pool:
            list(pool.map(_refresh, [application] * TIMER_THREADS))
            began = time.process_time()
            list(pool.map(_refresh, [application] * GRANTS))
            speeds[name] = GRANTS / (time.process_time() - began)
    detail = {f"{name}_per_cpu_second": round(speed) for name, speed in speeds.items()}
    best = max(speeds["requests"], speeds["httpx"])
    return [
        at_least(
            "calls of MSAL per CPU second over urllib3, against the better of requests and httpx",
            speeds["urllib3"] / best,
            1.0,
            **detail,
        )
    ]


def _context(ready: parts.Ready) -> Any:
    import ssl  # noqa: PLC0415 - needed here only

    return ssl.create_default_context(cafile=ready["caFile"])


def _application(ready: parts.Ready, client: Any) -> msal.ConfidentialClientApplication:
    return msal.ConfidentialClientApplication(
        "5f0c1d9e-0000-4000-8000-0000000000c1",
        client_credential="secret",
        authority=f"{ready['url']}/7d1b2f0a-0000-4000-8000-00000000c0de",
        instance_discovery=False,
        http_client=client,
        token_cache=NoCache(),
    )


def _refresh(application: msal.ConfidentialClientApplication) -> None:
    answer = application.acquire_token_by_refresh_token("r" * 1100, SCOPES)
    assert "access_token" in answer
