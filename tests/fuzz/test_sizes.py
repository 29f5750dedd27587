"""Sizes and shapes that a description does not draw: huge, repeated and odd values in forms and in what is stored."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.local.environment import APP_ID, LARGEST_REQUEST_BODY_BYTES, Environment
from infra.local.host.request import MAX_REQUEST_LINE_BYTES
from infra.local.visitor import Page, Visitor
from shared.browser.sign_in_pages import ANSWER_FIELDS, PAGE_FIELDS
from shared.domain.claims_challenge import KNOWN_MEMBERS
from tests.fuzz.conftest import FUZZED, REQUESTS
from tests.fuzz.hints import GUID
from tests.journey.conftest import ask, bind, code_of

FORM = "application/x-www-form-urlencoded"
COOKIE = "__Host-mailbind"
# A limit, one less and one more of it, in characters and in bytes, and what is far beyond all.
SIZES = st.sampled_from([0, 1, 42, 43, 44, 63, 64, 65, 108, 255, 256, 257, 320, 321, 1024, 4096, 8192, 20_000, 40_000])
LETTERS = st.sampled_from(
    ["a", "0", ".", "~", "\x00", "\n", "\x7f", "\x85", '"', "\\", "ü", "\u2028", "\u202e", "\U0001f600", "İ", "ß"]
)
WORDS = st.sampled_from(
    ["v1.00000000000000000000.AAAA", "v1.", "true", "null", "-1", "1e9", "AADSTS7000215", "../..", "%00", "a@b"]
)
TEXTS = st.builds(lambda letter, size: letter * size, LETTERS, SIZES) | WORDS | st.text(max_size=60)
MOMENTS = st.sampled_from(
    [
        *(
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59-12:00",
        ),
        *(
            "1999-12-31",
            "2000-01-01",
            "2100-01-01",
            "2038-01-19T03:14:08Z",
            "2024-02-29",
            "2023-02-29",
            "2016-12-31T23:59:60Z",
        ),
        *(
            "10000-01-01T00:00:00Z",
            "-0001-01-01",
            "24:00",
            "2027-01-31T24:00:00Z",
            "0" * 5000,
            "\uff12\uff10\uff12\uff17-01-31",
            "",
        ),
    ]
)
ODD = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.lists(TEXTS, max_size=3)
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of the fields, each mostly as it should be."""
    return st.fixed_dictionaries({}, optional={name: value | value | ODD for name, value in fields.items()})


def one_or_two(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """What is odd in a body; more of it at once would seldom get as far as storage."""
    names = st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=2, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: fields[name] | fields[name] | ODD for name in some}))


TENANTS = st.just(GUID) | TEXTS
ACCOUNTS = st.lists(TEXTS, max_size=51)
ADDRESSES = TEXTS.map("{}@contoso.example".format)
CLAIMS = st.builds(
    lambda member, value: json.dumps({"access_token": {member: {"essential": True, "value": value}}}),
    st.sampled_from([*KNOWN_MEMBERS, "xms_cc"]),
    TEXTS,
)
BACK = "https://myapp.example/"
LINK = {
    "redirectUrl": TEXTS.map((BACK + "?x={}").format),
    "type": TEXTS,
    "name": TEXTS,
    "account": TEXTS,
    "expectedEmail": ADDRESSES,
    "expectedTenant": TENANTS,
    "changeMailbox": st.booleans(),
    "allowPrincipalChange": st.booleans(),
}
MAILBOX = some(account=TEXTS, email=ADDRESSES, name=TEXTS)
APP = {
    "name": TEXTS,
    "title": TEXTS,
    "description": TEXTS,
    "clientSecret": TEXTS,
    "clientSecret2": TEXTS,
    "extraScopes": st.lists(TEXTS, max_size=51),
    "skipScopes": st.lists(TEXTS, max_size=51),
    "tenants": st.lists(TENANTS, max_size=51),
    "mailDomains": st.lists(TEXTS.map(f"{{}}.example={GUID}".format) | TEXTS, max_size=51),
    "secretExpires": MOMENTS,
    "secretExpires2": MOMENTS,
    "certificate": TEXTS,
}
NEW_APP = {
    "name": "odd",
    "provider": "outlook",
    "clientId": GUID,
    "authority": GUID,
    "clientSecret": "odd",
    "enabled": False,
}
HOOK = "http://127.0.0.1:9/"  # nobody listens there
# Whatever has text or a date that is stored, or is looked up in storage by it: a body that is taken, and odd changes.
BODIES: dict[str, tuple[dict[str, Any], st.SearchStrategy[dict[str, Any]]]] = {
    "POST /v1/authentication/form": (
        {"account": "odd", "email": "support@contoso.example", "delegated": True, "redirectUrl": BACK},
        one_or_two(**LINK, email=ADDRESSES),
    ),
    "POST /v1/authentication/form of several": (
        {"mailboxes": [{"account": "odd", "email": "support@contoso.example"}], "redirectUrl": BACK},
        one_or_two(**LINK, mailboxes=st.lists(MAILBOX, max_size=51)),
    ),
    "POST /v1/account": (
        {"account": "odd", "oauth2": {"authorize": True, "provider": APP_ID, "redirectUrl": BACK}},
        one_or_two(
            account=TEXTS,
            name=TEXTS,
            email=ADDRESSES,
            expectedTenant=TENANTS,
            oauth2=some(provider=TEXTS, auth=some(delegatedUser=TEXTS, delegatedAccount=TEXTS)),
        ),
    ),
    "PUT /v1/account/{account}": ({"name": "Support"}, one_or_two(name=TEXTS, email=TEXTS, syncFrom=MOMENTS)),
    "POST /v1/account/{account}/reauthorize": ({"redirectUrl": BACK}, one_or_two(redirectUrl=LINK["redirectUrl"])),
    "POST /v1/account/{account}/oauth-token": (
        {"claims": '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'},
        one_or_two(claims=TEXTS | CLAIMS, resource=TEXTS, expectedEmail=ADDRESSES),
    ),
    "POST /v1/token": (
        {"description": "odd", "scopes": ["register"]},
        one_or_two(
            description=TEXTS,
            accounts=ACCOUNTS,
            accountPrefix=TEXTS,
            expires=MOMENTS,
            ttl=st.integers(-1, 2**70),
            restrictions=some(addresses=st.lists(TEXTS, max_size=3)),
        ),
    ),
    "POST /v1/oauth2": (NEW_APP, one_or_two(**APP)),
    "PUT /v1/oauth2/{app}": ({"name": "odd"}, one_or_two(**APP)),
    "POST /v1/webhooks": (
        {"url": HOOK, "verify": False},
        one_or_two(url=TEXTS.map((HOOK + "{}").format), description=TEXTS, secret=TEXTS, accounts=ACCOUNTS),
    ),
    "POST /v1/settings": (
        {"webhooks": HOOK, "verify": False, "webhooksEnabled": False},
        one_or_two(
            webhooks=TEXTS.map((HOOK + "{}").format),
            serviceSecret=TEXTS,
            webhooksCustomHeaders=st.lists(some(key=TEXTS, value=TEXTS), max_size=21),
        ),
    ),
}


@pytest.mark.parametrize("route", BODIES)
def test_no_text_and_no_date_that_is_stored_makes_a_route_fail(
    api: httpx.Client, visitor: Visitor, person: Callable[..., str], route: str
) -> None:
    method, path = route.split(" ")[:2]
    taken, odd = BODIES[route]
    there = {
        "account": bind(api, visitor, person()) if "{account}" in path else "",
        "app": api.post("/v1/oauth2", json=NEW_APP).json()["id"] if "{app}" in path else "",
    }
    path = path.format(**there)
    plain = api.request(method, path, json=taken)
    assert plain.is_success, plain.text
    forget(api, route, plain.json())

    @FUZZED
    @given(changes=odd)
    def send(changes: dict[str, Any]) -> None:
        content = json.dumps({**taken, **changes})
        assume(len(content) <= LARGEST_REQUEST_BODY_BYTES)  # the host answers what is larger, and not as described
        answer = api.request(method, path, content=content, headers={"Content-Type": "application/json"})
        REQUESTS[f"{route} with odd sizes {answer.status_code}"] += 1
        assert answer.status_code < 500, (changes, answer.text)
        assert answer.content
        # What went in comes out again, by whichever of the routes reads it, and goes.
        if answer.is_success:
            reads = ["tokens", "oauth2", "webhooks", "settings", "accounts"]
            assert all(api.get(f"/v1/{read}").status_code == 200 for read in reads)
            made = answer.json()
            if "registration" in made or "redirect" in made:
                assert "Continue to Microsoft" in api.get(made.get("url") or made["redirect"]).text
            forget(api, route, made)

    send()


def forget(api: httpx.Client, route: str, made: dict[str, Any]) -> None:
    paths = {"POST /v1/token": "token", "POST /v1/oauth2": "oauth2", "POST /v1/webhooks": "webhooks"}
    if route in paths:
        assert 200 == api.delete(f"/v1/{paths[route]}/{made['id']}").status_code


@pytest.mark.parametrize("path", ["/accounts/new", "/oauth"])
def test_fields_of_any_size_and_number_are_answered_with_a_page(
    environment: Environment, api: httpx.Client, visitor: Visitor, path: str
) -> None:
    """With the field values of a link that works among them."""
    real = visitor.open(ask(api)["url"]).form_with("confirmation").fields
    cookie = next(iter(visitor.cookies.values()))[COOKIE]
    names = st.sampled_from(sorted({*ANSWER_FIELDS, *PAGE_FIELDS}) * 3) | TEXTS
    pairs = st.tuples(names, st.sampled_from(sorted(real.values())) | TEXTS)
    cookies = st.just(cookie) | st.sampled_from(["", "x", "A" * 42, "A" * 43, "A" * 44, "A" * 7000])

    with httpx.Client(base_url=environment.base_url, timeout=60, trust_env=False) as client:

        @FUZZED
        @given(fields=st.lists(pairs, max_size=12), times=st.sampled_from([1, 1, 2, 500]), sent=cookies)
        def send(fields: list[tuple[str, str]], times: int, sent: str) -> None:
            content = "&".join([urlencode(fields)] * times)[:LARGEST_REQUEST_BODY_BYTES]
            headers = {"Cookie": f"{COOKIE}={sent}", "Content-Type": FORM, "Sec-Fetch-Site": "same-origin"}
            answer = client.post(path, content=content, headers=headers)
            REQUESTS[f"{path} with odd sizes {answer.status_code}"] += 1
            assert answer.status_code < 500, (path, answer.text)
            assert answer.status_code == 303 or code_of(Page(answer)) or "Continue to Microsoft" in answer.text
            if len(content) > 64 * 1024 or content.count("&") > 63:
                assert 413 == answer.status_code

        send()


@pytest.mark.parametrize(
    "path", ["/accounts/new", "/oauth", "/v1/accounts", "/v1/tokens", "/v1/settings", "/health", "/docs"]
)
def test_queries_of_any_size_and_number_are_answered(environment: Environment, api: httpx.Client, path: str) -> None:
    names = st.sampled_from(
        [*ANSWER_FIELDS, "ticket", "admin_consent", "page", "pageSize", "state", "query", "cursor", "app", "email"]
    )
    pairs = st.lists(st.tuples(names | TEXTS, TEXTS), max_size=80)

    with httpx.Client(base_url=environment.base_url, headers=api.headers, timeout=60, trust_env=False) as client:

        @FUZZED
        @given(fields=pairs)
        def send(fields: list[tuple[str, str]]) -> None:
            query = urlencode(fields)[:50_000]
            answer = client.get(f"{path}?{query}")
            REQUESTS[f"{path} with odd queries {answer.status_code}"] += 1
            assert answer.status_code < 500, (query, answer.text)
            # The host's web server answers without a word where the request line is longer than it reads.
            too_long = len(f"GET {answer.request.url.raw_path.decode()} HTTP/1.1\r\n") > MAX_REQUEST_LINE_BYTES
            assert (414, b"") == (answer.status_code, answer.content) if too_long else answer.content

        send()
