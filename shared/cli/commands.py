"""The commands: each calls the API and formats the result."""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.cli.api import Api, printable
from shared.domain.remedy import Reader, remedies

MAX_PAGE_SIZE = 500
SECONDS_PER_DAY = 86400


@dataclass(frozen=True)
class Result:
    """The API's response, a text for people, and whether the command succeeded."""

    body: dict[str, Any]
    text: str
    success: bool = True


def list_accounts(api: Api, arguments: Namespace) -> Result:
    """List the accounts that match the filters."""
    filters = {"state": arguments.state, "query": arguments.query, "app": arguments.app, "email": arguments.email}
    query = {**filters, "authorizedBy": arguments.authorized_by, "pageSize": min(MAX_PAGE_SIZE, arguments.limit)}
    page = api.call("GET", "accounts", query=query)
    accounts, refused = page["accounts"], page["refusedApps"]
    while page["cursor"] is not None and len(accounts) < arguments.limit:
        page = api.call("GET", "accounts", query={**query, "cursor": page["cursor"]})
        accounts += page["accounts"]
        refused += [app for app in page["refusedApps"] if app not in refused]
    rows = [[*map(account.get, ("account", "state", "email", "user")), _error_code(account)] for account in accounts]
    table = _table(["ACCOUNT", "STATE", "MAILBOX", "AUTHORIZED BY", "ERROR"], rows[: arguments.limit])
    body = {"accounts": accounts[: arguments.limit], "refusedApps": refused}
    return Result(body, "\n".join([table, *_refused_apps(refused)]))


def stats(api: Api, _: Namespace) -> Result:
    """Show the statistics, and what an operator has to repair."""
    body = api.call("GET", "stats")
    counted = {name: len(body[name]) for name in ("breakers", "setupFaults")}
    return Result(body, "\n".join([_values({**body, **counted}), *_faults(body)]))


def health(api: Api, _: Namespace) -> Result:
    """Check the health, and say what is wrong. Succeeds if all is well."""
    body = api.health()
    if body["success"] or body["storage"] != "ok":
        return Result(body, _values(body), success=body["success"])
    stats = api.call("GET", "stats")
    found = {"refusedApps": stats["breakers"], "setupFaults": stats["setupFaults"]}
    return Result({**body, **found}, "\n".join([_values(body), *_faults(stats)]), success=False)


def _faults(stats: Mapping[str, Any]) -> list[str]:
    unreachable = [
        f"{printable(fault['host'])} cannot be reached ({printable(fault['reason'])}). {printable(fault['action'])}"
        for fault in stats["setupFaults"]
    ]
    return [*_refused_apps(stats["breakers"]), *unreachable]


def _refused_apps(refused: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"OAuth app {printable(app['name'])} is refused by Microsoft ({printable(app['code'])}): none of its grants is"
        f" renewed. Run: python -m shared.cli app verify {printable(app['app'])}"
        for app in refused
    ]


def show(api: Api, arguments: Namespace) -> Result:
    """Show an account."""
    body = api.call("GET", "account", arguments.account)
    error = body["lastError"]
    return Result(body, "\n".join([_values(body), *map(printable, _advice(error) if error else [])]))


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
    }
    body = api.call("POST", "authentication", "form", body={k: v for k, v in form.items() if v is not None})
    return _link(body)


def reauthorize(api: Api, arguments: Namespace) -> Result:
    """Create a link that repairs an account."""
    body = {"redirectUrl": arguments.redirect_url, "allowPrincipalChange": arguments.allow_principal_change}
    return _link(api.call("POST", "account", arguments.account, "reauthorize", body=body))


def _link(body: dict[str, Any]) -> Result:
    return Result(body, f"{printable(body['url'])}\nvalid until {body['expires']}, registration {body['registration']}")


def reconnect(api: Api, arguments: Namespace) -> Result:
    """Refresh and probe now. Succeeds if the mailbox opened with a new token."""
    body = api.call("PUT", "account", arguments.account, "reconnect", body={"reconnect": True})
    error = body.get("error")
    if error is None:
        return Result(body, printable(body["state"]))
    lines = [f"not reconnected: {error['code']}; the account's state is {body['state']}", *_advice(error)]
    return Result(body, "\n".join(map(printable, lines)), success=False)


def pause(api: Api, arguments: Namespace) -> Result:
    """Pause or resume an account. A resumed account with an error hands out no tokens, so that is a failure."""
    body = api.call("PUT", "account", arguments.account, body={"paused": arguments.paused})
    text, error = f"{body['account']} is {'paused' if arguments.paused else 'resumed'}", body["lastError"]
    if arguments.paused or error is None:
        return Result(body, printable(text))
    lines = [f"{text}, but its state is {body['state']}: {error['code']}", *_advice(error)]
    return Result(body, "\n".join(map(printable, lines)), success=False)


def _advice(error: Mapping[str, Any]) -> list[str]:
    """What an operator can do; the API's own words are for callers."""
    known = remedies(Reader.OPERATOR).get(error["code"])
    return [known.what, known.action] if known else [error["description"], error["action"]]


def delete(api: Api, arguments: Namespace) -> Result:
    """Unbind an account."""
    body = api.call("DELETE", "account", arguments.account)
    others = body["accountsLeft"]
    effect = "and its tokens too" if body["tokensDeleted"] else f"its grant still serves {others} other account(s)"
    return Result(body, f"{printable(body['account'])} is deleted, {effect}")


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
    return Result(body, _values(body))


def list_apps(api: Api, _: Namespace) -> Result:
    """List all OAuth apps."""
    body = api.call("GET", "oauth2", query={"pageSize": 1000})
    rows = [[app["id"], app["name"], app["enabled"], app["clientId"], _error_code(app)] for app in body["apps"]]
    table = _table(["APP", "NAME", "ENABLED", "CLIENT ID", "ERROR"], rows)
    shadowing = [app for app in body["apps"] if "shadowsSettings" in app]
    notices = [f"{printable(app['id'])}: {printable(app['shadowsSettings'])}" for app in shadowing]
    return Result(body, "\n".join([table, *notices]))


def verify_app(api: Api, arguments: Namespace) -> Result:
    """Check an OAuth app's configuration. Succeeds if every step does."""
    body = api.call(
        "POST", "oauth2", arguments.app, "verify", body={"account": arguments.account} if arguments.account else {}
    )
    lines = []
    for step in body["steps"]:
        lines.append(f"{step['status']:4}  {step['label']}: {step['message']}")
        lines += [f"      {step['hint']}"] if step["hint"] else []
    return Result(body, "\n".join(map(printable, lines)), success=body["ok"])


def _error_code(item: Mapping[str, Any]) -> str | None:
    error = item["lastError"]
    return error["code"] if error else None


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table whose columns are as wide as their widest cells."""
    lines = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _values(body: Mapping[str, Any]) -> str:
    """Every value of an object on a line of its own, after its path."""
    values = list(_walk(body, ""))
    width = max((len(path) for path, _ in values), default=0)
    return "\n".join(f"{path.ljust(width)}  {printable(value)}" for path, value in values)


def _walk(body: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in body.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
