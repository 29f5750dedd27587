"""How the local host starts, fails to start, and ends."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from infra.local import parts
from infra.local.parts import PartError
from tests.local.sample_host import APP, ONLY_BY_HAND, sample_host, start_sample_host
from tests.patience import wait_until

EMPTY_APP = "import azure.functions as func\napp = func.FunctionApp()\n"
ANONYMOUS_APP = EMPTY_APP.replace("()", "(func.AuthLevel.ANONYMOUS)")
AT_ROOT = '{"extensions": {"http": {"routePrefix": ""}}}'
ROUTE = "@app.route(route='{route}')\nasync def hello(req: func.HttpRequest) -> str:\n    return 'hello'\n"
QUEUE = "@app.queue_trigger('message', 'q', 'c')\nasync def taken(message: func.QueueMessage) -> None: ...\n"


def write_app(folder: Path, source: str, host_json: str = "{}") -> Path:
    (folder / "function_app.py").write_text(source)
    (folder / "host.json").write_text(host_json)
    return folder


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "%EVERY_SECOND% does not resolve to a value"),
        ({"EVERY_SECOND": ""}, "%EVERY_SECOND% does not resolve to a value"),
        ({"EVERY_SECOND": "whenever"}, "'whenever' is not an NCRONTAB expression"),
    ],
)
def test_function_with_invalid_schedule_is_in_error(tmp_path: Path, settings: dict[str, str], complaint: str) -> None:
    with sample_host(tmp_path, settings) as host:
        assert "every_second" not in host.ready["functions"]
        assert 200 == httpx.get(f"{host.ready['url']}/runs").status_code

    assert f'function in error function=every_second reason="{complaint}' in host.log.read_text()


@pytest.mark.parametrize("route", ["admin/x", "Administrators", "runtime", "/admin-console/"])
def test_function_with_reserved_route_is_in_error(tmp_path: Path, route: str) -> None:
    other = ROUTE.format(route="v1/admin").replace("hello", "other")
    app = write_app(tmp_path, ANONYMOUS_APP + ROUTE.format(route=route) + other, AT_ROOT)
    with sample_host(tmp_path, app=app) as host:
        assert ["other"] == host.ready["functions"]
        assert "other" == httpx.get(f"{host.ready['url']}/v1/admin").text


@pytest.mark.parametrize("route", ["", "/"])
def test_root_path_is_a_valid_route(tmp_path: Path, route: str) -> None:
    with sample_host(tmp_path, app=write_app(tmp_path, ANONYMOUS_APP + ROUTE.format(route=route), AT_ROOT)) as host:
        assert "hello" == httpx.get(host.ready["url"]).text
        assert 404 == httpx.get(f"{host.ready['url']}/hello").status_code


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import missing_module", "No module named 'missing_module'"),
        (EMPTY_APP + ROUTE.format(route="a") * 2, "hello"),
        (EMPTY_APP + ROUTE.format(route="{n:even}"), "does not support '{n:even}'"),
        (EMPTY_APP + QUEUE, "taken: the setting c is missing"),
    ],
)
def test_start_fails_with_the_reason_of_an_indexing_error(tmp_path: Path, source: str, complaint: str) -> None:
    with pytest.raises(PartError) as failure:
        start_sample_host(tmp_path, app=write_app(tmp_path, source))

    assert complaint in str(failure.value)


def test_app_output_goes_to_the_log(tmp_path: Path) -> None:
    with sample_host(tmp_path, app=write_app(tmp_path, "print('imported')\n" + EMPTY_APP)) as host:
        assert "imported\n" in host.log.read_text()


def test_route_prefix_is_api_by_default(tmp_path: Path) -> None:
    app = write_app(tmp_path, ANONYMOUS_APP + ROUTE.format(route="hi"))
    with sample_host(tmp_path, app=app) as host:
        assert [200, 404] == [httpx.get(host.ready["url"] + path).status_code for path in ("/api/hi", "/hi")]


def test_keys_can_come_from_the_environment(tmp_path: Path) -> None:
    keys = {"MAILBIND_HOST_MASTER_KEY": "m" * 40, "MAILBIND_HOST_FUNCTION_KEY": "f" * 40}
    with sample_host(tmp_path, ONLY_BY_HAND | keys) as host:
        assert {"master": "m" * 40, "function": "f" * 40} == host.ready["keys"]


def test_settings_file_applies_and_platform_settings_are_removed(tmp_path: Path) -> None:
    """Platform settings from the file itself are kept."""
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"Values": {**ONLY_BY_HAND, "FUNCTIONS_WORKER_RUNTIME": "python", "COLOUR": "blue"}}))
    command = parts.python_part("infra.local.host", "--app", str(APP), "--settings", str(file))
    inherited = {"WEBSITE_SITE_NAME": "elsewhere", "CONTAINER_NAME": "elsewhere", "COLOUR": "red"}
    with parts.running(parts.start("host", command, folder=tmp_path, settings=inherited)) as host:
        names = "WEBSITE_SITE_NAME,CONTAINER_NAME,FUNCTIONS_WORKER_RUNTIME,COLOUR"
        seen = httpx.get(f"{host.ready['url']}/environment", params={"names": names}).json()

    assert [None, None, "python", "blue"] == [seen[name] for name in names.split(",")]


def test_hosts_run_side_by_side(tmp_path: Path) -> None:
    with (
        sample_host(tmp_path / "one", ONLY_BY_HAND) as first,
        sample_host(tmp_path / "two", ONLY_BY_HAND) as second,
    ):
        assert first.ready["url"] != second.ready["url"]
        assert [200, 200] == [httpx.get(f"{host.ready['url']}/runs").status_code for host in (first, second)]


def test_stopped_host_finishes_running_invocations(tmp_path: Path) -> None:
    with sample_host(tmp_path, ONLY_BY_HAND) as host, ThreadPoolExecutor() as pool:
        response = pool.submit(httpx.get, f"{host.ready['url']}/slow", params={"seconds": 0.7})
        time.sleep(0.3)
        host.stop()

        assert 200 == response.result().status_code
        assert 0 == host.process.returncode


def test_host_exits_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.local.sample_host import *;"
        "host = start_sample_host(Path(sys.argv[1]), ONLY_BY_HAND);"
        "print(host.ready['url'], flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=parts.ROOT, text=True) as parent:  # noqa: S603 - our own
        assert parent.stdout is not None
        runs = f"{parent.stdout.readline().strip()}/runs"
        assert 200 == httpx.get(runs).status_code
        parent.send_signal(signal.SIGKILL)

    with pytest.raises(httpx.TransportError):
        wait_until(lambda: httpx.get(runs).is_error)
