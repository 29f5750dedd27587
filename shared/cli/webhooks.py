"""`mailbind webhooks`: where events go, and those that a target did not accept."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from shared.cli.advice import command
from shared.cli.api import Api, full_id
from shared.cli.arguments import AddParser, add_command, add_group
from shared.cli.output import (
    Result,
    Trouble,
    account_filter,
    printable,
    red,
    relative_time,
    short_id,
    summary,
    table,
)


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    group = add_group(add, "webhooks", "where events go, and those that a target did not accept")
    add_command(group, "list", list_webhooks, "list webhooks and the events that wait for them")
    for name, run, text in (
        ("show", show, "show a webhook and the events that it did not accept"),
        ("ping", ping, "send a ping to a webhook"),
        ("redeliver", redeliver, "send the events again that a webhook did not accept"),
    ):
        add_command(group, name, run, text).add_argument(
            "webhook", metavar="id", help="its id as `webhooks list` shows it, or the beginning of it"
        )


def list_webhooks(api: Api, _: Namespace) -> Result:
    """List all webhooks."""
    body = api.call("GET", "webhooks")
    headings = ["ID", "URL", "EVENTS", "ACCOUNTS", "WAITING", "PARKED", "ERROR"]
    rows = [
        [short_id(each["id"]), each["url"], each["events"], account_filter(each), *_counts(each), Trouble(_error(each))]
        for each in body["webhooks"]
    ]
    return Result(body, table(headings, rows) if rows else "No webhooks.")


def show(api: Api, arguments: Namespace) -> Result:
    """Show a webhook and its parked events."""
    body = api.call("GET", "webhooks", _full_id(api, arguments.webhook))
    waiting, parked = _counts(body)
    lines = [
        summary(
            [
                ("webhook", body["id"]),
                ("URL", body["url"]),
                ("events", body["events"]),
                ("accounts", account_filter(body)),
                ("description", body["description"]),
                ("created", f"{relative_time(body['created'])} by {body['createdBy']}"),
                ("waiting", waiting),
                ("parked", parked),
                ("error", Trouble(_error(body))),
            ]
        )
    ]
    events = [
        [each["event"], each["account"], relative_time(each["queued"]), each["attempts"], Trouble(each["error"])]
        for each in body["parkedEvents"]
    ]
    if events:
        lines += ["", table(["EVENT", "ACCOUNT", "QUEUED", "ATTEMPTS", "ERROR"], events)]
        lines += ["", f"Send them again: {command('webhooks', 'redeliver', body['id'])}"]
    return Result(body, "\n".join(lines))


def ping(api: Api, arguments: Namespace) -> Result:
    """Ping a webhook. Succeeds if the target accepts the ping."""
    body = api.call("POST", "webhooks", _full_id(api, arguments.webhook), "ping")
    if body["success"]:
        return Result(body, "The target accepted the ping.")
    return Result(body, red(f"The target did not accept the ping: {printable(body['error'])}."), success=False)


def redeliver(api: Api, arguments: Namespace) -> Result:
    """Send all parked events again; a request of the API sends about a thousand."""
    webhook, redelivered = _full_id(api, arguments.webhook), 0
    while True:
        body = api.call("POST", "webhooks", webhook, "redeliver")
        redelivered += body["redelivered"]
        api.progress.text = f"{redelivered} events so far"
        if not body["more"] or not body["redelivered"]:
            break
    count = "1 event is" if redelivered == 1 else f"{redelivered} events are"
    return Result({**body, "redelivered": redelivered}, f"{count} sent again.")


def _full_id(api: Api, beginning: str) -> str:
    return full_id(beginning, [webhook["id"] for webhook in api.call("GET", "webhooks")["webhooks"]], "webhook")


def _counts(webhook: Mapping[str, Any]) -> tuple[object, object]:
    """Waiting and parked events; of many, only the first hundred are counted."""
    limit = "+" if webhook["capped"] else ""
    parked = webhook["parked"]
    return f"{webhook['waiting']}{limit}", Trouble(f"{parked}{limit}") if parked else 0


def _error(webhook: Mapping[str, Any]) -> object:
    if webhook["gone"]:
        return f"the target answered that it is gone, {relative_time(webhook['gone'])}"
    return webhook["withdrawn"] or webhook["lastError"] or (None if webhook["enabled"] else "it is turned off")
