"""What an operator can do about an error, and the command to run next."""

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.cli.output import printable, red
from shared.domain.remedy import Reader, remedies

TROUBLE_STATES = ("authenticationError", "connectError")
MAX_COMMANDS_PER_CODE = 3
# Errors that end with a new sign-in. For all others it helps to reconnect once their cause is removed.
SIGN_IN_CODES = frozenset(
    {"needs_sign_in", "needs_consent", "claims_challenge", "mailbox_claims_challenge", "missing_scope", "secrets_lost"}
)
ANOTHER_PERSON_CODES = frozenset({"person_gone"})


def advice(error: Mapping[str, Any]) -> list[str]:
    """What happened and what an operator can do; the API's own words are for callers."""
    known = remedies(Reader.OPERATOR).get(error["code"])
    lines = [known.what, known.action] if known else [error["description"], error["action"]]
    return [*map(printable, lines)]


def command(*words: str) -> str:
    """A command line, with its words quoted for a shell."""
    return shlex.join(["mailbind", *map(printable, words)])


def repair(account: str, code: str) -> str:
    """The command that repairs an account, once the cause of the error is removed."""
    if code not in SIGN_IN_CODES | ANOTHER_PERSON_CODES:
        return command("reconnect", account)
    options = [] if os.environ.get("MAILBIND_REDIRECT_URL") else ["--redirect-url", "URL"]
    options += ["--allow-principal-change"] if code in ANOTHER_PERSON_CODES else []
    return command("reauthorize", account, *options)


def repairs(accounts: Iterable[Mapping[str, Any]]) -> list[str]:
    """For each error that accounts have: what to do, and the commands for the first accounts."""
    by_code: dict[str, list[Mapping[str, Any]]] = {}
    for account in accounts:
        by_code.setdefault(account["lastError"]["code"], []).append(account)
    lines = []
    for code, concerned in by_code.items():
        what, action = advice(concerned[0]["lastError"])
        lines += ["", f"{red(printable(code))}: {what} {action}"]
        lines += [f"  {repair(account['account'], code)}" for account in concerned[:MAX_COMMANDS_PER_CODE]]
        rest = len(concerned) - MAX_COMMANDS_PER_CODE
        lines += [f"  … and {rest} more with this error"] if rest > 0 else []
    return lines


def refused_apps(refused: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each OAuth app that Microsoft refuses."""
    return [
        f"{red('OAuth app')} {printable(app['name'])} is refused by Microsoft ({printable(app['code'])}): none of its"
        f" grants is renewed. Run: {command('app', 'verify', app['app'])}"
        for app in refused
    ]


def faults(stats: Mapping[str, Any]) -> list[str]:
    """A line for each thing in the statistics that an operator has to repair."""
    unreachable = [
        f"{printable(fault['host'])} cannot be reached ({printable(fault['reason'])}). {printable(fault['action'])}"
        for fault in stats["setupFaults"]
    ]
    return [*refused_apps(stats["breakers"]), *unreachable]


def parked_events(stats: Mapping[str, Any]) -> list[str]:
    """A line if targets did not accept events."""
    parked = stats["events"]["parked"]
    return [f"{red('Parked events')}: {parked}. Run: {command('webhooks', 'list')}"] if parked else []
