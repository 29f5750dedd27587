"""Tells what happens in the app, from the host's log: one friendly line for each event that a person cares about."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

FIELD = r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S+)'
LINE = re.compile(rf"\S+ (?P<level>[A-Z]+) \S+ (?P<event>.*?)(?P<fields>(?: {FIELD})*)")
STORY = MappingProxyType(
    {
        "registration started": "A sign-in link was made.",
        "registration replaced": "An earlier link of the account is worth nothing any more.",
        "registration opened": "The link was opened.",
        "sign-in begun": "On the way to Microsoft.",
        "sign-in completed": "Signed in.",
        "mailbox bound": "The mailbox opened, and is bound.",
        "mailbox refused": "Nothing was bound: {code}.",
        "access awaited": "Not open yet; Mailbind keeps checking ({code}).",
        "access still awaited": "Checked again, still not open ({code}).",
        "access not given": "Checked for long enough; given up ({code}).",
        "grant refreshed": "The grant was refreshed.",
        "grant not refreshed": "The grant could not be refreshed: {code}.",
        "access token refused": "Microsoft gives no such token ({code}); the grant lives on.",
        "account removed": "The account was removed.",
    }
)
AUDIT = "audit "
HANDED_OUT = {"action": "access-token.hand-out", "outcome": "done"}


def tell(line: str) -> str | None:
    """Say in a sentence what a line of the log is about; None when nobody needs to know."""
    found = LINE.fullmatch(line)
    if not found:
        return None
    fields = dict(re.findall(FIELD, found["fields"]))
    if found["event"] in STORY:
        return STORY[found["event"]].format_map({"code": "unknown", **fields})
    if found["event"].startswith(AUDIT):
        record = json.loads(found["event"].removeprefix(AUDIT))
        return "A token was handed out." if record.items() >= HANDED_OUT.items() else None
    if found["level"] == "ERROR":
        return f"Something failed: {found['event']} (host.log has more)."
    return None


def follow(log: Path, check: Callable[[], None], pause: float = 0.2) -> Iterator[str]:
    """Yield the log's lines as they come, and call `check` while there are none; what it raises ends this."""
    with log.open() as file:
        begun = ""
        while True:
            begun += file.readline()
            if begun.endswith("\n"):
                yield begun.rstrip("\n")
                begun = ""
            else:
                check()
                time.sleep(pause)
