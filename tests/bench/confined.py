"""Confined access against the bare call to Graph plus a hand-out, and what a greedy caller costs the others."""

import asyncio
import ssl
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from infra.local import azurite, parts
from shared.bootstrap import build
from shared.domain.caller import Caller, Scope
from shared.domain.confined.batches import MailRequest
from shared.ports import App
from shared.usecases.mail.open_named import open_named
from shared.usecases.mail.use_mailbox import confine, use_mailbox
from shared.usecases.tokens.hand_out import hand_out
from tests.bench.figure import Figure, at_least, at_most, in_turn
from tests.bench.grants import bound_account
from tests.conftest import settings_for
from tests.storage_requests import recorded_requests

ROUNDS, CALLS, AT_ONCE = 15, 200, 4
# Fairness: Graph takes this long, and the greedy caller has that many calls waiting at any time.
LATENCY_MILLISECONDS, GREEDY_CALLS, POLITE_CALLS = 40, 24, 150
NINETY_FIFTH = 94
QUERY = "$top=1&$select=subject,from,receivedDateTime,isRead"


@asynccontextmanager
async def running(latency: int) -> AsyncIterator[tuple[App, str, parts.Ready]]:
    """An app with one bound account, on Azurite and a Graph that takes so many milliseconds to answer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        storage = azurite.start(folder=folder)
        command = parts.python_part("tests.bench.token_server", str(folder / "tls"), str(latency))
        with parts.running(parts.start("graph", command, folder=folder)) as graph:
            settings = settings_for(
                storage.connection_string,
                MAILBIND_GRAPH_ROOT=graph.ready["url"],
                MAILBIND_CA_FILE=graph.ready["caFile"],
                MAILBIND_REMEMBER_SECONDS="300",
            )
            app = build(settings)
            try:
                account, _ = await bound_account(app)
                yield app, account, graph.ready
            finally:
                await app.close()
                storage.stop()


async def figures() -> list[Figure]:
    """One small answer, one at a time and four; and the fairness of turns."""
    async with running(0) as (app, account, ready):
        throughput = [await _throughput(app, account, ready, at_once) for at_once in (1, AT_ONCE)]
    async with running(LATENCY_MILLISECONDS) as (app, account, _):
        return [*throughput, await _fairness(app, account)]


def caller_named(name: str) -> Caller:
    """A caller who may read mail."""
    return Caller(name, name, frozenset({Scope.MAIL_READ}))


async def read_messages(app: App, caller: Caller, account: str) -> None:
    """One confined call, as the route makes it."""
    query = {"$top": "1", "$select": "subject,from,receivedDateTime,isRead"}
    call = confine(caller, MailRequest("GET", f"users/{account}/messages", query, {}, b""))
    mailbox = await open_named(app, caller, call.matched.mailbox)

    async def identify() -> Caller:
        return caller

    answer = await use_mailbox(app, identify, mailbox, call)
    if answer.status != httpx.codes.OK:
        raise RuntimeError(answer.body.decode())


async def _throughput(app: App, account: str, ready: parts.Ready, at_once: int) -> Figure:
    caller = caller_named("bench")
    trust = ssl.create_default_context(cafile=ready["caFile"])
    async with httpx.AsyncClient(verify=trust, limits=httpx.Limits(max_connections=16)) as client:

        async def bare() -> None:
            token = (await hand_out(app, account)).access_token.reveal()
            url = f"{ready['url']}/v1.0/users/support@contoso.example/messages?{QUERY}"
            (await client.get(url, headers={"Authorization": f"Bearer {token}"})).raise_for_status().json()

        async def confined() -> None:
            await read_messages(app, caller, account)

        bares, calls = _repeated(bare, at_once), _repeated(confined, at_once)
        await bares()
        await calls()
        with recorded_requests() as storage:
            await calls()
        floor, took, ratio = await in_turn(bares, calls, ROUNDS)
    detail = {
        "per_call_ms": round(1000 * took / CALLS, 3),
        "per_bare_call_ms": round(1000 * floor / CALLS, 3),
        "storage_requests": storage.count,
        "calls": CALLS,
    }
    name = f"confined access, one small answer, {at_once} at once, against the bare call plus the hand-out"
    return at_least(name, ratio, 0.8, **detail)


def _repeated(one: Callable[[], Awaitable[None]], at_once: int) -> Callable[[], Awaitable[None]]:
    async def several() -> None:
        for _ in range(CALLS // at_once):
            await asyncio.gather(*(one() for _ in range(at_once)))

    return several


async def _fairness(app: App, account: str) -> Figure:
    polite, greedy = caller_named("polite"), caller_named("greedy")

    async def percentile() -> float:
        times = []
        for _ in range(POLITE_CALLS):
            began = time.perf_counter()
            await read_messages(app, polite, account)
            times.append(time.perf_counter() - began)
        return statistics.quantiles(times, n=100)[NINETY_FIFTH]

    async def keep_calling() -> None:
        while True:
            await read_messages(app, greedy, account)

    await read_messages(app, polite, account)
    alone = await percentile()
    calls = [asyncio.create_task(keep_calling()) for _ in range(GREEDY_CALLS)]
    beside = await percentile()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    detail = {"alone_ms": round(1000 * alone, 1), "beside_ms": round(1000 * beside, 1), "greedy_calls": GREEDY_CALLS}
    return at_most("p95 of a caller beside a greedy one, against alone", beside / alone, 2.0, **detail)
