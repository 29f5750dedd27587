"""Options that all commands have, options that several have, and the types of arguments."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from shared.cli.output import Result

ENVIRONMENT = (
    "MAILBIND_BASE_URL is the address, MAILBIND_TOKEN an API token, MAILBIND_CA_FILE a file with additional root"
    " certificates, MAILBIND_REDIRECT_URL where people go after they have signed in."
)

type Command = Callable[..., Result]
type AddParser = Callable[..., argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """A parser that reports wrong arguments as JSON too, if --json is one of them."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with the status 2."""
        if "--json" in sys.argv:
            problem = {"error": "Invalid command", "message": message, "code": "InvalidCommand"}
            sys.stdout.write(f"{json.dumps(problem, indent=2)}\n")
            sys.exit(2)
        super().error(message)


def add_command(add: AddParser, name: str, run: Command, text: str) -> argparse.ArgumentParser:
    """Add a command with the options that all of them have. `run` gets an Api and the arguments."""
    parser = add(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=ENVIRONMENT)
    parser.set_defaults(run=run)
    common = parser.add_argument_group("Mailbind and the output")
    common.add_argument("--json", action="store_true", help="print the API's response, or the error, as JSON")
    common.add_argument("--base-url", default=os.environ.get("MAILBIND_BASE_URL", ""), help="Mailbind's address")
    common.add_argument("--token-file", metavar="FILE", help="read the API token from this file; - is standard input")
    common.add_argument(
        "--ca-file",
        metavar="FILE",
        default=os.environ.get("MAILBIND_CA_FILE") or None,
        help="additional root certificates, in PEM",
    )
    return parser


def add_group(add: AddParser, name: str, text: str) -> AddParser:
    """Add a group of commands, such as `token`. Returns what adds a command to it."""
    commands = add(name, help=text, description=f"{text[0].upper()}{text[1:]}.").add_subparsers(
        required=True, metavar="command"
    )
    adds: AddParser = commands.add_parser
    return adds


def add_account(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the id of an account."""
    parser.add_argument("account", help="the account's id")
    return parser


def add_redirect_url(parser: argparse.ArgumentParser) -> None:
    """Add the URL that a link needs."""
    default = os.environ.get("MAILBIND_REDIRECT_URL") or None
    help_text = "where the person goes after the sign-in (MAILBIND_REDIRECT_URL); Mailbind has to allow its origin"
    parser.add_argument("--redirect-url", metavar="URL", required=default is None, default=default, help=help_text)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)
