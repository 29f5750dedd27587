"""Logging: our own events at INFO; libraries that would log URLs and bodies only when they warn."""

import json
import logging
from dataclasses import asdict

from shared.domain.audit import AuditRecord, correlation_id

audit_log = logging.getLogger("shared.audit")

# httpx logs whole URLs at INFO, the Azure SDK and MSAL requests and answers at DEBUG.
NOISY = ("azure", "msal", "httpx", "httpcore", "urllib3", "aiohttp")


STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class WithFields(logging.Formatter):
    """The event, and behind it its fields as JSON: `tick done {"refreshed": 3}`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Write one record; a traceback follows it."""
        fields = {name: value for name, value in vars(record).items() if name not in STANDARD}
        return f"{record.message} {json.dumps(fields, default=str)}" if fields else record.message


def correlated(record: logging.LogRecord) -> bool:
    """Give a line of ours the id of what it belongs to; an audit record says it itself."""
    identity = correlation_id()
    if identity is not None and record.name.startswith("shared.") and record.name != audit_log.name:
        record.correlation = identity
    return True


def tell_fields() -> None:
    """Put fields into the text of what the platform takes, and a correlation id among them.

    Azure's worker passes on a record's text alone, by a handler of the root logger that has no formatter of its own
    (azure-functions-python-worker, proxy_worker/dispatcher.py, AsyncLoggingHandler). Hosts with one know fields.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(correlated)
        if handler.formatter is None:
            handler.setFormatter(WithFields())


def quiet_libraries() -> None:
    """Raise the level of libraries whose lines may hold what must not be logged."""
    logging.getLogger("shared").setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def write_audit(record: AuditRecord) -> None:
    """One line, `audit {…}`: the fields are in the message, because hosts need not pass on a record's other fields."""
    facts = {name: value for name, value in asdict(record).items() if value is not None}
    audit_log.info("audit %s", json.dumps(facts))
