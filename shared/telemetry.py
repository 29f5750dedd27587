"""Logging: our own events from INFO, and libraries that could log URLs and bodies only from WARNING."""

import json
import logging
from dataclasses import asdict

from shared.domain.audit import AuditRecord, correlation_id

audit_log = logging.getLogger("shared.audit")

# httpx logs whole URLs at INFO; the Azure SDK and MSAL log requests and responses at DEBUG.
QUIET_LIBRARIES = ("azure", "msal", "httpx", "httpcore", "urllib3", "aiohttp")
# The attributes of every log record; any other attribute is a field of ours.
STANDARD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class FieldsFormatter(logging.Formatter):
    """Writes the event, followed by its fields as JSON: `tick done {"refreshed": 3}`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Format a record. A traceback follows it."""
        fields = {name: value for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES}
        return f"{record.message} {json.dumps(fields, default=str)}" if fields else record.message


def add_correlation_id(record: logging.LogRecord) -> bool:
    """Add the correlation id to our own records, except to audit records, which contain it."""
    identity = correlation_id()
    if identity is not None and record.name.startswith("shared.") and record.name != audit_log.name:
        record.correlation = identity
    return True


def write_fields_to_text() -> None:
    """Write fields, including the correlation id, into the text of log records.

    Azure's worker forwards only the text, through a handler of the root logger without a formatter
    (azure-functions-python-worker, proxy_worker/dispatcher.py, AsyncLoggingHandler). A handler with a formatter keeps
    it.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(add_correlation_id)
        if handler.formatter is None:
            handler.setFormatter(FieldsFormatter())


def quiet_libraries() -> None:
    """Raise the level of libraries whose records could contain secrets."""
    logging.getLogger("shared").setLevel(logging.INFO)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def write_audit(record: AuditRecord) -> None:
    """Log one line, `audit {…}`. The fields are in the message, because hosts may drop a record's other fields."""
    fields = {name: value for name, value in asdict(record).items() if value is not None}
    audit_log.info("audit %s", json.dumps(fields))
