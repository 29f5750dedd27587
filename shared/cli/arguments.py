"""The command line."""

import argparse
import os
from collections.abc import Callable

from shared.cli import commands

ENVIRONMENT = "MAILBIND_BASE_URL is the address, MAILBIND_TOKEN an API token, MAILBIND_CA_FILE further roots to trust."

type Command = Callable[..., commands.Done]


def parser() -> argparse.ArgumentParser:
    """All commands; each puts what runs it into `run`."""
    whole = argparse.ArgumentParser(
        prog="python -m shared.cli", description="Mailbind for operators.", epilog=ENVIRONMENT
    )
    add = whole.add_subparsers(required=True, metavar="command").add_parser
    _accounts(add)
    _links(add)
    _configuration(add)
    return whole


def _accounts(add: Callable[..., argparse.ArgumentParser]) -> None:
    listing = _command(add, "list", commands.list_accounts, "accounts, all of them or some")
    for name, told in (
        ("--state", "in this state"),
        ("--query", "with this in id, name or address"),
        ("--app", "bound through this OAuth app"),
        ("--email", "of this mailbox"),
        ("--authorized-by", "of this person: sign-in name or object id"),
    ):
        listing.add_argument(name, help=told)
    listing.add_argument("--limit", type=_positive, default=10_000, help="at most so many (10000)")
    _account(_command(add, "show", commands.show, "all that is known of an account"))
    _account(_command(add, "reconnect", commands.reconnect, "refresh and probe an account now"))
    _account(_command(add, "pause", commands.pause, "hand out nothing until it is resumed")).set_defaults(paused=True)
    _account(_command(add, "resume", commands.pause, "hand out again")).set_defaults(paused=False)
    deleting = _account(_command(add, "delete", commands.delete, "unbind an account"))
    deleting.add_argument("--yes", action="store_true", help="really")


def _links(add: Callable[..., argparse.ArgumentParser]) -> None:
    link = _command(add, "link", commands.link, "a sign-in link for a mailbox")
    link.add_argument("--account", help="the account's id; made up when absent")
    link.add_argument("--email", help="the mailbox")
    link.add_argument("--mailbox", action="append", help="one of several shared mailboxes, through one sign-in; repeat")
    link.add_argument("--own", action="store_true", help="it is the person's own mailbox, not a shared one")
    link.add_argument("--name", help="what the account is called")
    link.add_argument("--expected-email", help="who must sign in")
    link.add_argument("--expected-tenant", help="the id of the tenant that this person must belong to")
    link.add_argument("--type", help="the OAuth app to sign in through")
    link.add_argument("--allow-principal-change", action="store_true", help="another person may take an account over")
    link.add_argument("--change-mailbox", action="store_true", help="an existing account may be given another mailbox")
    repair = _account(_command(add, "reauthorize", commands.reauthorize, "a link that repairs an account"))
    for one in (link, repair):
        one.add_argument("--redirect-url", required=True, help="where the person goes afterwards")


def _configuration(add: Callable[..., argparse.ArgumentParser]) -> None:
    token = add("token", help="API tokens").add_subparsers(required=True, metavar="command").add_parser
    create = _command(token, "create", commands.create_token, "issue one; it is shown once")
    create.add_argument("--description", required=True, help="what it is for")
    create.add_argument("--scope", action="append", required=True, help="what it may do; repeat for more")
    create.add_argument("--account", action="append", help="reaches this account only; repeat for more")
    create.add_argument("--account-prefix", help="reaches accounts only whose ids begin so")
    create.add_argument("--address", action="append", help="good from this address or network only; repeat for more")
    create.add_argument("--days", type=_positive, help="expires after so many days")
    app = add("app", help="OAuth apps").add_subparsers(required=True, metavar="command").add_parser
    _command(app, "list", commands.list_apps, "all of them")
    verify = _command(app, "verify", commands.verify_app, "find out whether one is set up right")
    verify.add_argument("app", help="the OAuth app's id")
    verify.add_argument("--account", help="try it with this account's grant")


def _command(
    add: Callable[..., argparse.ArgumentParser], name: str, run: Command, told: str
) -> argparse.ArgumentParser:
    one = add(name, help=told, description=f"{told[0].upper()}{told[1:]}.", epilog=ENVIRONMENT)
    one.set_defaults(run=run)
    one.add_argument("--json", action="store_true", help="print the API's own answer")
    one.add_argument("--base-url", default=os.environ.get("MAILBIND_BASE_URL", ""), help="Mailbind's address")
    one.add_argument("--token-file", metavar="FILE", help="read the API token from there; - is standard input")
    one.add_argument("--ca-file", default=os.environ.get("MAILBIND_CA_FILE") or None, help="further roots to trust")
    return one


def _account(one: argparse.ArgumentParser) -> argparse.ArgumentParser:
    one.add_argument("account", help="the account's id")
    return one


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("has to be a whole number from 1")
    return int(text)
