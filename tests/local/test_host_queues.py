"""Queue triggers of the local host, tested with Azurite."""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from infra.local import parts
from infra.local.azurite import Azurite
from infra.local.host.queues import API_VERSION
from tests.patience import wait_until

APP = Path(__file__).parent / "sample_queues"


@contextmanager
def hosts(
    azurite: Azurite, folder: Path, queue: str, count: int = 1, more: dict[str, str] | None = None, app: Path = APP
) -> Iterator[list[parts.Part]]:
    settings = {"AzureWebJobsStorage": azurite.connection_string, "SAMPLE_QUEUE": queue, **(more or {})}
    command = parts.python_part("infra.local.host", "--app", str(app))
    with ExitStack() as stack:
        yield [
            stack.enter_context(parts.running(parts.start(f"host{number}", command, folder=folder, settings=settings)))
            for number in range(count)
        ]


@pytest.fixture
def queue(azurite: Azurite) -> Iterator[QueueClient]:
    client = QueueClient.from_connection_string(
        azurite.connection_string,
        f"q{secrets.token_hex(6)}",
        message_encode_policy=TextBase64EncodePolicy(),
        api_version=API_VERSION,
    )
    client.create_queue()
    yield client
    client.close()


def texts(running: list[parts.Part], event: str) -> list[str]:
    return [text for part in running for text in re.findall(rf" {event} text=(\S+)", part.log.read_text())]


def message_count(queue: QueueClient) -> int:
    return queue.get_queue_properties().approximate_message_count or 0


def test_message_is_decoded_processed_and_deleted(azurite: Azurite, queue: QueueClient, tmp_path: Path) -> None:
    with hosts(azurite, tmp_path, queue.queue_name) as running:
        queue.send_message("höflich")

        wait_until(lambda: ["höflich"] == texts(running, "worked"))
        wait_until(lambda: 0 == message_count(queue))


def test_message_moves_to_poison_queue_after_five_tries(azurite: Azurite, queue: QueueClient, tmp_path: Path) -> None:
    with hosts(azurite, tmp_path, queue.queue_name) as running:
        queue.send_message("bad-one")

        wait_until(lambda: ["bad-one"] == texts(running, "buried"))
        assert ["1", "2", "3", "4", "5"] == re.findall(r"tries=(\d)", running[0].log.read_text())
        assert 0 == message_count(queue)


def test_two_hosts_share_messages_without_duplicates(azurite: Azurite, queue: QueueClient, tmp_path: Path) -> None:
    names: list[str] = []
    with hosts(azurite, tmp_path, queue.queue_name, 2) as running:

        def send_until_both_worked() -> bool:
            """On a busy machine, one host may miss some messages."""
            names.extend(f"message-{len(names) + number}" for number in range(20))
            for name in names[-20:]:
                queue.send_message(name)
            return all(texts([part], "worked") for part in running)

        wait_until(send_until_both_worked)
        wait_until(lambda: len(names) <= len(texts(running, "worked")))
        time.sleep(0.3)

        assert sorted(names) == sorted(texts(running, "worked"))


def test_disabled_queue_function_runs_only_by_admin_call(azurite: Azurite, queue: QueueClient, tmp_path: Path) -> None:
    queue.send_message("left-alone")
    off = {"AzureWebJobs.work.Disabled": "true"}
    with hosts(azurite, tmp_path, queue.queue_name, more=off) as running:
        ready = running[0].ready
        response = httpx.post(
            f"{ready['url']}/admin/functions/work",
            json={"input": "by-hand"},
            headers={"x-functions-key": ready["keys"]["master"]},
        )

        assert 202 == response.status_code
        assert ["by-hand"] == texts(running, "worked")
        assert 1 == message_count(queue)


def test_message_that_is_not_base64_stays_in_poison_queue(azurite: Azurite, queue: QueueClient, tmp_path: Path) -> None:
    with (
        QueueClient.from_connection_string(
            azurite.connection_string, queue.queue_name, api_version=API_VERSION
        ) as plain,
        QueueClient.from_connection_string(
            azurite.connection_string, f"{queue.queue_name}-poison", api_version=API_VERSION
        ) as poison,
    ):
        plain.send_message("not base64!")
        with hosts(azurite, tmp_path, queue.queue_name) as running:
            queue.send_message("after it")

            wait_until(lambda: ["after"] == [text.strip('"') for text in texts(running, "worked")])
            wait_until(lambda: "message left in poison queue function=bury" in running[0].log.read_text())
        assert (0, 1) == (message_count(queue), message_count(poison))
        assert "buried" not in running[0].log.read_text()


def test_failed_message_waits_for_the_visibility_timeout(azurite: Azurite, queue: QueueClient, tmp_path: Path) -> None:
    app = tmp_path / "app"
    shutil.copytree(APP, app)
    section = {"maxDequeueCount": 2, "visibilityTimeout": "00:00:02", "maxPollingInterval": "00:00:01"}
    (app / "host.json").write_text(json.dumps({"extensions": {"queues": section}}))
    with hosts(azurite, tmp_path, queue.queue_name, app=app) as running:
        queue.send_message("bad-one")

        wait_until(lambda: ["bad-one"] == texts(running, "buried"))
        lines = [line for line in running[0].log.read_text().splitlines() if " worked " in line]
    first, second = (datetime.fromisoformat(line.split(" ")[0]) for line in lines)
    assert 2 <= (second - first).total_seconds()
