"""`mailbind link`, `reauthorize` and `registration`: sign-in links and their status."""

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from shared.cli.advice import advice, command
from shared.cli.api import Api, Failed
from shared.cli.arguments import AddParser, add_account, add_command, add_group, add_redirect_url, positive
from shared.cli.output import Result, Trouble, printable, relative_time, summary, table

POLL_SECONDS = 2
SIGNED_IN_STATUS = "completed"
STATUS_TEXTS = {
    "pending": "nobody has opened the link",
    "opened": "the link was opened, and nobody has signed in",
    "failed": "a sign-in failed; the link still works",
    "waitingForAccess": "somebody has signed in, and Mailbind waits until the mailbox opens",
    SIGNED_IN_STATUS: "somebody has signed in, and the mailbox is bound",
    "expired": "the link expired",
    "replaced": "a newer link was made",
    "cancelled": "the link was cancelled",
}
FINAL_STATUSES = frozenset({SIGNED_IN_STATUS, "expired", "replaced", "cancelled"})


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    making = add_command(add, "link", link, "create a sign-in link for a mailbox")
    making.add_argument("--account", help="the account's id; generated if omitted")
    making.add_argument("--email", help="the mailbox")
    making.add_argument("--mailbox", action="append", help="a shared mailbox; repeat for several through one sign-in")
    making.add_argument("--own", action="store_true", help="the person's own mailbox, not a shared one")
    making.add_argument("--name", help="the account's name")
    making.add_argument("--expected-email", help="who must sign in")
    making.add_argument("--expected-tenant", help="the id of the tenant that this person must belong to")
    making.add_argument("--type", help="the OAuth app to sign in through")
    making.add_argument("--allow-principal-change", action="store_true", help="another person may take an account over")
    making.add_argument("--change-mailbox", action="store_true", help="an existing account may get another mailbox")
    making.add_argument("--no-hand-out", action="store_true", help="callers get no access tokens of what is bound")
    add_redirect_url(making)
    repairing = add_account(add_command(add, "reauthorize", reauthorize, "create a link that repairs an account"))
    repairing.add_argument(
        "--allow-principal-change",
        action="store_true",
        help="another person who may open the mailbox can use the link",
    )
    add_redirect_url(repairing)
    group = add_group(add, "registration", "the status of a sign-in link")
    showing = add_command(group, "show", show, "show the status of a sign-in link")
    waiting = add_command(group, "wait", wait, "wait until somebody has signed in, or the link expires")
    waiting.add_argument("--timeout", type=positive, metavar="SECONDS", help="stop waiting after this time")
    for parser in (showing, waiting):
        parser.add_argument("registration", help="the id that was printed with the link")


def link(api: Api, arguments: Namespace) -> Result:
    """Start a registration, by default for a shared mailbox."""
    mailboxes = [{"email": mailbox} for mailbox in arguments.mailbox or ()]
    form = {
        "mailboxes": mailboxes or None,
        "redirectUrl": arguments.redirect_url,
        "account": arguments.account,
        "email": arguments.email,
        "name": arguments.name,
        "expectedEmail": arguments.expected_email,
        "expectedTenant": arguments.expected_tenant,
        "type": arguments.type,
        "delegated": not arguments.own,
        "allowPrincipalChange": arguments.allow_principal_change,
        "changeMailbox": arguments.change_mailbox,
        "handOut": False if arguments.no_hand_out else None,
    }
    body = api.call("POST", "authentication", "form", body={k: v for k, v in form.items() if v is not None})
    return _link(body)


def reauthorize(api: Api, arguments: Namespace) -> Result:
    """Create a link that repairs an account."""
    body = {"redirectUrl": arguments.redirect_url, "allowPrincipalChange": arguments.allow_principal_change}
    return _link(api.call("POST", "account", arguments.account, "reauthorize", body=body))


def _link(body: dict[str, Any]) -> Result:
    lines = [
        printable(body["url"]),
        f"It works once, and expires {relative_time(body['expires'])}.",
        f"Wait for the sign-in: {command('registration', 'wait', body['registration'])}",
    ]
    return Result(body, "\n".join(lines))


def show(api: Api, arguments: Namespace) -> Result:
    """Show a registration and its mailboxes."""
    body = api.call("GET", "authentication", "form", arguments.registration)
    return Result(body, _registration(body))


def wait(api: Api, arguments: Namespace) -> Result:
    """Wait until nothing more can come of the link. Succeeds if a mailbox is bound."""
    deadline = time.monotonic() + arguments.timeout if arguments.timeout else None
    body: dict[str, Any] = {}
    while True:
        body = _polled(api, arguments.registration, body)
        if body["status"] in FINAL_STATUSES or (deadline is not None and time.monotonic() >= deadline):
            return Result(body, _registration(body), success=body["status"] == SIGNED_IN_STATUS)
        time.sleep(POLL_SECONDS)


def _polled(api: Api, registration: str, last: dict[str, Any]) -> dict[str, Any]:
    """The registration now, or as it was last while Mailbind does not answer. Tells of a new status."""
    try:
        body = api.call("GET", "authentication", "form", registration)
    except Failed as failed:
        if not last or not failed.is_temporary:
            raise
        api.progress.text = str(failed)
        return last
    text = _status_text(body)
    if body["status"] != last.get("status") and body["status"] not in FINAL_STATUSES:
        api.progress.note(f"Waiting: {text}.")
    api.progress.text = f"Waiting: {text}"
    return body


def _status_text(body: Mapping[str, Any]) -> str:
    return STATUS_TEXTS.get(body["status"], printable(body["status"]))


def _registration(body: Mapping[str, Any]) -> str:
    is_bad = body["status"] in {*FINAL_STATUSES, "failed"} - {SIGNED_IN_STATUS}
    status = f"{body['status']}: {_status_text(body)}"
    times = [(name, relative_time(body[name])) for name in ("created", "expires", "completed")]
    lines = [
        summary([("registration", body["registration"]), ("status", Trouble(status) if is_bad else status), *times]),
        "",
        table(
            ["MAILBOX", "ACCOUNT", "STATE", "ERROR"],
            [[each["email"], each["account"], each["state"], Trouble(each.get("code"))] for each in body["mailboxes"]],
        ),
    ]
    failures = {each["code"]: each for each in (*body["mailboxes"], body.get("failure") or {}) if each.get("code")}
    for failure in failures.values():
        what, action = advice(failure)
        lines.append(f"{printable(failure['code'])}: {what} {action}")
    return "\n".join(lines)
