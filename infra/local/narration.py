"""Describes what happens in the app: a sentence for each log line that matters to a person."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

FIELD = r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S+)'
LINE = re.compile(rf"\S+ (?P<level>[A-Z]+) \S+ (?P<event>.*?)(?P<fields>(?: {FIELD})*)")
SENTENCES = MappingProxyType(
    {
        "registration started": "A sign-in link was made.",
        "registration replaced": "An earlier link for this account no longer works.",
        "registration opened": "The link was opened.",
        "sign-in begun": "The browser goes to Microsoft.",
        "sign-in completed": "Signed in.",
        "mailbox bound": "The mailbox opened and is bound.",
        "mailbox refused": "Nothing was bound: {code}.",
        "access awaited": "The mailbox does not open yet; Mailbind keeps checking ({code}).",
        "access still awaited": "Checked again: the mailbox still does not open ({code}).",
        "access not given": "Mailbind stopped checking ({code}).",
        "grant refreshed": "The grant was refreshed.",
        "grant not refreshed": "The grant could not be refreshed: {code}.",
        "access token refused": "Microsoft refused the token ({code}); the grant stays valid.",
        "account removed": "The account was removed.",
    }
)
AUDIT_PREFIX = "audit "
HAND_OUT = {"action": "access-token.hand-out", "outcome": "done"}


def describe(line: str) -> str | None:
    """A sentence for a log line; None if the line does not matter to a person."""
    match = LINE.fullmatch(line)
    if not match:
        return None
    fields = dict(re.findall(FIELD, match["fields"]))
    if match["event"] in SENTENCES:
        return SENTENCES[match["event"]].format_map({"code": "unknown", **fields})
    if match["event"].startswith(AUDIT_PREFIX):
        record = json.loads(match["event"].removeprefix(AUDIT_PREFIX))
        return "A token was handed out." if record.items() >= HAND_OUT.items() else None
    if match["level"] == "ERROR":
        return f"Something failed: {match['event']} (host.log has more)."
    return None


def follow(log: Path, check: Callable[[], None], pause_seconds: float = 0.2) -> Iterator[str]:
    """Yield the lines of a growing log. Calls `check` while there is no new line; what it raises ends this."""
    with log.open() as file:
        partial_line = ""
        while True:
            partial_line += file.readline()
            if partial_line.endswith("\n"):
                yield partial_line.rstrip("\n")
                partial_line = ""
            else:
                check()
                time.sleep(pause_seconds)
