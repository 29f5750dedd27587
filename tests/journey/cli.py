"""Runs the operators' command against the running app, with its output captured or on a terminal."""

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from infra.local.environment import Environment
from infra.local.parts import ROOT

type Run = subprocess.CompletedProcess[str]
type Cli = Callable[..., Run]
type Terminal = Callable[..., str]

COMMAND = [sys.executable, "-m", "shared.cli"]
BACK = ("--redirect-url", "https://myapp.example/done")


def variables(environment: Environment, changes: Mapping[str, str | None]) -> dict[str, str]:
    """An environment with address and token; `None` removes a variable."""
    named = {"MAILBIND_BASE_URL": environment.base_url, "MAILBIND_TOKEN": environment.secrets.admin_token}
    unset = {"NO_COLOR": None, "COLUMNS": None, "MAILBIND_REDIRECT_URL": None}
    return {name: value for name, value in {**os.environ, **unset, **named, **changes}.items() if value is not None}


@pytest.fixture(name="cli")
def captured_command(environment: Environment) -> Cli:
    def run(*arguments: str, stdin: str = "", **changes: str | None) -> Run:
        return subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=variables(environment, changes),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(name="terminal")
def command_on_a_terminal(environment: Environment) -> Terminal:
    """What the terminal shows of standard output and standard error, with escape sequences."""

    def run(*arguments: str, columns: int = 80, keys: str = "", prompt: str = "", **changes: str | None) -> str:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=variables(environment, {"TERM": "xterm", **changes}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,  # or it would find the terminal of whoever runs the tests
        )
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # a terminal that nobody holds open any more
            while chunk := os.read(ours, 4096):
                shown += chunk
                if keys and prompt.encode() in shown:
                    os.write(ours, keys.encode())
                    keys = ""
        os.close(ours)
        process.wait()
        return shown.decode()

    return run


def told(run: Run) -> Any:
    """The JSON that a successful command printed."""
    assert (0, "") == (run.returncode, run.stderr)
    return json.loads(run.stdout)


def problem(run: Run) -> Any:
    """The JSON that a failed command printed."""
    assert (1, "") == (run.returncode, run.stderr)
    return json.loads(run.stdout)
