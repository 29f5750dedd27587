"""`make run` and `make demo`, as a person runs them in a terminal."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.narration import describe, describe_event
from infra.local.parts import ROOT
from infra.local.visitor import Visitor
from tests.patience import wait_until

FREE_PORTS = {"MAILBIND_PORT": "0", "MAILBIND_TENANT_PORT": "0", "MAILBIND_AZURITE_PORT": "0"}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@contextmanager
def make_run(folder: Path, **ports: str) -> Iterator[subprocess.Popen[str]]:
    with (folder / "terminal").open("w") as terminal:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "infra.local.run", "--folder", str(folder)],
            stdout=terminal,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | FREE_PORTS | ports,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def started(folder: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The content of run.json, when the run has written it."""
    file = folder / "run.json"
    while not file.exists():
        assert process.poll() is None, (folder / "terminal").read_text()
        time.sleep(0.05)
    return dict(json.loads(file.read_text()))


def wait_for_sentence(folder: Path, sentence: str) -> None:
    wait_until(lambda: sentence in (folder / "terminal").read_text())


def pasted(welcome: str) -> str:
    """What the commands print that a person pastes into another terminal."""
    commands = [line for line in welcome.splitlines() if line.lstrip().startswith(("export ", "curl "))]
    assert 3 == len(commands)
    environment = {"PATH": os.environ["PATH"]}
    script = "\n".join(["set -eu", *commands, 'curl --silent --fail "$CONTROL" >/dev/null', 'test -n "$GRAPH"'])
    command = ["bash", "-c", script.replace("curl -H", "curl --silent --fail -H")]
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=60)  # noqa: S603 - our own commands
    return run.stdout


def token_for(run: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {run['apiToken']}"}
    return httpx.get(f"{run['baseUrl']}/v1/account/shared/oauth-token", headers=headers)


def test_run_leads_to_a_token_that_survives_a_restart(tmp_path: Path) -> None:
    with make_run(tmp_path) as process:
        run = started(tmp_path, process)
        wait_for_sentence(tmp_path, "What happens:")
        welcome = (tmp_path / "terminal").read_text()
        assert run["link"] in welcome
        assert "Sign in as alice@contoso.example" in welcome
        assert {f"{run['baseUrl']}/", f"{run['baseUrl']}/docs", run["controlUrl"]} <= set(welcome.split())
        assert 404 == token_for(run).status_code

        with Visitor(run["caFile"]) as alice:
            back = alice.follow(run["link"], "alice@contoso.example").refresh
            assert back is not None
            assert "support@contoso.example is connected" in alice.open(back).text
            start = alice.open(run["baseUrl"])
            (connect,) = [link for link in start.links if link.endswith("/connect")]
            assert start.status == alice.open(connect).status == 200
        assert "support@contoso.example" == json.loads(pasted(welcome))["email"]
        for sentence in (
            "The link for support@contoso.example was opened.",
            "alice@contoso.example signed in at Microsoft.",
            "support@contoso.example is bound; alice@contoso.example authorizes it.",
            "An access token for support@contoso.example was handed out.",
            "accountAdded was delivered to the sample app for support@contoso.example.",
        ):
            wait_for_sentence(tmp_path, sentence)

    assert 0 == process.returncode
    assert "Stopped." in (tmp_path / "terminal").read_text()
    assert not (tmp_path / "run.json").exists()
    with pytest.raises(httpx.ConnectError):
        token_for(run)

    with make_run(tmp_path) as process:
        again = started(tmp_path, process)
        assert (run["apiToken"], 200) == (again["apiToken"], token_for(again).status_code)


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"MAILBIND_PORT": "http"}, "MAILBIND_PORT must be a port number"),
        ({"MAILBIND_PORT": "{taken}"}, "Address already in use"),
        ({"MAILBIND_AZURITE_PORT": "{taken}"}, "EADDRINUSE"),
        ({"MAILBIND_TENANT_PORT": "{taken}"}, "Address already in use"),
    ],
)
def test_unavailable_port_ends_the_run_with_the_reason(
    tmp_path: Path, taken_port: int, ports: dict[str, str], message: str
) -> None:
    with make_run(tmp_path, **{name: port.format(taken=taken_port) for name, port in ports.items()}) as process:
        assert 1 == process.wait(30)

    terminal = (tmp_path / "terminal").read_text()
    assert message in terminal
    assert "Traceback" not in terminal.partition("ended with")[0]


def test_run_ends_with_the_reason_when_a_part_ends(tmp_path: Path) -> None:
    with make_run(tmp_path) as process:
        tables = started(tmp_path, process)["tablesUrl"]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        azurite = next(child for child in children if b"azurite" in Path(f"/proc/{child}/cmdline").read_bytes())
        os.kill(int(azurite), signal.SIGKILL)

        assert 1 == process.wait(30)
    assert "azurite ended with -9" in (tmp_path / "terminal").read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(tables)


def test_demo_completes_the_journey() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "infra.local.demo"], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )

    assert (0, "") == (demo.returncode, demo.stderr)
    assert "The timer refreshed the grant" in demo.stdout
    assert "accountAdded, accountInitialized" in demo.stdout


NAMES = {
    ("account", "shared"): "support@contoso.example",
    ("registration", "97"): "sales@contoso.example",
    ("principal", "1.2"): "alice@contoso.example",
}


def name(kind: str, identity: str) -> str:
    return NAMES.get((kind, identity), identity)


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("INFO shared.x registration opened registration=97", "The link for sales@contoso.example was opened."),
        ("INFO shared.x registration opened registration=98", "The link for 98 was opened."),
        ("INFO shared.x mailbox refused registration=97 code=x", "sales@contoso.example was not bound: x."),
        (
            "INFO shared.x mailbox bound account=shared by=97 principal=1.2 state=new",
            "support@contoso.example is bound; alice@contoso.example authorizes it.",
        ),
        (
            "WARNING shared.x grant not refreshed principal=1.2",
            "The grant of alice@contoso.example could not be refreshed: unknown.",
        ),
        ('WARNING shared.x account needs attention account="a b" code=x', "a b needs attention: x."),
        (
            'INFO shared.audit audit {"action": "access-token.hand-out", "outcome": "done", "account": "shared"}',
            "An access token for support@contoso.example was handed out.",
        ),
        (
            'INFO shared.audit audit {"action": "access-token.hand-out", "outcome": "refused", "account": "shared"}',
            None,
        ),
        ('ERROR shared.x work failed kind="a \\"b\\""', "Something failed: work failed (host.log has more)."),
        ("INFO shared.x grants refreshed done=0", None),
    ],
)
def test_narration_names_people_and_mailboxes(event: str, sentence: str | None) -> None:
    assert sentence == describe(f"2026-11-24T12:42:07.001Z {event}", name)


def test_narration_leaves_tracebacks_out() -> None:
    assert describe("    ValueError: a line of a traceback", name) is None


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            {"event": "accountAdded", "account": "shared"},
            "accountAdded was delivered to the sample app for support@contoso.example.",
        ),
        ({"event": "oauthAppError", "account": None}, "oauthAppError was delivered to the sample app."),
    ],
)
def test_narration_names_delivered_events(event: dict[str, Any], sentence: str) -> None:
    assert sentence == describe_event(event, name)
