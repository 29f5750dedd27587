"""Starts one local part as a process of its own, learns when it is ready, and stops it; no part outlives its parent."""

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
READY_SECONDS = 60
GRACE_SECONDS = 8
LAST_LINES = 20

type Ready = Mapping[str, Any]


class PartError(RuntimeError):
    """A part did not become ready, or did not last; the message ends with its last output lines."""


def first_line(output: str) -> Ready | None:
    """Read the JSON object that our own parts print as the first line of their standard output."""
    line, newline, _rest = output.partition("\n")
    return json.loads(line) if newline else None


def python_part(module: str, *arguments: str, python: Sequence[str] = (sys.executable,)) -> list[str]:
    """Command that runs one of our own modules as a part, by this Python or another one."""
    return [*python, "-m", __name__, module, *arguments]


@dataclass(frozen=True)
class Part:
    """A running part: what it said when it was ready, and the file its log (standard error) goes to."""

    name: str
    ready: Ready
    log: Path
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals

    def check(self) -> None:
        """Raise PartError if it has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise PartError(f"{self.name} ended with {code}:\n{_last_lines(self.log)}")

    def stop(self) -> None:
        """Ask it to end, wait some seconds, then end it and whatever it started."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_SECONDS)
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
    is_ready: Callable[[str], Ready | None] = first_line,
    stop_signal: signal.Signals = signal.SIGTERM,
    inherit: Sequence[int] = (),
) -> Part:
    """Start a part and wait until it is ready.

    Its log goes to `folder/name.log`, its standard output to `folder/name.out`. `settings` are added to this process's
    environment; `inherit` are open file descriptors that it may use. Raises PartError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out, log = folder / f"{name}.out", folder / f"{name}.log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # never written to: its end tells the part that we are gone
            stdout=stdout,
            stderr=stderr,
            cwd=ROOT,
            env={**os.environ, **(settings or {})},
            pass_fds=inherit,
            process_group=0,  # Ctrl-C reaches us alone, and we stop the parts in order
        )
    try:
        ready = _wait(name, process, out, log, is_ready)
    except BaseException:
        Part(name, {}, log, process, stop_signal).stop()
        raise
    return Part(name, ready, log, process, stop_signal)


@contextlib.contextmanager
def running(part: Part) -> Iterator[Part]:
    """Stop the part at the end of the block, whatever happens in it."""
    try:
        yield part
    finally:
        part.stop()


def _wait(
    name: str, process: subprocess.Popen[bytes], out: Path, log: Path, is_ready: Callable[[str], Ready | None]
) -> Ready:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll()
        if ready := is_ready(out.read_text()):
            return ready
        if ended is not None:
            raise PartError(f"{name} ended with {ended} before it was ready:\n{_last_lines(out, log)}")
        time.sleep(0.02)
    raise PartError(f"{name} was not ready within {READY_SECONDS} s:\n{_last_lines(out, log)}")


def _last_lines(*files: Path) -> str:
    lines = [line for file in files for line in file.read_text(errors="replace").splitlines()]
    return "\n".join(lines[-LAST_LINES:]) or "(it said nothing)"


def _end_with_parent() -> None:
    """Wait for the end of standard input, which comes even when the parent was killed; then end as if asked to."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
