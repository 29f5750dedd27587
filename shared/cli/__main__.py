"""Parse, call, print. Ends with 0 when it went well, 1 when it did not, 2 when it was asked the wrong way."""

import json
import sys

from shared.cli.api import Api, Failed, read_token, trusted
from shared.cli.arguments import parser


def main() -> None:
    """One command."""
    parsing = parser()
    asked = parsing.parse_args()
    token = read_token(asked.token_file)
    for missing, told in (
        (not token, "no API token: set MAILBIND_TOKEN, or name a file with --token-file (- is standard input)"),
        (not (token.isascii() and token.isprintable()), "that is no API token"),
        (not asked.base_url, "no address: set MAILBIND_BASE_URL, or give --base-url"),
        (not trusted(asked.base_url), "the address has to be https, or on this computer: the token is sent there"),
        (not getattr(asked, "yes", True), "this cannot be undone: say --yes"),
    ):
        if missing:
            parsing.error(told)
    try:
        with Api(asked.base_url, token, asked.ca_file) as api:
            done = asked.run(api, asked)
    except Failed as failed:
        sys.exit(f"error: {failed}")
    print(json.dumps(done.body, indent=2) if asked.json else done.text)
    sys.exit(0 if done.well else 1)


if __name__ == "__main__":
    main()
