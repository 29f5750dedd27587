"""The host's log on standard error: one line for each event, with its fields as key=value."""

import json
import logging
import sys
import textwrap
import time

STANDARD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
# Their INFO lines are about the host itself. Failed functions are errors of `azure.functions`.
QUIET_LOGGERS = ("azure.functions", "uvicorn", "asyncio")


class LineFormatter(logging.Formatter):
    """`time level logger message key=value …`; a traceback follows on indented lines."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        message = record.getMessage().replace("\n", "\\n")
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {message}"
        fields = {name: value for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES}
        line += "".join(f" {name}={_field_value(value)}" for name, value in fields.items())
        if record.exc_info:
            line += "\n" + textwrap.indent(self.formatException(record.exc_info), "    ")
        return line


def start_log(*, debug: bool) -> None:
    """Write every logger's lines to standard error, from INFO up; with `debug`, from DEBUG up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler], force=True)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET if debug else logging.WARNING)


def _field_value(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(' "=') & set(text) else json.dumps(text)
