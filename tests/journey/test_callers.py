"""Every route for every kind of caller is allowed or refused as docs/callers.md says."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from infra.local import parts
from infra.local.environment import Environment
from shared.bootstrap import build
from shared.domain.caller import Scope
from tests.app_routes import operations
from tests.journey.callers import INSIDE, Kind, kinds_with_api_tokens, kinds_with_entra_tokens
from tests.journey.conftest import ask

FORM = {"account": INSIDE, "redirectUrl": "https://myapp.example/done"}
GRANT = {"delegatedUser": "support@contoso.example", "delegatedAccount": INSIDE}
FURTHER = {"account": INSIDE, "oauth2": {"provider": "AAABiCtT7XUAAAAF", "auth": GRANT}}
HOOK = {"url": "http://127.0.0.1:9/hook", "account": INSIDE, "verify": False}
WISH = {"description": "made by a table", "scopes": ["register"], "ttl": 60}


@dataclass(frozen=True)
class Row:
    """The scopes that a route needs, one of them or `all_of` them, and its answer with them.

    `outside` is for callers bound to other accounts. None for `inside` and `outside` says that no bound caller gets in.
    """

    scopes: frozenset[Scope]
    allowed: int
    inside: int | None
    outside: int | None
    body: Any = None
    all_of: bool = False

    def opens_for(self, kind: Kind) -> bool:
        needed = self.scopes - {Scope.ADMIN}
        if self.all_of and Scope.ADMIN not in kind.scopes:
            return needed <= kind.scopes
        return not self.scopes.isdisjoint(kind.scopes)


def opened_by(*scopes: Scope, allowed: int, inside: int | None, outside: int | None, body: Any = None) -> Row:
    return Row(frozenset({*scopes, Scope.ADMIN}), allowed, inside, outside, body)


BOTH = frozenset({Scope.REGISTER, Scope.ACCOUNTS_WRITE, Scope.ADMIN})
MAIL_IDS = {"message": "AAAA", "text": "AAAA", "attachment": "kqFtoWE"}
MAIL_READ = opened_by(Scope.MAIL_READ, allowed=404, inside=404, outside=403)
NEEDS_PATH = opened_by(Scope.MAIL_READ, allowed=400, inside=400, outside=403)
BY_ID = {"search": {"emailIds": ["AAAA"]}}
MAIL_WRITE = opened_by(Scope.MAIL_WRITE, allowed=404, inside=404, outside=403)
MAIL_SEND = opened_by(Scope.MAIL_SEND, allowed=404, inside=404, outside=403)
# What is asked for is not there, so a caller who is let in learns that it is not found.
ROWS = {
    "POST v1/authentication/form": opened_by(Scope.REGISTER, allowed=200, inside=200, outside=403, body=FORM),
    "GET v1/authentication/form/{registration}": opened_by(
        Scope.REGISTER, Scope.ACCOUNTS_READ, allowed=200, inside=200, outside=404
    ),
    "DELETE v1/authentication/form/{registration}": opened_by(Scope.REGISTER, allowed=200, inside=200, outside=404),
    "GET v1/accounts": opened_by(Scope.ACCOUNTS_READ, allowed=200, inside=200, outside=200),
    # A grant of the OAuth app of these tests serves one account.
    "POST v1/account": Row(BOTH, allowed=400, inside=400, outside=403, body=FURTHER, all_of=True),
    "GET v1/account/{account}": opened_by(Scope.ACCOUNTS_READ, allowed=404, inside=404, outside=403),
    "PUT v1/account/{account}": opened_by(Scope.ACCOUNTS_WRITE, allowed=404, inside=404, outside=403, body={}),
    "POST v1/account/{account}/reauthorize": opened_by(Scope.REGISTER, allowed=404, inside=404, outside=403, body={}),
    "DELETE v1/account/{account}": opened_by(Scope.ACCOUNTS_WRITE, allowed=404, inside=404, outside=403),
    "PUT v1/account/{account}/reconnect": opened_by(Scope.ACCOUNTS_WRITE, allowed=404, inside=404, outside=403),
    "GET v1/account/{account}/oauth-token": opened_by(Scope.OAUTH_TOKEN, allowed=404, inside=404, outside=403),
    "POST v1/account/{account}/oauth-token": opened_by(
        Scope.OAUTH_TOKEN,
        allowed=404,
        inside=404,
        outside=403,
        body={"claims": '{"access_token": {"acrs": {"value": "c1"}}}'},
    ),
    "GET v1/account/{account}/mailboxes": MAIL_READ,
    "GET v1/account/{account}/messages": NEEDS_PATH,
    "POST v1/account/{account}/search": replace(NEEDS_PATH, body={}),
    "GET v1/account/{account}/message/{message}": MAIL_READ,
    "GET v1/account/{account}/text/{text}": MAIL_READ,
    "GET v1/account/{account}/message/{message}/source": MAIL_READ,
    "GET v1/account/{account}/attachment/{attachment}": MAIL_READ,
    "PUT v1/account/{account}/message/{message}": replace(MAIL_WRITE, body={"flags": {"set": []}}),
    "PUT v1/account/{account}/message/{message}/move": replace(MAIL_WRITE, body={"path": "Archive"}),
    "DELETE v1/account/{account}/message/{message}": MAIL_WRITE,
    "POST v1/account/{account}/message": replace(MAIL_WRITE, body={"subject": "a"}),
    "POST v1/account/{account}/submit": replace(MAIL_SEND, body={"to": [], "text": "x"}),
    "POST v1/account/{account}/message/{message}/submit": MAIL_SEND,
    "PUT v1/account/{account}/messages": replace(MAIL_WRITE, body=BY_ID | {"update": {"labels": {"set": []}}}),
    "PUT v1/account/{account}/messages/move": replace(MAIL_WRITE, body=BY_ID | {"path": "Archive"}),
    "PUT v1/account/{account}/messages/delete": replace(MAIL_WRITE, body=BY_ID),
    "GET v1/stats": opened_by(Scope.ACCOUNTS_READ, allowed=200, inside=None, outside=None),
    "GET v1/oauth2": opened_by(allowed=200, inside=None, outside=None),
    "POST v1/oauth2": opened_by(allowed=400, inside=None, outside=None, body={}),
    "GET v1/oauth2/{app}": opened_by(allowed=404, inside=None, outside=None),
    "PUT v1/oauth2/{app}": opened_by(allowed=404, inside=None, outside=None, body={}),
    "DELETE v1/oauth2/{app}": opened_by(allowed=200, inside=None, outside=None),
    "POST v1/oauth2/{app}/verify": opened_by(allowed=404, inside=None, outside=None, body={}),
    "GET v1/settings": opened_by(allowed=200, inside=None, outside=None),
    "POST v1/settings": opened_by(allowed=200, inside=None, outside=None, body={"webhookEvents": ["*"]}),
    "POST v1/webhooks": opened_by(Scope.WEBHOOKS, allowed=201, inside=201, outside=403, body=HOOK),
    "GET v1/webhooks": opened_by(Scope.WEBHOOKS, allowed=200, inside=200, outside=200),
    "GET v1/webhooks/{webhook}": opened_by(Scope.WEBHOOKS, allowed=404, inside=404, outside=404),
    "DELETE v1/webhooks/{webhook}": opened_by(Scope.WEBHOOKS, allowed=404, inside=404, outside=404),
    "POST v1/webhooks/{webhook}/ping": opened_by(Scope.WEBHOOKS, allowed=404, inside=404, outside=404),
    "POST v1/webhooks/{webhook}/redeliver": opened_by(Scope.WEBHOOKS, allowed=404, inside=404, outside=404),
    "POST v1/token": opened_by(allowed=200, inside=None, outside=None, body=WISH),
    "GET v1/tokens": opened_by(allowed=200, inside=None, outside=None),
    "DELETE v1/token/{token}": opened_by(allowed=200, inside=None, outside=None),
}
DESCRIPTIONS = {"GET openapi.json", "GET swagger.json", "GET docs"}
# These tell nothing but how the app is; the others are for browsers, and know them by ticket, cookie and state.
PUBLIC = DESCRIPTIONS | {"GET ", "GET health", "GET accounts/new", "POST accounts/new", "GET oauth", "POST oauth"}
CODES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}


def expected(row: Row, kind: Kind) -> int:
    if kind.refused is not None:
        return kind.refused
    if not row.opens_for(kind):
        return 403
    bound = {None: row.allowed, "inside": row.inside, "outside": row.outside}[kind.bound]
    return bound or 403


@pytest.fixture(scope="module")
async def kinds(environment: Environment) -> AsyncIterator[dict[str, Kind]]:
    services = build(environment.settings)
    yield await kinds_with_api_tokens(environment, services) | kinds_with_entra_tokens(environment)
    await services.close()


def test_every_route_of_the_app_is_in_the_table() -> None:
    assert {*operations()} == {*ROWS, *PUBLIC}


def test_documentation_lists_the_same_permissions() -> None:
    section = (parts.ROOT / "docs/callers.md").read_text().partition("\n## What a scope gives")[0]
    told: dict[str, frozenset[Scope]] = {}
    for line in section.splitlines():
        cells = line.split("|")
        if re.match(r"\| `(GET|POST|PUT|DELETE) ", line):
            scopes = frozenset(Scope(word) for word in re.findall(r"`([^`]+)`", cells[2]))
            told |= {route.replace(" /", " "): scopes | {Scope.ADMIN} for route in re.findall(r"`([^`]+)`", cells[1])}

    assert {route: row.scopes for route, row in ROWS.items()} == told


@pytest.mark.parametrize("route", sorted(ROWS))
def test_each_route_admits_exactly_the_permitted_callers(
    environment: Environment, api: httpx.Client, kinds: dict[str, Kind], route: str
) -> None:
    row, registration = ROWS[route], ask(api, account=INSIDE)["registration"]
    names = {**MAIL_IDS, "account": INSIDE.lower(), "token": "f" * 64, "app": "A" * 16, "webhook": "x"}
    method, path = route.format(registration=registration, **names).split(" ")

    with httpx.Client(base_url=environment.base_url, timeout=30) as client:
        answers = {
            name: client.request(method, f"/{path}", json=row.body, headers=dict(kind.headers))
            for name, kind in kinds.items()
        }

    assert {name: expected(row, kind) for name, kind in kinds.items()} == {
        name: answer.status_code for name, answer in answers.items()
    }
    refused = [answer for answer in answers.values() if answer.status_code in CODES]
    assert [] == [answer.text for answer in refused if answer.json()["code"] != CODES[answer.status_code]]


@pytest.mark.parametrize("route", sorted(ROWS))
def test_refusal_names_the_missing_permission(environment: Environment, kinds: dict[str, Kind], route: str) -> None:
    """RFC 6750 section 3: nothing for who shows nothing, invalid_token, or insufficient_scope with the scope."""
    method, path = route.format(**MAIL_IDS, registration="x", account=INSIDE, token="x", app="x", webhook="x").split(
        " "
    )
    scope = next(scope for scope in Scope if scope in ROWS[route].scopes)

    def challenge(kind: str) -> str:
        answer = httpx.request(method, f"{environment.base_url}/{path}", json={}, headers=dict(kinds[kind].headers))
        return str(answer.headers["www-authenticate"])

    assert "Bearer" == challenge("nobody")
    assert 'Bearer error="invalid_token"' == challenge("unknown")
    assert f'Bearer error="insufficient_scope", scope="{scope}"' == challenge("without scopes")


@pytest.mark.parametrize("route", sorted(PUBLIC - {"GET health"}))
def test_browser_routes_need_no_token(environment: Environment, route: str) -> None:
    method, path = route.split(" ")

    assert httpx.request(method, f"{environment.base_url}/{path}").status_code not in {401, 500}


def test_token_in_the_url_is_not_accepted(environment: Environment) -> None:
    """URLs are kept in logs and browser histories."""
    query = {"access_token": environment.secrets.admin_token}

    assert 401 == httpx.get(f"{environment.base_url}/v1/accounts", params=query).status_code
