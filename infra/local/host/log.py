"""The host's log: one line for each event on standard error, with the event's fields as key=value."""

import json
import logging
import sys
import textwrap
import time

STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
# Their INFO lines are about the host's own workings. Failed functions come as errors of `azure.functions`.
QUIET = ("azure.functions", "uvicorn", "asyncio")


class LineFormatter(logging.Formatter):
    """`time level logger message key=value …`; a traceback follows on indented lines."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        message = record.getMessage().replace("\n", "\\n")
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {message}"
        fields = {name: value for name, value in vars(record).items() if name not in STANDARD}
        line += "".join(f" {name}={_shown(value)}" for name, value in fields.items())
        if record.exc_info:
            line += "\n" + textwrap.indent(self.formatException(record.exc_info), "    ")
        return line


def start_log(*, debug: bool) -> None:
    """Send every logger's lines from INFO up to standard error; with `debug`, whatever anybody logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if debug else logging.WARNING)


def _shown(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(' "=') & set(text) else json.dumps(text)
