"""Starts a local part as a process, waits until it is ready, and stops it. A part ends when its parent ends."""

import contextlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 8
MAX_LOG_LINES = 20

type Ready = Mapping[str, Any]


class PartError(RuntimeError):
    """A part did not start, or ended by itself. The message has its last lines of output."""


def read_first_line(output: str) -> Ready | None:
    """The JSON object that our own parts print as their first line; None if it is not complete."""
    line, newline, _rest = output.partition("\n")
    return json.loads(line) if newline else None


def python_part(module: str, *arguments: str, python: Sequence[str] = (sys.executable,)) -> list[str]:
    """The command that runs one of our own modules as a part, by default with this Python."""
    return [*python, "-m", __name__, module, *arguments]


@dataclass(frozen=True)
class Part:
    """A running part: what it reported when it was ready, and the file with its log (standard error)."""

    name: str
    ready: Ready
    log: Path
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals

    def check(self) -> None:
        """Raise PartError if the part has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise PartError(f"{self.name} ended with {code}:\n{_last_lines(self.log)}")

    def stop(self) -> None:
        """Signal the part to stop, wait for it, then kill it and its child processes."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


def start(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    read_ready: Callable[[str], Ready | None] = read_first_line,
    stop_signal: signal.Signals = signal.SIGTERM,
    inherit: Sequence[int] = (),
) -> Part:
    """Start a part and wait until it is ready.

    Its log goes to `folder/name.log`, its standard output to `folder/name.out`. `settings` are added to this process's
    environment, `inherit` are file descriptors for it. `read_ready` makes the ready report of the output, or returns
    None until the output is complete. Raises PartError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, log = folder / f"{name}.out", folder / f"{name}.log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # nothing is written; when it ends, the part knows that we are gone
            stdout=stdout,
            stderr=stderr,
            cwd=ROOT,
            env={**os.environ, **(settings or {})},
            pass_fds=inherit,
            process_group=0,  # Ctrl-C reaches only us, and we stop the parts in order
        )
    try:
        ready = _wait_until_ready(name, process, out, log, read_ready)
    except BaseException:
        Part(name, {}, log, process, stop_signal).stop()
        raise
    return Part(name, ready, log, process, stop_signal)


@contextlib.contextmanager
def running(part: Part) -> Iterator[Part]:
    """Stop the part at the end of the block, also after an exception."""
    try:
        yield part
    finally:
        part.stop()


def _wait_until_ready(
    name: str, process: subprocess.Popen[bytes], out: Path, log: Path, read_ready: Callable[[str], Ready | None]
) -> Ready:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        exit_code = process.poll()
        if ready := read_ready(out.read_text()):
            return ready
        if exit_code is not None:
            raise PartError(f"{name} ended with {exit_code} before it was ready:\n{_last_lines(out, log)}")
        time.sleep(0.02)
    raise PartError(f"{name} was not ready within {START_TIMEOUT_SECONDS} s:\n{_last_lines(out, log)}")


def _last_lines(*files: Path) -> str:
    lines = [line for file in files for line in file.read_text(errors="replace").splitlines()]
    return "\n".join(lines[-MAX_LOG_LINES:]) or "(no output)"


def _exit_with_parent() -> None:
    """Wait for the end of standard input, which comes even if the parent was killed; then exit as on SIGTERM."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
