"""One backlog, worked by one host and by two: real hosts, a real queue, and none of the work done twice."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from infra.local import azurite, parts
from infra.local.environment import SCHEDULES
from infra.local.host.settings import HOST_JSON_PREFIX
from shared.bootstrap import build
from shared.ports import App
from tests.bench.figure import Figure, at_least
from tests.bench.grants import seed
from tests.conftest import settings_for
from tests.environments import STILL, trust

GRANTS = 2400
# Hosts that work a backlog look at the queue all the time; this one starts with hosts that have had nothing to do.
POLLING = {f"{HOST_JSON_PREFIX}extensions__queues__maxPollingInterval": "00:00:05"}
LATENCY = 400  # milliseconds: on two cores, Microsoft has to be what is waited for, or the hosts wait for each other


async def figures() -> list[Figure]:
    """The same number of due grants, for one host and then for two."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        storage = azurite.start(folder=folder)
        command = parts.python_part("tests.bench.token_server", str(folder / "tls"), str(LATENCY))
        with parts.running(parts.start("tokens", command, folder=folder)) as tokens:
            settings = settings_for(
                storage.connection_string,
                **STILL,
                **SCHEDULES,
                **POLLING,
                MAILBIND_AUTHORITY_HOST=tokens.ready["url"],
                MAILBIND_CA_FILE=tokens.ready["caFile"],
                MAILBIND_AGENDA_SHARDS="4",
                MAILBIND_TICK_ROWS="1",
            )
            services = build(settings)
            try:
                times = [await _worked_by(count, services, settings, folder) for count in (1, 2, 2, 1)]
            finally:
                await services.close()
                storage.stop()
    one, two = times[0] + times[3], times[1] + times[2]
    detail = {"one_s": round(one / 2, 1), "two_s": round(two / 2, 1), "grants": GRANTS, "latency_ms": LATENCY}
    return [at_least("a backlog worked by one host against two, in time", one / two, 1.5, **detail)]


async def _worked_by(count: int, services: App, settings: Mapping[str, str], folder: Path) -> float:
    with _hosts(count, settings, folder) as running:
        await seed(services, GRANTS, services.clock())
        before = await _asked(settings)
        began = time.perf_counter()
        ready = running[0].ready
        async with httpx.AsyncClient(timeout=300) as client:
            await client.post(
                f"{ready['url']}/admin/functions/refresh_grants",
                json={"input": ""},
                headers={"x-functions-key": ready["keys"]["master"]},
            )
        while await _asked(settings) - before < GRANTS:  # noqa: ASYNC110 - the hosts are other processes
            await asyncio.sleep(0.1)
        took = time.perf_counter() - began
        await asyncio.sleep(1)
        asked = await _asked(settings) - before
        assert asked == GRANTS, f"{asked} refreshes for {GRANTS} grants"
        return took


async def _asked(settings: Mapping[str, str]) -> int:
    """How many tokens the endpoint has given so far."""
    async with httpx.AsyncClient(verify=trust(settings["MAILBIND_CA_FILE"])) as client:
        return int((await client.get(f"{settings['MAILBIND_AUTHORITY_HOST']}/given")).text)


@contextmanager
def _hosts(count: int, settings: Mapping[str, str], folder: Path) -> Iterator[list[parts.Part]]:
    command = parts.python_part("infra.local.host", "--app", str(parts.ROOT))
    with ExitStack() as stack:
        yield [
            stack.enter_context(parts.running(parts.start(f"host{number}", command, folder=folder, settings=settings)))
            for number in range(count)
        ]
