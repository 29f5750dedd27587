"""Logging: our own events at INFO; libraries that would log URLs and bodies only when they warn."""

import json
import logging
from dataclasses import asdict

from shared.domain.audit import AuditRecord

audit_log = logging.getLogger("shared.audit")

# httpx logs whole URLs at INFO, the Azure SDK and MSAL requests and answers at DEBUG.
NOISY = ("azure", "msal", "httpx", "httpcore", "urllib3", "aiohttp")


def quiet_libraries() -> None:
    """Raise the level of libraries whose lines may hold what must not be logged."""
    logging.getLogger("shared").setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def write_audit(record: AuditRecord) -> None:
    """One line, `audit {…}`: the fields are in the message, because hosts need not pass on a record's other fields."""
    facts = {name: value for name, value in asdict(record).items() if value is not None}
    audit_log.info("audit %s", json.dumps(facts))
