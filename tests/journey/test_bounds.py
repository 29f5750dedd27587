"""Every route checks the size of a request first, and answers its own failures."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Page, Visitor
from shared.domain.formats import table_key
from shared.http.bounds import API_BOUNDS, Bounds
from shared.ports import App
from tests.app_routes import operations
from tests.conftest import storage_of
from tests.journey.conftest import ask, code_of
from tests.local.calling_app import token_by_msal
from tests.paths import OPERATIONS
from tests.patience import wait_until

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PAGES = ("/accounts/new", "/oauth")
HUGE = 100_000  # more than the app takes, less than what the host refuses without asking it
BROKEN = "https://[half-an-address"


@dataclass(frozen=True)
class Oversized:
    """A request that exceeds a limit; `answer` is the status and the code."""

    answer: tuple[int, str]
    content: bytes = b""
    query: str = ""
    headers: Mapping[str, str] | None = None


OVERSIZED = {
    "body": Oversized((413, "BodyTooLarge"), content=b"a" * HUGE),
    "query": Oversized((414, "UriTooLong"), query="ticket=" + "a" * 7000),
    "parameters": Oversized((414, "UriTooLong"), query="&".join(f"a{number}=1" for number in range(100))),
    "headers": Oversized((431, "HeadersTooLarge"), headers={"X-Large": "a" * 30_000}),
    "cookies": Oversized((431, "HeadersTooLarge"), headers={"Cookie": "__Host-mailbind=" + "a" * 9000}),
}
# Every route of the app, as `METHOD /path` with the names of its parameters.
ROUTES = [one.replace(" ", " /") for one in operations()]


def bounds_of(route: str) -> Bounds:
    """What is declared for a route; pages have the bounds of most routes."""
    return next((each.bounds for each in OPERATIONS if f"{each.method} {each.path}" == route), API_BOUNDS)


def send(api: httpx.Client, route: str, sent: Oversized, segment: str = "x") -> httpx.Response:
    method, path = re.sub(r"{\w+}", segment, route).split(" ")
    headers = {"Content-Type": FORM if path in PAGES else JSON, **(sent.headers or {})}
    return api.request(method, f"{path}?{sent.query}", content=sent.content, headers=headers)


def told(answer: httpx.Response, route: str) -> tuple[int, str]:
    """The status and the code, from a page or from the error shape."""
    if route.split(" ")[1] in PAGES:
        return answer.status_code, code_of(Page(answer))
    body = answer.json()
    assert {"statusCode", "error", "message", "code"} == set(body)
    return answer.status_code, body["code"]


@pytest.mark.parametrize("over", OVERSIZED)
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_refuses_oversized_requests(api: httpx.Client, route: str, over: str) -> None:
    sent = OVERSIZED[over]
    if sent.content:
        sent = replace(sent, content=b"a" * max(HUGE, bounds_of(route).max_body_bytes + 1))

    answer = send(api, route, sent)

    assert sent.answer == told(answer, route)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Correlation-Id"])
    assert "a" * 100 not in answer.text


@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route])
def test_path_segment_length_is_limited(api: httpx.Client, route: str) -> None:
    segment = "b" * (bounds_of(route).max_parameter_characters + 1)

    assert (414, "UriTooLong") == told(send(api, route, Oversized((414, "UriTooLong")), segment=segment), route)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("route", [route for route in ROUTES if not route.startswith("GET ")])
def test_body_of_another_type_is_not_read(api: httpx.Client, route: str, kind: str) -> None:
    for said in (kind, *([JSON] if route.split(" ")[1] in PAGES else [])):
        sent = Oversized((415, "UnsupportedMediaType"), content=b"{}", headers={"Content-Type": said})

        assert sent.answer == told(send(api, route, sent), route)


def test_form_with_many_fields_is_cheap(environment: Environment, api: httpx.Client) -> None:
    """Measured by the CPU time of the host's process, which reads both; parsing so many fields takes 20 ms and more."""
    fields, letters = b"a1=&" * (HUGE // 4), b"a" * HUGE

    def cost(body: bytes) -> float:
        before = cpu(environment)
        for _ in range(100):
            assert 413 == api.post("/oauth", content=body, headers={"Content-Type": FORM}).status_code
        return cpu(environment) - before

    cost(letters)
    assert cost(fields) < 3 * cost(letters)


def cpu(environment: Environment) -> float:
    """Seconds of CPU time that the host has used (proc_pid_stat(5), fields 14 and 15, in hundredths)."""
    words = Path(f"/proc/{environment.host.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


async def test_internal_error_is_answered_with_a_page(
    environment: Environment, api: httpx.Client, visitor: Visitor, instance: App
) -> None:
    asked = ask(api)
    await spoil(instance, asked["registration"])
    before = len(environment.host.log.read_text())

    page = visitor.open(asked["url"])

    assert (500, "InternalError") == (page.status, code_of(page))
    assert page.headers["X-Correlation-Id"] in page.text
    assert "stay connected" not in page.text
    (line,) = faults(environment, before)
    assert page.headers["X-Correlation-Id"] in line
    assert "half-an-address" not in line
    assert "browser/redirect.py" in line


def faults(environment: Environment, begun: int) -> list[str]:
    """The log records of our own faults."""
    return [line for line in environment.host.log.read_text()[begun:].splitlines() if "request failed" in line]


async def spoil(instance: App, registration: str) -> None:
    rows = storage_of(instance).get_table_client("Registrations")
    entity = await rows.get_entity(table_key(registration), "")
    await rows.update_entity({**entity, "redirect_url": BROKEN})


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"account": ' * 5000,
        b'{"account": "\\ud800"}',
        b'{"account": "\xed\xa0\x80"}',
        b'{"account": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"1" + b"0" * 5000,
        b'{"account": 1e400}',
        b"\x1f\x8b\x08\x00",
        b"",
    ],
)
@pytest.mark.parametrize("route", [route for route in ROUTES if route.startswith(("POST /v1", "PUT /v1"))])
def test_no_body_makes_a_route_fail(api: httpx.Client, route: str, body: bytes) -> None:
    answer = send(api, route, Oversized((0, ""), content=body))

    assert answer.status_code < 500, answer.text
    assert answer.content


@pytest.mark.parametrize("field", ["email", "expectedEmail"])
@pytest.mark.parametrize("address", ["me@x.example/mailFolders", "a\\b@x.example", "a?b@x.example", "a%2fb@x.example"])
def test_address_has_no_path_characters(api: httpx.Client, field: str, address: str) -> None:
    form = {"redirectUrl": "https://myapp.example/", "delegated": True, "email": "a@x.example", field: address}

    assert {field} == refused(api, form)


@pytest.mark.parametrize(
    "address", ["a#EXT#@x.example", "a\x7fb@x.example", "a\u2028b@x.example", "a\u200bb@x.example"]
)
def test_address_has_no_invisible_characters(api: httpx.Client, address: str) -> None:
    mailboxes = [{"account": "one", "email": address}, {"account": "two", "email": "b@x.example"}]

    assert "mailboxes[0].email" in refused(api, {"redirectUrl": "https://myapp.example/", "mailboxes": mailboxes})


@pytest.mark.parametrize("domain", [f"{'a' * 64}.example", "\u4e2d" * 64, "x..example", ".example", "x.example."])
def test_address_has_a_domain_of_labels(api: httpx.Client, domain: str) -> None:
    mailboxes = [{"account": "one", "email": f"a@{domain}"}]

    assert "mailboxes[0].email" in refused(api, {"redirectUrl": "https://myapp.example/", "mailboxes": mailboxes})


@pytest.mark.parametrize(
    "name", ["account", "state", "error", "error_description", "%61ccount", "Account", "state[]", "y;state"]
)
def test_redirect_url_cannot_contain_the_result(api: httpx.Client, name: str) -> None:
    answer = api.post("/v1/authentication/form", json={"redirectUrl": f"https://myapp.example/done?x=1&{name}=ceo"})

    assert 400 == answer.status_code
    plain = {"%61ccount": "account", "Account": "account", "state[]": "state", "y;state": "state"}.get(name, name)
    assert [
        ("redirectUrl", f'"redirectUrl" must not have the query parameter "{plain}", because Mailbind adds it')
    ] == [(fault["key"], fault["message"]) for fault in answer.json()["fields"]]


def test_redirect_url_cannot_contain_several_results(api: httpx.Client) -> None:
    mailboxes = [{"account": "one", "email": "a@x.example"}]
    form = {"redirectUrl": "https://myapp.example/?registration=mine", "mailboxes": mailboxes}

    assert "redirectUrl" in refused(api, form)
    assert 200 == api.post("/v1/authentication/form", json={"redirectUrl": form["redirectUrl"]}).status_code


def test_account_id_length_is_limited_in_bytes(api: httpx.Client) -> None:
    form = {"redirectUrl": "https://myapp.example/", "account": "\U0001f600" * 129}

    assert {"account"} == refused(api, form)
    assert 200 == api.post("/v1/authentication/form", json={**form, "account": "\U0001f600" * 128}).status_code


def refused(api: httpx.Client, form: Mapping[str, Any]) -> set[str]:
    """The fields for which a form is refused."""
    answer = api.post("/v1/authentication/form", json=form)
    assert 400 == answer.status_code, answer.text
    return {fault["key"] for fault in answer.json()["fields"]}


def test_two_tabs_without_a_cookie_both_continue(api: httpx.Client, visitor: Visitor) -> None:
    """Each answer sets a cookie, and the browser keeps the later one. Only a browser says which page sent the form."""
    asked = ask(api)
    first = visitor.open(asked["url"]).form_with("confirmation")
    visitor.cookies.clear()
    second = visitor.open(asked["url"]).form_with("confirmation")
    cookie = next(iter(visitor.cookies.values()))["__Host-mailbind"]

    def press(fields: Mapping[str, str], **said: str) -> int:
        headers = {
            "Cookie": f"__Host-mailbind={cookie}",
            **{name.replace("_", "-"): word for name, word in said.items()},
        }
        return httpx.post(first.action, data=dict(fields), headers=headers).status_code

    assert 303 == press(second.fields)
    assert 303 == press(first.fields, Sec_Fetch_Site="same-origin")
    assert [400, 400] == [press(first.fields), press(first.fields, Sec_Fetch_Site="cross-site")]
    other = ask(api)["registration"]
    without = {name: value for name, value in first.fields.items() if name != "opened"}
    assert 400 == press(without, Sec_Fetch_Site="same-origin")
    assert 400 == press({**first.fields, "registration": other}, Sec_Fetch_Site="same-origin")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/swagger.json"])
def test_description_is_cached_by_etag(environment: Environment, path: str) -> None:
    with httpx.Client(base_url=environment.base_url) as client:
        one, two = client.get(path), client.get(path)
        known = client.get(path, headers={"If-None-Match": f'"other", W/{one.headers["etag"]}'})
        other = client.get(path, headers={"If-None-Match": '"other"'})

    assert (one.content, one.headers["etag"]) == (two.content, two.headers["etag"])
    assert (304, b"", "public, max-age=300") == (known.status_code, known.content, known.headers["cache-control"])
    assert (200, one.content) == (other.status_code, other.content)


def test_health_shows_only_whether_all_is_well(environment: Environment, api: httpx.Client) -> None:
    entra = {"Authorization": f"Bearer {token_by_msal(environment.tenant.ready)}"}
    answers = [httpx.get(f"{environment.base_url}/health", headers=headers) for headers in ({}, entra)]

    for answer in [*answers, api.get("/health")]:
        assert {"success", "storage"} == set(json.loads(answer.content))


@pytest.fixture
def records(environment: Environment) -> Callable[[], list[dict[str, Any]]]:
    """The app's records since the test started."""
    begun = len(environment.host.log.read_text())
    return lambda: [
        json.loads(line)
        for line in re.findall(r"shared\.audit audit (\{.*\})", environment.host.log.read_text()[begun:])
    ]


def test_records_of_a_flood_are_sampled_and_their_ids_are_cut(
    api: httpx.Client, records: Callable[[], list[dict[str, Any]]]
) -> None:
    def flood() -> list[dict[str, Any]]:
        for _ in range(20):
            assert 414 == api.delete(f"/v1/account/{'c' * 2000}").status_code
        return records()

    wait_until(flood)  # what an earlier test was refused for counts too

    (record,) = records()
    assert ("account.remove", "refused", "UriTooLong") == (record["action"], record["outcome"], record["code"])
    assert "c" * 256 == record["account"]


def test_token_in_a_path_is_neither_logged_nor_repeated(environment: Environment, api: httpx.Client) -> None:
    token = api.post("/v1/token", json={"description": "orders", "scopes": ["oauth-token"]}).json()["token"]
    begun = len(environment.host.log.read_text())

    answers = [
        httpx.delete(f"{environment.base_url}/v1/token/{token}"),
        httpx.delete(f"{environment.base_url}/v1/token/{token}", headers={"Authorization": f"Bearer {token}"}),
        api.delete(f"/v1/token/{token}x"),
        api.delete(f"/v1/token/{token}"),
    ]

    assert [401, 403, 200, 200] == [answer.status_code for answer in answers]
    assert [] == [answer.text for answer in answers if token in answer.text]
    assert token not in environment.host.log.read_text()[begun:]
