"""API tokens are issued once, bound, listed without their value, and revoked."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.domain.caller import Scope
from shared.domain.formats import fingerprint
from shared.ports import App
from tests.conftest import storage_of
from tests.journey.callers import bearer
from tests.journey.conftest import ask, bind
from tests.local.calling_app import token_by_msal
from tests.patience import wait_until

type NewPerson = Callable[..., str]

WISH = {"description": "orders", "scopes": ["oauth-token"]}


def issue(api: httpx.Client, **wish: Any) -> dict[str, str]:
    answer = api.post("/v1/token", json=WISH | wish)
    assert 200 == answer.status_code, answer.text
    return dict(answer.json())


def listed(api: httpx.Client, token_id: str) -> dict[str, Any]:
    tokens = api.get("/v1/tokens", params={"pageSize": 1000}).json()["tokens"]
    return next(token for token in tokens if token["id"] == token_id)


def test_token_is_shown_once_and_never_listed(api: httpx.Client) -> None:
    issued = issue(
        api,
        scopes=["register", "oauth-token"],
        accounts=["Sales", "support"],
        restrictions={"addresses": ["203.0.113.7", "2001:db8::/32"]},
        expires="2099-01-01T00:00:00+01:00",
    )

    found = listed(api, issued["id"])
    assert 64 == len(issued["token"])
    assert fingerprint(issued["token"]) == issued["id"] == found["id"]
    assert ("orders", ["oauth-token", "register"]) == (found["description"], found["scopes"])
    assert (["sales", "support"], None) == (found["accounts"], found["accountPrefix"])
    assert {"addresses": ["203.0.113.7/32", "2001:db8::/32"]} == found["restrictions"]
    assert ("2098-12-31T23:00:00.000Z", "administrator") == (found["expires"], found["createdBy"])
    assert None is found["lastUsed"]
    assert issued["token"] not in api.get("/v1/tokens", params={"pageSize": 1000}).text


async def test_no_token_is_written_down(api: httpx.Client, environment: Environment, instance: App) -> None:
    issued = issue(api)
    shown = [issued["token"], token_by_msal(environment.tenant.ready), "f" * 64]
    for token in shown:
        api.get("/v1/accounts", headers=bearer(token))
    api.delete(f"/v1/token/{issued['token']}")

    log = environment.host.log.read_text()
    rows = [str(row) async for row in storage_of(instance).get_table_client("ApiTokens").list_entities()]

    assert f"token={issued['id']}" in log
    assert [] == [token for token in shown if token in log or any(token in row for row in rows)]


def test_tokens_are_listed_in_pages_the_newest_first(api: httpx.Client) -> None:
    made = [issue(api)["id"] for _ in range(3)]

    pages = [api.get("/v1/tokens", params={"pageSize": 2, "page": page}).json() for page in (0, 1)]

    assert made[::-1] == [token["id"] for page in pages for token in page["tokens"]][:3]
    assert pages[0]["total"] >= 3


@pytest.mark.parametrize(
    ("wrong", "body"),
    [
        ({"description", "scopes"}, {}),
        ({"description"}, WISH | {"description": ""}),
        ({"scopes"}, WISH | {"scopes": []}),
        ({"scopes"}, WISH | {"scopes": ["root"]}),
        ({"scopes"}, WISH | {"scopes": [{}]}),
        ({"account"}, WISH | {"account": ""}),
        ({"account"}, WISH | {"account": None}),
        ({"accountPrefix"}, WISH | {"accountPrefix": "  "}),
        ({"accounts"}, WISH | {"accounts": []}),
        ({"accounts"}, WISH | {"accounts": ["a", ""]}),
        ({"accounts"}, WISH | {"accounts": [str(number) for number in range(51)]}),
        ({"accounts"}, WISH | {"account": "a", "accounts": ["b"]}),
        ({"accountPrefix"}, WISH | {"account": "a", "accountPrefix": "b"}),
        ({"scopes"}, WISH | {"scopes": ["admin"], "account": "a"}),
        ({"restrictions.addresses"}, WISH | {"restrictions": {}}),
        ({"restrictions.referrers"}, WISH | {"restrictions": {"addresses": ["::1"], "referrers": ["*"]}}),
        ({"restrictions.addresses"}, WISH | {"restrictions": {"addresses": []}}),
        ({"restrictions.addresses"}, WISH | {"restrictions": {"addresses": ["203.0.113.7/24"]}}),
        ({"restrictions.addresses"}, WISH | {"restrictions": {"addresses": ["localhost"]}}),
        ({"restrictions.addresses"}, WISH | {"restrictions": {"addresses": [f"fe80::1%{'e' * 40_000}"]}}),
        ({"expires"}, WISH | {"expires": "2020-01-01T00:00:00Z"}),
        ({"expires"}, WISH | {"expires": "tomorrow"}),
        ({"expires"}, WISH | {"expires": None}),
        ({"expires"}, WISH | {"expires": "0001-01-01T00:00:00+14:00"}),
        ({"ttl"}, WISH | {"ttl": 0}),
        ({"ttl"}, WISH | {"ttl": ""}),
        ({"ttl"}, WISH | {"ttl": 60, "expires": "2099-01-01"}),
        ({"permissions", "scopes"}, {"description": "x", "scopes": "root", "permissions": {}}),
    ],
)
def test_invalid_limit_is_never_read_as_no_limit(api: httpx.Client, wrong: set[str], body: dict[str, Any]) -> None:
    before = api.get("/v1/tokens").json()["total"]

    answer = api.post("/v1/token", json=body)

    assert (400, wrong) == (answer.status_code, {field["key"] for field in answer.json()["fields"]})
    assert before == api.get("/v1/tokens").json()["total"]


@pytest.mark.parametrize("by", ["token", "id"])
def test_revoked_token_stops_at_once_where_it_was_revoked(api: httpx.Client, by: str) -> None:
    issued = issue(api, scopes=["accounts:read"])
    headers = bearer(issued["token"])
    assert 200 == api.get("/v1/accounts", headers=headers).status_code

    assert {"deleted": True} == api.delete(f"/v1/token/{issued[by]}").json()

    assert 401 == api.get("/v1/accounts", headers=headers).status_code
    assert {"deleted": False} == api.delete(f"/v1/token/{issued[by]}").json()


async def test_bound_token_sees_and_hands_out_its_own_accounts_only(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    mine, other = bind(api, visitor, person(), name="Two of us"), bind(api, visitor, person(), name="Two of us")
    work = [scope for scope in Scope if scope is not Scope.ADMIN]
    issued = issue(api, scopes=work, account=mine.upper())
    bound = bearer(issued["token"])

    listing = api.get("/v1/accounts", params={"query": "two of us", "pageSize": 1}, headers=bound).json()

    assert ([mine], 1, 1, None) == (
        [account["account"] for account in listing["accounts"]],
        listing["total"],
        listing["pages"],
        listing["cursor"],
    )
    assert 200 == api.get(f"/v1/account/{mine}/oauth-token", headers=bound).status_code
    assert 200 == api.put(f"/v1/account/{mine}/reconnect", headers=bound).status_code
    for method, path in (("GET", "/oauth-token"), ("GET", ""), ("DELETE", ""), ("PUT", "/reconnect")):
        refused = api.request(method, f"/v1/account/{other}{path}", headers=bound)
        missing = api.request(method, f"/v1/account/{other}-missing{path}", headers=bound)
        assert (403, refused.json()) == (refused.status_code, missing.json())
    wait_until(lambda: listed(api, issued["id"])["lastUsed"])


def test_bound_token_requests_links_to_its_own_accounts_only(api: httpx.Client) -> None:
    bound = bearer(issue(api, scopes=["register"], accountPrefix="team-a-")["token"])
    form = {"redirectUrl": "https://myapp.example/done", "allowPrincipalChange": True}

    def start(**more: Any) -> httpx.Response:
        return api.post("/v1/authentication/form", json=form | more, headers=bound)

    assert 200 == start(account="Team-A-one").status_code
    assert 403 == start(account="team-b-one").status_code
    assert 403 == start(account="team-a").status_code
    for unnamed in ({}, {"account": ""}, {"account": None}):
        assert ["account"] == [field["key"] for field in start(**unnamed).json()["fields"]]
    theirs = ask(api)["registration"]
    assert 404 == api.get(f"/v1/authentication/form/{theirs}", headers=bound).status_code
    assert 200 == api.get(f"/v1/authentication/form/{start(account='team-a-1').json()['registration']}").status_code


def test_page_names_the_caller_by_its_token_description(api: httpx.Client, visitor: Visitor) -> None:
    asking = bearer(issue(api, description="Order <desk>", scopes=["register"])["token"])
    form = {"redirectUrl": "https://myapp.example/done", "email": "support@contoso.example", "delegated": True}

    url = api.post("/v1/authentication/form", json=form, headers=asking).json()["url"]

    assert "Order &lt;desk&gt;" in visitor.open(url).html
