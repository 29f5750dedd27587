"""The command line: parses arguments, runs a command and prints its result.

The exit status is 0 for success, 1 for failure, 2 for wrong arguments, and 130 after Ctrl-C.
"""

import argparse
import io
import json
import os
import sys
from typing import NoReturn

from shared.cli import accounts, apps, links, mail, operation, tokens, webhooks
from shared.cli.api import Api, Failed, is_safe_for_token, read_token
from shared.cli.arguments import ENVIRONMENT, Parser
from shared.cli.output import Result

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells report it
TOPICS = (accounts, links, mail, operation, apps, tokens, webhooks)


def main() -> None:
    """Run one command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names may have letters that the terminal's encoding lacks
    parser = build_parser()
    arguments = parser.parse_args()
    try:
        result = _run(parser, arguments)
    except Failed as failed:
        _fail(failed, as_json=arguments.json)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    _print(json.dumps(result.body, indent=2) if arguments.json else result.text)
    sys.exit(0 if result.success else 1)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. The attribute `run` of parsed arguments is the command's function."""
    parser = Parser(prog="mailbind", description="Mailbind for operators.", epilog=ENVIRONMENT)
    add = parser.add_subparsers(required=True, metavar="command").add_parser
    for topic in TOPICS:
        topic.add_commands(add)
    return parser


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Result:
    token = read_token(arguments.token_file)
    for is_wrong, message in (
        (not getattr(arguments, "yes", True), "Deleting cannot be undone. Add --yes to confirm."),
        (not token, "There is no API token. Set MAILBIND_TOKEN, or name a file with --token-file."),
        (not (token.isascii() and token.isprintable()), "This is not an API token."),
        (not arguments.base_url, "There is no address. Set MAILBIND_BASE_URL, or add --base-url."),
        (
            not is_safe_for_token(arguments.base_url),
            "The address must be https, or on this computer: the API token is sent there.",
        ),
    ):
        if is_wrong:
            parser.error(message)
    try:
        with Api(arguments.base_url, token, arguments.ca_file) as api:
            result: Result = arguments.run(api, arguments)
    except KeyError as missing:
        raise Failed(
            f"The response has no {missing}. Is Mailbind at this address another version than this command?"
        ) from None
    return result


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as with `| head`; Python would report it again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(failed: Failed, *, as_json: bool) -> NoReturn:
    if as_json:
        _print(json.dumps(failed.body, indent=2))
        sys.exit(1)
    sys.exit(f"error: {failed}")


if __name__ == "__main__":
    main()
