"""`mailbind list`, `show`, `reconnect`, `pause`, `resume`, `hand-out` and `delete`."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import chain
from typing import Any

from shared.cli.advice import TROUBLE_STATES, advice, faults, parked_events, refused_apps, repair, repairs
from shared.cli.api import Api, Failed
from shared.cli.arguments import AddParser, add_account, add_command, positive
from shared.cli.output import Result, Trouble, printable, red, relative_time, summary, table

MAX_PAGE_SIZE = 500
MAX_LISTED_ACCOUNTS = 10_000


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    listing = add_command(add, "list", list_accounts, "list accounts, and what to do about those in trouble")
    states = listing.add_mutually_exclusive_group()
    states.add_argument(
        "--trouble",
        action="store_true",
        help="only what needs attention: accounts, and below them apps, hosts and events",
    )
    states.add_argument("--state", action="append", help="only accounts in this state; repeat for several")
    for name, text in (
        ("--query", "with this text in the id, the name or the address"),
        ("--app", "bound through this OAuth app"),
        ("--email", "of this mailbox"),
        ("--authorized-by", "of this person: sign-in name or object id"),
    ):
        listing.add_argument(name, help=f"only accounts {text}")
    listing.add_argument(
        "--limit", type=positive, default=MAX_LISTED_ACCOUNTS, help=f"the maximum number ({MAX_LISTED_ACCOUNTS})"
    )
    add_account(add_command(add, "show", show, "show an account"))
    add_account(add_command(add, "reconnect", reconnect, "refresh and probe an account now"))
    pausing = add_account(add_command(add, "pause", pause, "hand out no tokens until the account is resumed"))
    pausing.set_defaults(paused=True)
    resuming = add_account(add_command(add, "resume", pause, "hand out tokens again"))
    resuming.set_defaults(paused=False)
    switching = add_account(add_command(add, "hand-out", switch_hand_out, "say whether callers get access tokens"))
    switching.add_argument(
        "switch",
        choices=["on", "off"],
        help="on needs a token with the scope admin; with off, callers use the mailbox through Mailbind",
    )
    deleting = add_account(add_command(add, "delete", delete, "unbind an account"))
    deleting.add_argument("--yes", action="store_true", help="confirm that the account is deleted")


def list_accounts(api: Api, arguments: Namespace) -> Result:
    """List the accounts that match the filters, and what to do about those in trouble."""
    accounts, refused = _matching_accounts(api, arguments)
    body: dict[str, Any] = {"accounts": accounts, "refusedApps": refused}
    last_lines = refused_apps(refused)
    if arguments.trouble and (stats := _statistics(api)) is not None:
        body |= {"refusedApps": stats["breakers"], "setupFaults": stats["setupFaults"], "events": stats["events"]}
        last_lines = [*parked_events(stats), *faults(stats)]
    nothing = "No account is in trouble." if arguments.trouble else "No accounts."
    lines = [_accounts_table(accounts) if accounts else nothing]
    lines += repairs(account for account in accounts if account["state"] in TROUBLE_STATES and account["lastError"])
    lines += ["", *last_lines] if last_lines else []
    return Result(body, "\n".join(lines))


def _matching_accounts(api: Api, arguments: Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The accounts, state by state, and the OAuth apps of these accounts that Microsoft refuses."""
    query = {"query": arguments.query, "app": arguments.app, "email": arguments.email}
    query |= {"authorizedBy": arguments.authorized_by, "pageSize": min(MAX_PAGE_SIZE, arguments.limit)}
    states = TROUBLE_STATES if arguments.trouble else dict.fromkeys(arguments.state or [None])
    accounts: list[dict[str, Any]] = []
    refused: dict[str, dict[str, Any]] = {}
    for page in chain.from_iterable(_pages(api, {**query, "state": state}) for state in states):
        accounts += page["accounts"]
        refused |= {app["app"]: app for app in page["refusedApps"]}
        api.progress.text = f"{len(accounts)} accounts so far"
        if len(accounts) >= arguments.limit:
            break
    return accounts[: arguments.limit], list(refused.values())


def _pages(api: Api, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = api.call("GET", "accounts", query={**query, "cursor": cursor})
        yield page
        cursor = page["cursor"]
        if cursor is None:
            return


def _statistics(api: Api) -> dict[str, Any] | None:
    """The statistics, or None for a token that is limited to some accounts and may not read them."""
    try:
        return api.call("GET", "stats")
    except Failed as failed:
        if failed.body.get("statusCode") != HTTPStatus.FORBIDDEN:
            raise
        return None


def _accounts_table(accounts: list[dict[str, Any]]) -> str:
    headings = ["ACCOUNT", "STATE", "MAILBOX", "AUTHORIZED BY", "ERROR", "SINCE"]
    rows = []
    for account in accounts:
        error = account["lastError"] or {"code": None, "since": None}
        people = (account["email"], account["user"])
        rows.append(
            [account["account"], _state(account), *people, Trouble(error["code"]), relative_time(error["since"])]
        )
    return table(headings, rows)


def _state(account: Mapping[str, Any]) -> object:
    state = account["state"]
    return Trouble(state) if state in TROUBLE_STATES else state


def show(api: Api, arguments: Namespace) -> Result:
    """Show an account: who authorizes it, its state, what to do about an error, and what happened last."""
    body = api.call("GET", "account", arguments.account)
    error, grant, person = body["lastError"], body["oauth2"] or {}, body["authorizedBy"]
    rows = [
        ("account", body["account"]),
        ("name", body["name"] or None),
        ("mailbox", f"{body['email']}, {'shared' if body['delegated'] else 'the own mailbox of the person'}"),
        ("authorized by", f"{person['user']}, bound {relative_time(person['since'])}"),
        ("state", _state(body)),
        ("error", Trouble(error and f"{error['code']}, {relative_time(error['since'])}")),
        ("OAuth app", f"{body['app']}, {body['baseScopes'] or 'deleted'}"),
        ("hands out tokens", "yes" if body["handOut"] else "no"),
        ("created", relative_time(body["created"])),
        ("last refresh", relative_time(body["lastRefresh"])),
        ("last hand-out", relative_time(body["lastHandOut"])),
        ("access token expires", relative_time(grant.get("expires"))),
        ("grant expires if idle", relative_time(body["expiresIfIdle"])),
        ("app's secret expires", relative_time(body["secretExpires"])),
    ]
    lines = [summary(rows)]
    lines += ["", *advice(error), f"Run: {repair(body['account'], error['code'])}"] if error else []
    return Result(body, "\n".join(lines))


def reconnect(api: Api, arguments: Namespace) -> Result:
    """Refresh and probe now. Succeeds if the mailbox opened with a new token."""
    api.progress.text = "Waiting for Microsoft"
    body = api.call("PUT", "account", arguments.account, "reconnect", body={"reconnect": True})
    error = body.get("error")
    if error is None:
        return Result(body, printable(body["state"]))
    return _failure(body, f"not reconnected: {error['code']}; the account's state is {body['state']}", error)


def pause(api: Api, arguments: Namespace) -> Result:
    """Pause or resume an account. A resumed account with an error hands out no tokens, so that is a failure."""
    body = api.call("PUT", "account", arguments.account, body={"paused": arguments.paused})
    text, error = f"{body['account']} is {'paused' if arguments.paused else 'resumed'}", body["lastError"]
    if arguments.paused or error is None:
        return Result(body, printable(text))
    return _failure(body, f"{text}, but its state is {body['state']}: {error['code']}", error)


def switch_hand_out(api: Api, arguments: Namespace) -> Result:
    """Switch the hand-out of an account's tokens. It stays off while the setting for all accounts is off."""
    wanted = arguments.switch == "on"
    body = api.call("PUT", "account", arguments.account, body={"handOut": wanted})
    text = f"{body['account']} hands out {'access tokens' if body['handOut'] else 'no access tokens'}"
    if wanted and not body["handOut"]:
        return Result(body, red(printable(f"{text}: MAILBIND_HAND_OUT is false")), success=False)
    return Result(body, printable(text))


def _failure(body: dict[str, Any], text: str, error: Mapping[str, Any]) -> Result:
    return Result(body, "\n".join([red(printable(text)), *advice(error)]), success=False)


def delete(api: Api, arguments: Namespace) -> Result:
    """Unbind an account."""
    body = api.call("DELETE", "account", arguments.account)
    others = body["accountsLeft"]
    effect = "and its tokens too" if body["tokensDeleted"] else f"its grant still serves {others} other account(s)"
    return Result(body, f"{printable(body['account'])} is deleted, {effect}")
