"""Narrates what happens in the app: a sentence for each log line and each event that matters to a person."""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx

from infra.local.caller import mailbind_client
from infra.local.environment import Environment

type Names = Callable[[str, str], str]
"""The name that people know, given the kind of an id (a field of a log line, such as `account`) and the id."""

FIELD = r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S+)'
LINE = re.compile(rf"\S+ (?P<level>[A-Z]+) \S+ (?P<event>.*?)(?P<fields>(?: {FIELD})*)")
# The log has ids only. A name in braces is a field of the line; ids of these fields are replaced by names.
NAMED_FIELDS = ("account", "registration", "principal")
SENTENCES = MappingProxyType(
    {
        "registration started": "A sign-in link for {registration} was made.",
        "registration replaced": "An earlier link for {registration} no longer works.",
        "registration opened": "The link for {registration} was opened.",
        "sign-in begun": "The browser goes to Microsoft.",
        "sign-in completed": "{principal} signed in at Microsoft.",
        "mailbox bound": "{account} is bound; {principal} authorizes it.",
        "mailbox refused": "{registration} was not bound: {code}.",
        "access awaited": "{registration} does not open yet; Mailbind keeps checking ({code}).",
        "access still awaited": "Checked again: {registration} still does not open ({code}).",
        "access not given": "Mailbind stopped checking {registration} ({code}).",
        "account needs attention": "{account} needs attention: {code}.",
        "account recovered": "{account} no longer needs attention.",
        "grant refreshed": "The grant of {principal} was refreshed.",
        "grant not refreshed": "The grant of {principal} could not be refreshed: {code}.",
        "access token refused": "Microsoft refused the token of {principal} ({code}); the grant stays valid.",
        "oauth app fault": "Microsoft refuses the OAuth app: {code}.",
        "oauth app recovered": "Microsoft accepts the OAuth app again.",
    }
)
AUDIT_PREFIX = "audit "
AUDIT_SENTENCES = MappingProxyType(
    {
        "access-token.hand-out": "An access token for {account} was handed out.",
        "account.remove": "The account of {account} was removed.",
    }
)


def describe(line: str, names: Names) -> str | None:
    """A sentence for a log line; None if the line does not matter to a person."""
    match = LINE.fullmatch(line)
    if not match:
        return None
    event = match["event"]
    if event in SENTENCES:
        fields = {name: json.loads(value) if value[0] == '"' else value for name, value in _pairs(match["fields"])}
        return _fill(SENTENCES[event], fields, names)
    if event.startswith(AUDIT_PREFIX):
        record = json.loads(event.removeprefix(AUDIT_PREFIX))
        sentence = AUDIT_SENTENCES.get(record["action"]) if record["outcome"] == "done" else None
        return sentence and _fill(sentence, record, names)
    if match["level"] == "ERROR":
        return f"Something failed: {event} (host.log has more)."
    return None


def describe_event(event: dict[str, Any], names: Names) -> str:
    """A sentence for an event that was delivered."""
    subject = f" for {names('account', event['account'])}" if event["account"] else ""
    return f"{event['event']} was delivered to the sample app{subject}."


def follow(log: Path, pause: Callable[[], None], pause_seconds: float = 0.2) -> Iterator[str]:
    """Yield the lines of a growing log. Calls `pause` while there is no new line; what it raises ends this."""
    with log.open() as file:
        partial_line = ""
        while True:
            partial_line += file.readline()
            if partial_line.endswith("\n"):
                yield partial_line.rstrip("\n")
                partial_line = ""
            else:
                pause()
                time.sleep(pause_seconds)


@dataclass
class NameLookup:
    """Looks up names in Mailbind and in the tenant, as an administrator may, and remembers them."""

    environment: Environment
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def name(self, kind: str, identity: str) -> str:
        """See Names. An unknown id, such as that of a removed account, stays as it is."""
        if (kind, identity) not in self.known:
            try:
                self.known[kind, identity] = self._look_up(kind, identity)
            except (httpx.HTTPError, LookupError):
                return identity
        return self.known[kind, identity]

    def _look_up(self, kind: str, identity: str) -> str:
        if kind == "principal":
            people = {person["oid"]: person["upn"] for person in self._tenant()["people"]}
            return str(people[identity.rpartition(".")[2]])
        path = f"/v1/account/{quote(identity, safe='')}" if kind == "account" else f"/v1/authentication/form/{identity}"
        with mailbind_client(self.environment.base_url, self.environment.secrets.admin_token) as api:
            found = api.get(path).raise_for_status().json()
        emails = [found["email"]] if kind == "account" else [mailbox["email"] for mailbox in found["mailboxes"]]
        return " and ".join(email or "a mailbox" for email in emails)

    def _tenant(self) -> dict[str, Any]:
        ready = self.environment.tenant.ready
        trust = ssl.create_default_context(cafile=ready["caFile"])
        return dict(httpx.get(ready["controlUrl"], verify=trust, trust_env=False).raise_for_status().json())


def _pairs(fields: str) -> list[tuple[str, str]]:
    return re.findall(FIELD, fields)


def _fill(sentence: str, fields: dict[str, Any], names: Names) -> str:
    named = {name: names(name, fields[name]) for name in NAMED_FIELDS if f"{{{name}}}" in sentence and name in fields}
    return sentence.format_map({"code": "unknown", **fields, **named})
