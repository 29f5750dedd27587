"""`mailbind mail`: list, show, search and send the mail of one mailbox, enough to try it after binding."""

import sys
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from shared.cli.api import Api, read_file
from shared.cli.arguments import AddParser, add_account, add_command, add_group, positive
from shared.cli.output import GAP, Result, printable, relative_time, summary

INBOX = r"\Inbox"
DEFAULT_LIMIT = 20
MAX_PAGE_SIZE = 100
SEARCHED_TEXTS = ("from", "to", "cc", "subject", "body")


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    group = add_group(add, "mail", "the mail of one mailbox")
    listing = add_account(add_command(group, "list", list_messages, "list messages of a folder, newest first"))
    searching = add_account(add_command(group, "search", search, "search a folder, newest first"))
    for name in SEARCHED_TEXTS:
        searching.add_argument(f"--{name}", metavar="TEXT", help=f"only messages with this in {_where(name)}")
    for name in ("since", "before"):
        searching.add_argument(f"--{name}", metavar="DATE", help=f"only messages received {name} this date")
    for name in ("unseen", "flagged"):
        searching.add_argument(f"--{name}", action="store_true", default=None, help=f"only {name} messages")
    for parser in (listing, searching):
        parser.add_argument("--path", default=INBOX, help=r"the folder: its path, or \Sent and the like (\Inbox)")
        parser.add_argument(
            "--limit", type=positive, default=DEFAULT_LIMIT, help=f"the maximum number ({DEFAULT_LIMIT})"
        )
    showing = add_account(add_command(group, "show", show, "show a message as text"))
    showing.add_argument("message", help="its id, as `mail list` shows it")
    _add_sending(add_account(add_command(group, "send", send, "send a message from the mailbox")))


def _add_sending(parser: ArgumentParser) -> None:
    for name in ("to", "cc", "bcc"):
        parser.add_argument(f"--{name}", metavar="ADDRESS", action="append", help="a recipient; repeat for several")
    parser.add_argument("--subject", help="the subject; of a reply, the one of the message if omitted")
    parser.add_argument("--text", metavar="FILE", default="-", help="the file with the text; by default standard input")
    answering = parser.add_mutually_exclusive_group()
    for option, action in (("--reply", "reply"), ("--reply-all", "reply-all"), ("--forward", "forward")):
        answering.add_argument(option, metavar="MESSAGE", help=f"send it as a {action} of this message")
    parser.add_argument(
        "--idempotency-key",
        metavar="KEY",
        help="the same key within a day sends once; by default a new one, which is printed if no answer comes",
    )


def list_messages(api: Api, arguments: Namespace) -> Result:
    """List the newest messages of a folder."""
    return _listed(api, arguments, "GET", "messages", None)


def search(api: Api, arguments: Namespace) -> Result:
    """List the newest messages that match."""
    names = (*SEARCHED_TEXTS, "since", "before", "unseen", "flagged")
    wanted = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    return _listed(api, arguments, "POST", "search", {"search": wanted})


def _listed(api: Api, arguments: Namespace, method: str, route: str, body: Mapping[str, Any] | None) -> Result:
    query: dict[str, Any] = {"path": arguments.path, "pageSize": min(MAX_PAGE_SIZE, arguments.limit)}
    found = api.call(method, "account", arguments.account, route, query=query, body=body)
    messages, cursor = found["messages"], found["nextPageCursor"]
    while cursor is not None and len(messages) < arguments.limit:
        page = api.call(method, "account", arguments.account, route, query={**query, "cursor": cursor}, body=body)
        messages += page["messages"]
        cursor = page["nextPageCursor"]
    del messages[arguments.limit :]
    return Result({**found, "nextPageCursor": cursor}, "\n".join(map(_entry, messages)) or "No messages.")


def _entry(message: Mapping[str, Any]) -> str:
    """Two lines: what a person looks for, and the id that other commands take, which is too long for a table."""
    marks = "".join(mark for mark, name in (("*", "unseen"), ("!", "flagged")) if message.get(name))
    facts = (relative_time(message.get("date")), _person(message.get("from")), message.get("subject"))
    return f"{marks.ljust(2)}{GAP.join(map(printable, facts))}\n    {printable(message['id'])}"


def show(api: Api, arguments: Namespace) -> Result:
    """Show a message. It stays unseen."""
    path = ("account", arguments.account, "message", arguments.message)
    body = api.call("GET", *path, query={"textType": "plain"})
    rows = [
        ("from", _person(body.get("from"))),
        *((name, _people(body.get(name))) for name in ("to", "cc")),
        ("date", relative_time(body.get("date"))),
        ("subject", body.get("subject")),
        ("attachments", [attachment["filename"] for attachment in body.get("attachments") or ()] or None),
        ("thread", body.get("threadId")),
    ]
    lines = (body.get("text") or {}).get("plain", "").splitlines()
    return Result(body, "\n".join([summary(rows), "", *(printable(line) if line else "" for line in lines)]))


def send(api: Api, arguments: Namespace) -> Result:
    """Send a message. If no answer comes, the key in the error makes it safe to try again."""
    key = arguments.idempotency_key or uuid.uuid4().hex
    people = {name: [{"address": each} for each in getattr(arguments, name) or ()] for name in ("to", "cc", "bcc")}
    message = {
        **people,
        "subject": arguments.subject,
        "text": sys.stdin.read() if arguments.text == "-" else read_file(arguments.text),
        "reference": _reference(arguments),
    }
    body = api.call(
        "POST",
        *("account", arguments.account, "submit"),
        body={name: value for name, value in message.items() if value},
        idempotency_key=key,
    )
    return Result(body, f"{printable(body['response'])}: {printable(body['messageId'])}")


def _reference(arguments: Namespace) -> dict[str, str] | None:
    for action in ("reply", "reply-all", "forward"):
        if message := getattr(arguments, action.replace("-", "_")):
            return {"message": message, "action": action}
    return None


def _where(name: str) -> str:
    return f"the {name}" if name in {"subject", "body"} else {"from": "the sender", "to": "To", "cc": "Cc"}[name]


def _person(person: Mapping[str, Any] | None) -> str | None:
    if not person:
        return None
    name, address = person.get("name"), person.get("address")
    return f"{name} <{address}>" if name and name != address else address


def _people(people: list[Mapping[str, Any]] | None) -> list[str | None] | None:
    return [_person(person) for person in people or ()] or None
