"""What Application Insights receives, and what the queries read."""

import io
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

from infra.local.narration import FIELD, LINE
from shared.domain.account import MAILBOX_REPLACED
from shared.domain.audit import Action
from shared.domain.entra_errors import FAILURE_RULES, UNKNOWN
from shared.domain.failure import ENTRA_SETUP, FailureKind, MailboxRefusal
from shared.domain.remedy import Reader, remedy
from shared.telemetry import FieldsFormatter, write_fields_to_text
from shared.usecases.tokens.refresh import OAUTH_APP_GONE
from shared.usecases.upkeep.agenda import FAILED

QUERIES = sorted((Path(__file__).parents[2] / "infra/monitoring").glob("*.kql"))
ATTENTION = Path(__file__).parents[2] / "infra/monitoring/attention.kql"
OPTIONAL = {"code"}  # only refusals have a code


def test_log_line_has_fields_as_json_before_the_traceback() -> None:
    record = logging.getLogger("shared.x").makeRecord(
        "shared.x", logging.INFO, "f", 1, "tick %s", ("done",), None, extra={"refreshed": 3, "accounts.connected": 1}
    )

    event, _, fields = FieldsFormatter().format(record).partition(" {")
    assert "tick done" == event
    assert {"refreshed": 3, "accounts.connected": 1} == json.loads("{" + fields)
    try:
        json.loads("gone")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "\nTraceback " in FieldsFormatter().format(record)


def test_handlers_with_a_formatter_keep_it() -> None:
    """The worker's handler has no formatter; a host that shows fields has its own."""
    bare, own = logging.StreamHandler(io.StringIO()), logging.StreamHandler(io.StringIO())
    own.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    for handler in (bare, own):
        root.addHandler(handler)
    try:
        write_fields_to_text()
        logging.getLogger("shared.x").warning("shard not worked", extra={"shard": "07"})
    finally:
        for handler in (bare, own):
            root.removeHandler(handler)

    assert ['shard not worked {"shard": "07"}\n', "shard not worked\n"] == [
        handler.stream.getvalue() for handler in (bare, own)
    ]


def test_queries_use_fields_that_are_logged(log: Path) -> None:
    """An alert on a field that is never logged would never fire."""
    fields_of_event: dict[str, set[str]] = {}
    for line in map(LINE.fullmatch, log.read_text().splitlines()):
        if line and line["event"].startswith("audit "):
            fields_of_event.setdefault("audit", set()).update(json.loads(line["event"].removeprefix("audit ")))
        elif line:
            fields_of_event.setdefault(line["event"], set()).update(
                name for name, _ in re.findall(FIELD, line["fields"])
            )
    fields_of_event["access token lives too long"] = {"app", "resource"}  # tests/usecases/test_claims.py has one
    fields_of_event["shard messages failed for good"] = {"messages"}  # tests/faults/test_poison.py has one
    fields_of_event["delivery parked"] = fields_of_event["delivery failed"]  # the same line, three days later

    for file in QUERIES:
        query = file.read_text()
        events = re.findall(r'message startswith "([\w ]+) \{"', query)
        queried = set(re.findall(r'fields\["([\w.]+)"\]|record\.(\w+)', query))
        logged = set().union(*(fields_of_event.get(event, set()) for event in events))
        assert {name or other for name, other in queried} <= logged | OPTIONAL, file.name
        assert not events or logged, file.name


def test_account_that_needs_a_person_is_logged_by_its_id(log: Path, journey: dict[str, Any]) -> None:
    """At once, with the probe, and again by each sweep."""
    text, about = log.read_text(), f"account={journey['account']} code=no_mailbox_access"

    assert 2 == text.count(f" account needs attention {about} since=")
    assert 1 == len(re.findall(rf" mailbox probed account={journey['account']} .*code=no_mailbox_access", text))


def test_workbook_says_what_to_do_for_every_code() -> None:
    rules = {rule.code for rule in FAILURE_RULES if rule.kind is not FailureKind.TRANSIENT}
    codes = {
        ENTRA_SETUP,
        *rules,
        *MailboxRefusal,
        MAILBOX_REPLACED,
        OAUTH_APP_GONE.code,
        UNKNOWN.code,
        "claims_challenge",
    }

    rows = dict(re.findall(r"^    '(\w+)', '((?:[^'\\]|\\.)*)',$", ATTENTION.read_text(), re.MULTILINE))

    rows.pop("secret_expires")
    assert {code: remedy(code, Reader.OPERATOR).action for code in codes} == {
        code: action.replace("\\'", "'") for code, action in rows.items()
    }


def test_queries_use_outcomes_and_actions_of_the_app(log: Path) -> None:
    named = {
        name
        for file in QUERIES
        for names in re.findall(r"outcome in \((.*?)\)", file.read_text())
        for name in names.split(", ")
    }
    actions = {name for file in QUERIES for name in re.findall(r'"([a-z-]+\.[a-z-]+)"', file.read_text())}

    assert {json.loads(name) for name in named} <= {*FailureKind, FAILED, "refreshed"}
    assert actions <= set(Action)
    assert " state accounts.connected=1 " in log.read_text()
