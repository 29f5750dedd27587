"""Timer triggers of the local host, tested with the sample app."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.host.settings import FunctionInError
from infra.local.host.timers import read_schedule
from infra.local.parts import Part
from tests.local.sample_host import ONLY_BY_HAND, sample_host
from tests.patience import wait_until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with sample_host(tmp_path_factory.mktemp("host"), ONLY_BY_HAND) as part:
        yield part


def runs_of(host: Part, name: str) -> list[dict[str, Any]]:
    return [run for run in httpx.get(f"{host.ready['url']}/runs").json() if run["name"] == name]


def run_now(host: Part, name: str, key: str = "master", method: str = "POST") -> int:
    headers = {"x-functions-key": host.ready["keys"][key]} if key else {}
    return httpx.request(method, f"{host.ready['url']}/admin/functions/{name}", headers=headers).status_code


def test_master_key_runs_a_timer(host: Part) -> None:
    """The response comes when the run has ended."""
    before = len(runs_of(host, "once_a_year"))

    assert 202 == run_now(host, "once_a_year")
    after = runs_of(host, "once_a_year")
    assert (before + 1, False) == (len(after), after[-1]["pastDue"])
    assert "ended" in after[-1]
    assert after[-1]["monitored"]


def test_disabled_timer_can_be_run_by_admin_call(host: Part) -> None:
    assert 202 == run_now(host, "every_second")


@pytest.mark.parametrize("key", ["function", ""])
def test_only_the_master_key_runs_a_timer(host: Part, key: str) -> None:
    assert 401 == run_now(host, "once_a_year", key)


@pytest.mark.parametrize(("name", "method"), [("echo", "POST"), ("unknown", "POST"), ("once_a_year", "GET")])
def test_admin_call_runs_no_http_function(host: Part, name: str, method: str) -> None:
    assert 404 == run_now(host, name, method=method)


async def test_timer_runs_do_not_overlap_and_time_out(host: Part) -> None:
    """The limit in the sample's host.json is a second."""
    answers = await asyncio.gather(*(asyncio.to_thread(run_now, host, "never_ends") for _ in range(2)))
    first, second = runs_of(host, "never_ends")[-2:]

    assert [202, 202] == answers
    assert not second["monitored"]
    assert 0.99 <= second["began"] - first["began"]
    assert "function timed out function=never_ends" in host.log.read_text()


def test_late_timer_run_is_marked_as_past_due(tmp_path: Path) -> None:
    """The first run times out after a second, the next is late, the later ones are not."""
    with sample_host(tmp_path, {"EVERY_SECOND": "* * * * * *", "FIRST_RUN_SECONDS": "30"}) as host:
        wait_until(lambda: len(runs_of(host, "every_second")) >= 3)
        runs = runs_of(host, "every_second")

    assert [False, True, False] == [run["pastDue"] for run in runs[:3]]
    assert all(run["began"] % 1 < 0.9 for run in runs)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * * *", "2026-11-24T10:00:01"),
        ("0 * * * * *", "2026-11-24T10:01:00"),
        ("*/5 * * * *", "2026-11-24T10:05:00"),
        ("0 */15 * * * *", "2026-11-24T10:15:00"),
        ("0 30 9-17/2 * * mon-fri", "2026-11-24T11:30:00"),
        ("0 0 3 1 jan,jul *", "2027-01-01T03:00:00"),
        ("0 0 0 13 * 5", "2027-08-13T00:00:00"),  # a Friday, the 13th: both must match
    ],
)
def test_schedules_are_read_as_ncrontab(expression: str, expected: str) -> None:
    now = datetime(2026, 11, 24, 10, 0, 0, 250_000, UTC)

    assert expected == read_schedule(expression).after(now).replace(tzinfo=None).isoformat()


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * *",
        "60 * * * * *",
        "@daily",
        "0 0 3 L * *",
        "0 0 3 LW * *",
        "0 0 3 * * 5L",
        "0 0 3 * * 7",
        "0 0 3 31 2 *",
    ],
)
def test_invalid_ncrontab_is_rejected(expression: str) -> None:
    with pytest.raises(FunctionInError):
        read_schedule(expression)
