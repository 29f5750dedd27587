"""Messages of handed-over shards that fail: retried after a pause, and reported when they failed for good."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from infra.local import parts
from infra.local.azurite import Azurite
from infra.local.environment import SCHEDULES
from infra.local.host.settings import HOST_JSON_PREFIX
from shared.adapters.shard_queue import API_VERSION, POISON_QUEUE, QUEUE
from shared.bootstrap import build
from shared.domain.work import HANDOVER_LIFETIME
from shared.ports import App
from tests.conftest import settings_for
from tests.environments import STILL
from tests.faults.lossy_proxy import LossyProxy, lossy_proxy
from tests.patience import until

FAILURE_SECONDS = 10  # what has to be survived
# Shorter than in host.json, so that further tries fall into the failure. The tables client's own retries make of each
# some three seconds.
SHORT_PAUSES = {f"{HOST_JSON_PREFIX}extensions__queues__visibilityTimeout": "00:00:02"}
AT_ONCE = {f"{HOST_JSON_PREFIX}extensions__queues__visibilityTimeout": "00:00:00"}
FAILED = " function failed function=work_shard "
TOLD = " ERROR shared.usecases.upkeep.tick shard messages failed for good messages=1"


@dataclass(frozen=True)
class Shaken:
    """A host that reaches its tables through a proxy, and its queues without one."""

    host: parts.Part
    tables: LossyProxy
    services: App

    def log(self) -> str:
        return self.host.log.read_text()


@contextmanager
def host(folder: Path, settings: dict[str, str]) -> Iterator[parts.Part]:
    command = parts.python_part("infra.local.host", "--app", str(parts.ROOT))
    with parts.running(parts.start("host", command, folder=folder, settings=settings)) as running:
        yield running


@pytest.fixture
async def shaken(storage: Azurite, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shaken]:
    """Its parameter is settings of the host."""
    known, port = storage.connection_string, urlsplit(storage.tables_url).port or 0
    async with lossy_proxy(port) as (tables, through):
        more = {"MAILBIND_TABLES": known.replace(f":{port}/", f":{through}/"), **getattr(request, "param", {})}
        services = build(settings_for(known))
        with host(tmp_path, settings_for(known, **{**STILL, **SCHEDULES, **more})) as running:
            yield Shaken(running, tables, services)
        await services.close()


def queue(storage: Azurite, name: str) -> QueueClient:
    return QueueClient.from_connection_string(
        storage.connection_string, name, api_version=API_VERSION, message_encode_policy=TextBase64EncodePolicy()
    )


async def reap(shaken: Shaken) -> None:
    """Run the timer that looks at the poison queue."""
    ready = shaken.host.ready
    key = {"x-functions-key": ready["keys"]["master"]}
    async with httpx.AsyncClient(base_url=ready["url"], headers=key, timeout=60, trust_env=False) as client:
        (await client.post("/admin/functions/reap_registrations", json={})).raise_for_status()


def test_retries_last_ten_seconds_and_end_before_the_handover() -> None:
    limits = json.loads((parts.ROOT / "host.json").read_text())["extensions"]["queues"]
    hours, minutes, seconds = map(int, limits["visibilityTimeout"].split(":"))
    pauses = (limits["maxDequeueCount"] - 1) * timedelta(hours=hours, minutes=minutes, seconds=seconds)

    assert timedelta(seconds=10) < pauses < HANDOVER_LIFETIME


@pytest.mark.parametrize("shaken", [SHORT_PAUSES], indirect=True)
async def test_short_storage_failure_fills_no_poison_queue(shaken: Shaken) -> None:
    shaken.tables.refusing = True
    await shaken.services.shard_queue.send("000", shaken.services.clock())
    await until(lambda: FAILED in shaken.log())
    await asyncio.sleep(FAILURE_SECONDS)
    assert 2 <= shaken.log().count(FAILED)
    shaken.tables.refusing = False
    before = shaken.log().count(" shard worked ")

    await until(lambda: before < shaken.log().count(" shard worked "))
    assert 0 == await shaken.services.shard_queue.poisoned()


@pytest.mark.parametrize("shaken", [AT_ONCE], indirect=True)
async def test_poisoned_messages_are_reported_until_they_are_deleted(shaken: Shaken, storage: Azurite) -> None:
    await reap(shaken)
    assert TOLD not in shaken.log()

    await shaken.services.shard_queue.send("000", shaken.services.clock())  # makes the queue
    with queue(storage, QUEUE) as shards, queue(storage, POISON_QUEUE) as poison:
        shards.send_message('{"shard": 7}')
        await until(lambda: 5 == shaken.log().count(FAILED))
        await until(lambda: " message moved to poison queue " in shaken.log())
        await reap(shaken)
        await reap(shaken)
        assert 2 == shaken.log().count(TOLD)

        poison.clear_messages()
        await reap(shaken)
        assert 2 == shaken.log().count(TOLD)
