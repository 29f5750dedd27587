"""`mailbind token`: API tokens of callers."""

from argparse import Namespace

from shared.cli.api import Api, Failed, full_id
from shared.cli.arguments import AddParser, add_command, add_group, positive
from shared.cli.output import Result, account_filter, expiry, relative_time, short_id, table, values

SECONDS_PER_DAY = 86400


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    group = add_group(add, "token", "API tokens")
    create = add_command(group, "create", create_token, "create an API token, which is shown once")
    create.add_argument("--description", required=True, help="what it is for")
    create.add_argument("--scope", action="append", required=True, help="what it may do; repeat for several")
    create.add_argument("--account", action="append", help="limit it to this account; repeat for several")
    create.add_argument("--account-prefix", help="limit it to accounts whose ids begin with this")
    create.add_argument("--address", action="append", help="accept it from this address or network; repeat for several")
    create.add_argument("--days", type=positive, help="expire after this many days")
    add_command(group, "list", list_tokens, "list API tokens, newest first")
    revoke = add_command(group, "revoke", revoke_token, "revoke an API token, which stops working within 30 seconds")
    revoke.add_argument("token", metavar="id", help="its id as `token list` shows it, or the beginning of it")


def create_token(api: Api, arguments: Namespace) -> Result:
    """Create an API token. The output is the only place where it is shown."""
    request = {
        "description": arguments.description,
        "scopes": arguments.scope,
        "accounts": arguments.account,
        "accountPrefix": arguments.account_prefix,
        "restrictions": {"addresses": arguments.address} if arguments.address else None,
        "ttl": arguments.days and arguments.days * SECONDS_PER_DAY,
    }
    body = api.call("POST", "token", body={name: value for name, value in request.items() if value is not None})
    return Result(body, f"{values(body)}\nThe token is shown only now: store it.")


def list_tokens(api: Api, _: Namespace) -> Result:
    """List all API tokens."""
    body = api.all_pages("tokens", "tokens")
    headings = ["ID", "DESCRIPTION", "SCOPES", "ACCOUNTS", "CREATED", "LAST USED", "EXPIRES"]
    rows = [
        [
            short_id(token["id"]),
            token["description"],
            token["scopes"],
            account_filter(token),
            relative_time(token["created"]),
            relative_time(token["lastUsed"]),
            expiry(token["expires"]),
        ]
        for token in body["tokens"]
    ]
    return Result(body, table(headings, rows) if rows else "No API tokens.")


def revoke_token(api: Api, arguments: Namespace) -> Result:
    """Revoke an API token."""
    ids = [token["id"] for token in api.all_pages("tokens", "tokens")["tokens"]]
    token = full_id(arguments.token, ids, "API token")
    body = api.call("DELETE", "token", token)
    if not body["deleted"]:
        raise Failed("No such API token.")
    return Result(body, f"{token} is revoked.")
