"""The API and its callers."""

from collections.abc import Callable

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from tests.journey.conftest import Tenant, ask, bind, status

type NewPerson = Callable[..., str]

GOOD = {"redirectUrl": "https://myapp.example/done"}
ROUTES = [
    ("POST", "/v1/authentication/form"),
    ("GET", "/v1/authentication/form/x"),
    ("GET", "/v1/accounts"),
    ("GET", "/v1/account/x"),
    ("DELETE", "/v1/account/x"),
    ("PUT", "/v1/account/x"),
    ("PUT", "/v1/account/x/reconnect"),
    ("POST", "/v1/account/x/reauthorize"),
    ("GET", "/v1/account/x/oauth-token"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("message", "header"),
    [
        ("Missing authentication", None),
        ("Missing authentication", "Bearer"),
        ("Missing authentication", "Basic YWRtaW46YWRtaW4="),
        ("Bad token", "Bearer " + "0" * 64),
        ("Bad token", "bearer x"),
    ],
)
def test_request_without_a_known_token_is_refused(
    environment: Environment, method: str, path: str, message: str, header: str | None
) -> None:
    answer = httpx.request(
        method, environment.base_url + path, headers={"Authorization": header} if header else {}, json={}
    )

    assert 401 == answer.status_code
    challenge = 'Bearer error="invalid_token"' if message == "Bad token" else "Bearer"
    assert challenge == answer.headers["www-authenticate"]
    assert {"statusCode": 401, "error": "Unauthorized", "message": message, "code": "Unauthorized"} == answer.json()


@pytest.mark.parametrize(
    ("wrong", "body"),
    [
        ({"redirectUrl"}, {}),
        ({"redirectUrl"}, {"redirectUrl": ""}),
        ({"redirectUrl"}, {"redirectUrl": "/relative"}),
        ({"redirectUrl"}, {"redirectUrl": "ftp://myapp.example/"}),
        ({"redirectUrl"}, {"redirectUrl": "javascript:alert(1)"}),
        ({"redirectUrl"}, {"redirectUrl": "https://"}),
        ({"redirectUrl"}, {"redirectUrl": "https://user:word@myapp.example/"}),
        ({"redirectUrl"}, {"redirectUrl": "https://myapp.example:port/"}),
        ({"redirectUrl"}, {"redirectUrl": "https://myapp.example\\@evil.example/"}),
        ({"redirectUrl"}, {"redirectUrl": "https://my\r\napp.example/"}),
        ({"redirectUrl"}, {"redirectUrl": 7}),
        ({"email"}, GOOD | {"delegated": True}),
        ({"email"}, GOOD | {"delegated": True, "email": ""}),
        ({"email"}, GOOD | {"email": "no-address"}),
        ({"email", "expectedEmail"}, GOOD | {"email": "a b@c", "expectedEmail": "@x"}),
        ({"delegated"}, GOOD | {"delegated": "maybe"}),
        ({"type"}, GOOD | {"type": "AAABiCtT7XUAAAAA"}),
        ({"type"}, GOOD | {"type": 5}),
        ({"account"}, GOOD | {"account": "x" * 257}),
        ({"account"}, GOOD | {"account": ["x"]}),
        ({"name"}, GOOD | {"name": None}),
        ({"bogus", "other"}, GOOD | {"bogus": 1, "other": {}}),
        ({"subconnections", "path", "notifyFrom"}, GOOD | {"subconnections": [1], "path": {}, "notifyFrom": 5}),
        ({"redirectUrl", "email", "delegated", "bogus"}, {"email": 1, "delegated": [], "bogus": 1}),
    ],
)
def test_refusal_names_every_wrong_field_and_repeats_no_value(
    api: httpx.Client, wrong: set[str], body: dict[str, object]
) -> None:
    answer = api.post("/v1/authentication/form", json=body)

    assert (400, "Invalid input") == (answer.status_code, answer.json()["message"])
    assert wrong == {field["key"] for field in answer.json()["fields"]}
    for value in ("evil.example", "alert(1)", "no-address", "AAABiCtT7XUAAAAA", "maybe"):
        assert value not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b"\xff\xfe", b"[1]", b"null", b'"text"', b"[" * 5000])
def test_body_must_be_a_json_object(api: httpx.Client, body: bytes) -> None:
    assert 400 == api.post("/v1/authentication/form", content=body).status_code


def test_body_over_64_kib_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/authentication/form", json=GOOD | {"name": "x" * 65536})

    assert (413, "BodyTooLarge") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    "more",
    [
        {"account": None},
        {"account": "", "name": "", "email": "", "expectedEmail": "", "type": ""},
        {"type": False},
        {"delegated": "N"},
        {"delegated": 0},
        {"delegated": "1", "email": "support@contoso.example"},
        {"syncFrom": None, "notifyFrom": "2026-01-01T00:00:00Z", "subconnections": ["a"], "path": "*"},
        {"path": ["INBOX"], "subconnections": "a"},
    ],
)
def test_spellings_of_the_contract_are_accepted(api: httpx.Client, more: dict[str, object]) -> None:
    answer = api.post("/v1/authentication/form", json=GOOD | more)

    assert 200 == answer.status_code, answer.text
    assert {"url", "registration", "expires", "delegated"} == set(answer.json())


HINT = (
    "The link binds the own mailbox of the person who signs in, and only if its address is {}."
    " For a shared mailbox, {}."
)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, (False, False)),
        ({"email": "support@contoso.example"}, (False, True)),
        ({"email": "support@contoso.example", "delegated": ""}, (False, True)),
        ({"email": "support@contoso.example", "delegated": False}, (False, False)),
        ({"email": "support@contoso.example", "delegated": True}, (True, False)),
        ({"mailboxes": [{"email": "support@contoso.example"}]}, (True, False)),
    ],
)
def test_answer_says_what_the_link_binds(api: httpx.Client, more: dict[str, object], told: tuple[bool, bool]) -> None:
    """`told` is `delegated`, and whether there is a hint."""
    answer = api.post("/v1/authentication/form", json=GOOD | more).json()

    hint = HINT.format("support@contoso.example", 'send "delegated": true')
    assert told == (answer["delegated"], "hint" in answer)
    assert answer.get("hint", hint) == hint
    assert answer["delegated"] == status(api, answer)["delegated"]


@pytest.mark.parametrize(
    ("wrong", "query"),
    [
        ({"page"}, "page=-1"),
        ({"page"}, "page=x"),
        ({"pageSize"}, "pageSize=0"),
        ({"pageSize"}, "pageSize=1001"),
        ({"state"}, "state=foo"),
        ({"cursor"}, "cursor=made-up"),
        ({"page", "state", "bogus"}, "page=1.5&state=x&bogus=1"),
        ({"email", "app"}, "email=support&app=" + "x" * 257),
    ],
)
def test_invalid_listing_names_every_wrong_parameter(api: httpx.Client, wrong: set[str], query: str) -> None:
    answer = api.get(f"/v1/accounts?{query}")

    assert 400 == answer.status_code
    assert wrong == {field["key"] for field in answer.json()["fields"]}


def test_accounts_are_listed_by_page_query_and_cursor(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    mine = {bind(api, visitor, person(), name="Findable Thing") for _ in range(3)}

    first = api.get("/v1/accounts", params={"query": "findable", "pageSize": 2}).json()
    second = api.get("/v1/accounts", params={"query": "findable", "pageSize": 2, "page": 1}).json()
    behind = api.get("/v1/accounts", params={"query": "findable", "pageSize": 2, "cursor": first["cursor"]}).json()

    assert (3, 2, 0, "findable", "*") == tuple(first[name] for name in ("total", "pages", "page", "query", "state"))
    assert [2, 1] == [len(page["accounts"]) for page in (first, second)]
    assert mine == {found["account"] for page in (first, second) for found in page["accounts"]}
    assert [found["account"] for found in second["accounts"]] == [found["account"] for found in behind["accounts"]]
    assert None is behind["cursor"]
    assert 0 == api.get("/v1/accounts", params={"query": "findable", "state": "connectError"}).json()["total"]


def test_account_shows_who_authorizes_it_and_no_secret(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    account = bind(api, visitor, who)

    found = api.get(f"/v1/account/{account}").json()

    assert {"user": who, "delegatedUser": "support@contoso.example"} == found["oauth2"]["auth"]
    assert ("******", "******") == (found["oauth2"]["accessToken"], found["oauth2"]["refreshToken"])
    assert "eyJ" not in str(found)


def test_reconnect_refreshes_and_probes_now(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    account = bind(api, visitor, person())
    before = api.get(f"/v1/account/{account}/oauth-token").json()

    assert {"reconnect": True, "state": "connected", "lastError": None} == api.put(
        f"/v1/account/{account}/reconnect", json={"reconnect": True}
    ).json()

    assert before["accessToken"] != api.get(f"/v1/account/{account}/oauth-token").json()["accessToken"]


def test_reconnect_says_why_it_failed(api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    account = bind(api, visitor, person())
    tenant.do("outage", endpoint="token", mode="503")

    answer = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    body = answer.json()
    assert (200, False, "connected", None) == (
        answer.status_code,
        *(body[name] for name in ("reconnect", "state", "lastError")),
    )
    assert {"code", "description", "since", "action"} == {*body["error"]}
    assert "entra_unavailable" == body["error"]["code"]


def test_unknown_accounts_and_registrations_are_not_found(api: httpx.Client) -> None:
    for method, path in ROUTES[1:2] + ROUTES[3:]:
        answer = api.request(method, path, json={} if method in {"PUT", "POST"} else None)

        assert (404, "NotFound") == (answer.status_code, answer.json()["code"]), path


def test_health_needs_no_token(environment: Environment) -> None:
    assert {"success": True, "storage": "ok"} == httpx.get(environment.base_url + "/health").json()


def test_answers_are_not_cached(api: httpx.Client) -> None:
    assert "no-store" == api.get("/v1/accounts").headers["cache-control"]


def test_every_timestamp_is_utc_in_milliseconds(api: httpx.Client) -> None:
    assert "2026-11-24T10:00:00.000Z"[10:11] == ask(api)["expires"][10:11]
    assert ask(api)["expires"].endswith("Z")
    assert 24 == len(ask(api)["expires"])


def test_flat_body_may_be_a_form(api: httpx.Client) -> None:
    fields = {"email": "support@contoso.example", "delegated": "1", "redirectUrl": "https://myapp.example/done"}

    asked = api.post("/v1/authentication/form", data={**fields, "subconnections": ["a", "b"]})
    refused = api.post("/v1/authentication/form", data={**fields, "delegated": "perhaps", "odd": ""})

    assert 200 == asked.status_code, asked.text
    assert status(api, asked.json())["delegated"]
    assert (400, ["delegated", "odd"]) == (refused.status_code, [fault["key"] for fault in refused.json()["fields"]])
