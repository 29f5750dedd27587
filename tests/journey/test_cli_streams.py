"""`mailbind` and answers that are not Mailbind's, closed pipes and Ctrl-C."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.parts import ROOT
from tests.journey.cli import COMMAND, Cli, captured_command, variables  # noqa: F401 - a fixture
from tests.journey.conftest import ask

type Answering = Callable[[int, bytes], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """The address of a server that has one answer for every request."""
    answer = (200, b"")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            """Nothing."""

    def start(status: int, body: bytes) -> str:
        nonlocal answer
        answer = (status, body)
        return f"http://127.0.0.1:{server.server_port}"

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield start
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>", "The response has the status 200 and is not from Mailbind. Is the address correct?"),
        (502, b"", "The response has the status 502 and is not from Mailbind. Is the address correct?"),
        (200, b"{}", "The response has no 'accounts'. Is Mailbind at this address another version than this command?"),
        (400, b'{"message": "\\u001b[2J\\u202e", "code": "\\n"}', "?[2J? (?)"),
    ],
)
def test_answer_of_something_else_is_a_failure(
    cli: Cli, answering: Answering, status: int, body: bytes, says: str
) -> None:
    done = cli("list", MAILBIND_BASE_URL=answering(status, body))

    assert (1, "", f"error: {says}\n") == (done.returncode, done.stdout, done.stderr)


def test_closed_pipe_is_no_error(environment: Environment) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "list"],
        cwd=ROOT,
        env=variables(environment, {}),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)

    assert (0, "") == (done.returncode, done.stderr)


def test_interrupted_command_ends_quietly(api: httpx.Client, environment: Environment) -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "registration", "wait", ask(api)["registration"]],
        cwd=ROOT,
        env=variables(environment, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and this test may be part of one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread of the command
    ) as waiting:
        assert waiting.stderr is not None
        waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        shown = waiting.communicate(timeout=60)

    assert (130, ("", "")) == (waiting.returncode, shown)
