"""Says on standard error what a command is waiting for, once that takes two seconds."""

import shutil
import sys
import threading
import time

from shared.cli.output import cut, is_terminal

DELAY_SECONDS, INTERVAL_SECONDS = 2, 1
ERASE_LINE = "\r\x1b[K"


class Progress:
    """A line with `text` and the seconds so far, which is written again every second and erased at the end.

    Only a terminal gets it: in the log of a scheduled job it would be noise.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._is_shown = is_terminal(sys.stderr)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def start(self) -> None:
        """Begin to count, if that has not begun."""
        if self._is_shown and self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Erase the line."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def note(self, text: str) -> None:
        """Write a line that stays, to logs too."""
        sys.stderr.write(f"{ERASE_LINE if self._is_shown else ''}{text}\n")
        sys.stderr.flush()

    def _show(self) -> None:
        began, delay = time.monotonic(), DELAY_SECONDS
        while not self._ended.wait(delay):
            line = f"{self.text} ({time.monotonic() - began:.0f} s)"
            sys.stderr.write(ERASE_LINE + cut(line, shutil.get_terminal_size().columns - 1))
            sys.stderr.flush()
            delay = INTERVAL_SECONDS
        if delay == INTERVAL_SECONDS:
            sys.stderr.write(ERASE_LINE)
            sys.stderr.flush()
