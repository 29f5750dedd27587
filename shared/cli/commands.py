"""What operators do: each command is a call or two, and what to say of it."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from shared.cli.api import Api
from shared.cli.text import leaves, printable, table

PAGE = 500
DAY = 86400


@dataclass(frozen=True, slots=True)
class Done:
    """The API's answer, the same for people, and whether it is what they hoped for."""

    body: dict[str, Any]
    text: str
    well: bool = True


def list_accounts(api: Api, asked: Namespace) -> Done:
    """All that fit, page by page."""
    narrow = {"state": asked.state, "query": asked.query, "app": asked.app, "email": asked.email}
    query = {**narrow, "authorizedBy": asked.authorized_by, "pageSize": min(PAGE, asked.limit)}
    page = api.call("GET", "accounts", query=query)
    found = page["accounts"]
    while page["cursor"] is not None and len(found) < asked.limit:
        page = api.call("GET", "accounts", query={**query, "cursor": page["cursor"]})
        found += page["accounts"]
    rows = [[a["account"], a["state"], a["email"], a["user"], (a["lastError"] or {}).get("code")] for a in found]
    return Done(
        {"accounts": found[: asked.limit]},
        table(["ACCOUNT", "STATE", "MAILBOX", "AUTHORIZED BY", "TROUBLE"], rows[: asked.limit]),
    )


def show(api: Api, asked: Namespace) -> Done:
    """All of one account."""
    body = api.call("GET", "account", asked.account)
    return Done(body, leaves(body))


def link(api: Api, asked: Namespace) -> Done:
    """Start a registration; the mailbox is a shared one unless it is said to be the person's own."""
    several = [{"email": mailbox} for mailbox in asked.mailbox or ()]
    form = {
        "mailboxes": several or None,
        "redirectUrl": asked.redirect_url,
        "account": asked.account,
        "email": asked.email,
        "name": asked.name,
        "expectedEmail": asked.expected_email,
        "expectedTenant": asked.expected_tenant,
        "type": asked.type,
        "delegated": not asked.own,
        "allowPrincipalChange": asked.allow_principal_change,
        "changeMailbox": asked.change_mailbox,
    }
    body = api.call("POST", "authentication", "form", body={k: v for k, v in form.items() if v is not None})
    return _link(body)


def reauthorize(api: Api, asked: Namespace) -> Done:
    """A link that repairs an account."""
    return _link(api.call("POST", "account", asked.account, "reauthorize", body={"redirectUrl": asked.redirect_url}))


def _link(body: dict[str, Any]) -> Done:
    return Done(body, f"{printable(body['url'])}\ngood until {body['expires']}, registration {body['registration']}")


def reconnect(api: Api, asked: Namespace) -> Done:
    """Refresh and probe now; well when the account is connected."""
    body = api.call("PUT", "account", asked.account, "reconnect", body={"reconnect": True})
    trouble = body["lastError"]
    told = [body["state"], *([trouble["description"], trouble["action"]] if trouble else [])]
    return Done(body, "\n".join(map(printable, told)), well=trouble is None)


def pause(api: Api, asked: Namespace) -> Done:
    """Pause or resume."""
    body = api.call("PUT", "account", asked.account, body={"paused": asked.paused})
    return Done(body, f"{printable(body['account'])} is {'paused' if asked.paused else 'resumed'}")


def delete(api: Api, asked: Namespace) -> Done:
    """Unbind."""
    body = api.call("DELETE", "account", asked.account)
    left = body["accountsLeft"]
    what = "its tokens with it" if body["tokensDeleted"] else f"its grant still serves {left} other account(s)"
    return Done(body, f"{printable(body['account'])} is deleted, {what}")


def create_token(api: Api, asked: Namespace) -> Done:
    """Issue an API token; standard output shows it, this once."""
    wish = {
        "description": asked.description,
        "scopes": asked.scope,
        "accounts": asked.account,
        "accountPrefix": asked.account_prefix,
        "restrictions": {"addresses": asked.address} if asked.address else None,
        "ttl": asked.days and asked.days * DAY,
    }
    body = api.call("POST", "token", body={name: value for name, value in wish.items() if value is not None})
    return Done(body, leaves(body))


def list_apps(api: Api, _: Namespace) -> Done:
    """All OAuth apps."""
    body = api.call("GET", "oauth2", query={"pageSize": 1000})
    rows = [[one["id"], one["name"], one["enabled"], one["clientId"]] for one in body["apps"]]
    return Done(body, table(["APP", "NAME", "ENABLED", "CLIENT ID"], rows))


def verify_app(api: Api, asked: Namespace) -> Done:
    """Walk an OAuth app's configuration; well when every step is."""
    body = api.call("POST", "oauth2", asked.app, "verify", body={"account": asked.account} if asked.account else {})
    lines = []
    for step in body["steps"]:
        lines.append(f"{step['status']:4}  {step['label']}: {step['message']}")
        lines += [f"      {step['hint']}"] if step["hint"] else []
    return Done(body, "\n".join(map(printable, lines)), well=body["ok"])
