"""Accounts that hand out no tokens: the switch, its audit records, and every route that might give a token."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.domain.caller import Scope
from tests.app_routes import operations
from tests.journey.callers import WORK, api_token, bearer
from tests.journey.cli import BACK, Cli, captured_command, told  # noqa: F401 - a fixture
from tests.journey.conftest import bind
from tests.journey.many import SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture

type NewPerson = Callable[..., str]

CLAIMS = {"claims": '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'}
MAIL = frozenset({Scope.MAIL_READ, Scope.MAIL_WRITE, Scope.MAIL_SEND})
SIGN_IN_LINK = re.compile(r"http://127\.0\.0\.1:\d+/accounts/new\?ticket=[\w-]+")
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def refusals(api: httpx.Client, account: str, headers: dict[str, str] | None = None) -> set[tuple[int, str]]:
    """The answers to every request for a token of the account."""
    path = f"/v1/account/{account}/oauth-token"
    answers = [api.get(path, headers=headers, params=query) for query in ({}, {"sasl": "true"}, {"resource": "graph"})]
    answers += [api.post(path, headers=headers, json=body) for body in (CLAIMS, CLAIMS | {"sasl": True})]
    assert all("/v1.0/users/{mailbox}/" in answer.json()["message"] for answer in answers)
    return {(answer.status_code, answer.json()["code"]) for answer in answers}


def test_callers_switch_an_account_off_and_administrators_on(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment
) -> None:
    account = bind(api, visitor, person())
    path = f"/v1/account/{account}"
    assert api.get(path).json()["handOut"]
    wish = {"description": "desk", "scopes": ["accounts:write", "oauth-token"], "account": account}
    issued = api.post("/v1/token", json=wish).json()
    manager = bearer(issued["token"])

    off = api.put(path, json={"handOut": False}, headers=manager)

    assert {"account": account, "state": "connected", "handOut": False, "lastError": None} == off.json()
    assert not api.get(path).json()["handOut"]
    listed = api.get("/v1/accounts", params={"query": account}).json()["accounts"]
    assert [False] == [each["handOut"] for each in listed]
    for headers in (manager, None):
        assert {(403, "hand_out_disabled")} == refusals(api, account, headers)
    forbidden = api.put(path, json={"handOut": True}, headers=manager)
    assert 403 == forbidden.status_code
    assert 'scope="admin"' in forbidden.headers["www-authenticate"]
    assert api.put(path, json={"handOut": True}).json()["handOut"]
    assert 200 == api.get(f"{path}/oauth-token", headers=manager).status_code

    lines = re.findall(r"shared\.audit audit (\{.*\})", environment.host.log.read_text())
    records = [record for record in map(json.loads, lines) if record.get("account") == account]
    by = f"token:{issued['id']}"
    assert [(by, "done", False), (by, "refused", True), ("administrator", "done", True)] == [
        (record["actor"], record["outcome"], record["hand_out"]) for record in records if "hand_out" in record
    ]
    refused = [record for record in records if record.get("code") == "hand_out_disabled"]
    assert {"access-token.hand-out"} == {record["action"] for record in refused}


def test_page_says_that_the_caller_never_receives_the_permission(api: httpx.Client, visitor: Visitor) -> None:
    wish = {"description": "contoso-app", "scopes": ["register"]}
    caller = bearer(api.post("/v1/token", json=wish).json()["token"])
    form = {"account": "never-receives", "email": SUPPORT, "delegated": True, "redirectUrl": BACK[1]}

    def page(**changes: Any) -> str:
        answer = api.post("/v1/authentication/form", json={**form, **changes}, headers=caller)
        return " ".join(re.sub(r"<[^>]+>", "", visitor.open(answer.json()["url"]).html).split())

    sentence = f"contoso-app can read and send mail of {SUPPORT} through Mailbind; it never receives your permission."
    assert sentence in page(handOut=False)
    assert "receives this access" not in page(handOut=False)
    assert sentence not in page()
    assert "receives this access" in page(handOut=True)


def test_operator_switches_an_account_with_the_command(
    cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = bind(api, visitor, who)

    assert f"{account} hands out no access tokens\n" == cli("hand-out", account, "off").stdout
    assert re.search(r"\nhands out tokens +no\n", cli("show", account).stdout)
    assert told(cli("hand-out", account, "on", "--json"))["handOut"]
    assert re.search(r"\nhands out tokens +yes\n", cli("show", account).stdout)
    link = told(cli("link", "--account", account, "--email", SUPPORT, "--no-hand-out", *BACK, "--json"))
    visitor.follow(link["url"], who)
    assert not told(cli("show", account, "--json"))["handOut"]


# Requests that do something. The others are sent with an empty body.
def bodies(account: str) -> dict[str, Any]:
    grant = {"provider": "AAABiCtT7XUAAAAF", "auth": {"delegatedUser": SALES, "delegatedAccount": account}}
    form = {"account": account, "redirectUrl": BACK[1], "email": SUPPORT, "delegated": True}
    return {
        "POST v1/authentication/form": form,
        "POST v1/account": {"account": f"{account}-further", "oauth2": grant},
        "PUT v1/account/{account}": {"handOut": True, "paused": False},
        "POST v1/account/{account}/reauthorize": {"redirectUrl": BACK[1]},
        "POST v1/account/{account}/oauth-token": CLAIMS,
        "POST v1/webhooks": {"url": "http://127.0.0.1:9/hook", "account": account, "verify": False},
    }


def answers_of_every_route(api: httpx.Client, account: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer of every route of the app. What removes the account comes last."""
    values = {"account": account, "app": "AAABiCtT7XUAAAAF"}
    for route in sorted(operations(), key=lambda route: (route.startswith("DELETE"), route)):
        method, template = route.split(" ")
        path = re.sub(r"\{\*?(\w+)[^}]*\}", lambda name: values.get(name[1], "x"), template)
        body = bodies(account).get(route, {}) if method in {"POST", "PUT", "PATCH"} else None
        yield api.request(method, f"/{path}", json=body, headers=headers)
        for further in (account, f"{account}-further"):
            yield api.get(f"/v1/account/{further}/oauth-token", headers=headers)


@pytest.mark.parametrize(
    ("scopes", "hand_out"),
    [(MAIL, True), (WORK - {Scope.OAUTH_TOKEN}, True), (WORK, False)],
    ids=["mail", "work", "off"],
)
async def test_no_route_gives_a_token_to_those_who_get_none(
    many: Many, scopes: frozenset[Scope], *, hand_out: bool
) -> None:
    who = many.person(SUPPORT, SALES)
    asked, (account,) = many.ask(SUPPORT, handOut=hand_out)
    many.visitor.follow(asked["url"], who)
    token, links = await api_token(many.instance, scopes), []

    for answer in answers_of_every_route(many.api, account, bearer(token)):
        text = f"{answer.headers} {answer.text}"
        assert not JWT.search(text), answer.url
        if not hand_out and (link := SIGN_IN_LINK.search(answer.text)):
            many.visitor.follow(link[0], who)  # the person does what the page asks for
            links.append(link)

    assert scopes is MAIL or 404 == many.api.get(f"/v1/account/{account}").status_code
    assert hand_out or len(links) == 2
