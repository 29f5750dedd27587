"""Promises of what Application Insights is told."""

import io
import json
import logging
import sys

from shared.telemetry import WithFields, tell_fields


def test_fields_follow_the_event_as_json_and_a_traceback_follows_them() -> None:
    record = logging.getLogger("shared.x").makeRecord(
        "shared.x", logging.INFO, "f", 1, "tick %s", ("done",), None, extra={"refreshed": 3, "accounts.connected": 1}
    )

    event, _, fields = WithFields().format(record).partition(" {")
    assert "tick done" == event
    assert {"refreshed": 3, "accounts.connected": 1} == json.loads("{" + fields)
    try:
        json.loads("gone")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "\nTraceback " in WithFields().format(record)


def test_only_handlers_without_a_formatter_are_given_one() -> None:
    """The worker's has none; a host that knows fields has its own."""
    bare, own = logging.StreamHandler(io.StringIO()), logging.StreamHandler(io.StringIO())
    own.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    for handler in (bare, own):
        root.addHandler(handler)
    try:
        tell_fields()
        logging.getLogger("shared.x").warning("shard not worked", extra={"shard": "07"})
    finally:
        for handler in (bare, own):
            root.removeHandler(handler)

    assert ['shard not worked {"shard": "07"}\n', "shard not worked\n"] == [
        one.stream.getvalue() for one in (bare, own)
    ]
