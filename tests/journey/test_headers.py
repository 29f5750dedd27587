"""Arbitrary text in headers: no 500, and nothing that the real host could not send."""

import re
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.environment import Environment
from infra.local.visitor import Page
from shared.domain.formats import RANDOM_TOKEN_PATTERN
from tests.fuzz.conftest import EXAMPLES
from tests.journey.conftest import ask

# Control characters and letters beyond ASCII are what the real host stumbles over; the rest is as a caller may write.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text("aä\r\n\t\x7f漢 %\"';,\\", max_size=60)
# httpx sends no line breaks in headers, nor would the host take them.
VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60).map(lambda text: text.strip().encode())
SENT = re.compile(rb"[\x20-\x7e]*")


def held(answer: httpx.Response) -> httpx.Response:
    """Fail if the real host could not send the response."""
    assert answer.status_code < 500
    assert [] == [pair for pair in answer.headers.raw if not SENT.fullmatch(pair[1])]
    return answer


@settings(max_examples=EXAMPLES)
@given(VALUE)
def test_request_headers_are_not_returned(environment: Environment, value: bytes) -> None:
    names = (b"X-Correlation-Id", b"x-ms-client-request-id", b"traceparent", b"If-None-Match", b"Cookie", b"Accept")
    with httpx.Client(base_url=environment.base_url) as client:
        for path in ("/v1/accounts", "/accounts/new", "/docs", "/nowhere"):
            held(
                client.get(path, headers=[*((name, value) for name in names), (b"Authorization", b"Bearer x" + value)])
            )


@settings(max_examples=EXAMPLES)
@given(TEXT)
def test_path_and_query_are_not_returned_in_headers(environment: Environment, text: str) -> None:
    path = quote(text.replace("\0", ""), safe="")
    with httpx.Client(base_url=environment.base_url) as client:
        for method in ("GET", "PATCH", "OPTIONS"):
            held(client.request(method, f"/v1/account/x{path}"))
            held(client.request(method, f"/{path or 'x'}x", headers={"Accept": "text/html"}))
        for name in ("ticket", "state", "error", "code"):
            held(client.get("/accounts/new", params={name: text}))
            held(client.get("/oauth", params={"state": f"{'f' * 64}.{'A' * 43}", name: text}))


@pytest.mark.parametrize("field", ["redirectUrl", "account", "name", "expectedEmail"])
def test_form_values_reach_the_browser_in_ascii(environment: Environment, api: httpx.Client, field: str) -> None:
    """From the form to the page, its cookie, and Entra's address: `login_hint` is the expected person."""

    @settings(max_examples=EXAMPLES)
    @given(TEXT)
    def follow(text: str) -> None:
        said = {"redirectUrl": f"https://myapp.example/{text}", "expectedEmail": f"{text}@contoso.example"}
        body = {
            "account": "x",
            "email": "support@contoso.example",
            "delegated": True,
            "redirectUrl": "https://a.example",
        }
        started = held(api.post("/v1/authentication/form", json={**body, field: said.get(field, text)}))
        if started.status_code != 200:
            return
        with httpx.Client(base_url=environment.base_url) as browser:
            opened = held(browser.get(started.json()["url"]))
            form = Page(opened).form_with("confirmation")
            cookie = opened.headers["Set-Cookie"].partition(";")[0]
            answer = held(browser.post("/accounts/new", data=form.fields, headers={"Cookie": cookie}))
            assert 303 == answer.status_code
            assert re.fullmatch(r"[!-~]+", answer.headers["Location"])

    follow()


def test_cookie_needs_no_encoding(api: httpx.Client) -> None:
    """The host writes `1=2%20` as `1%3D2%2520`; it does not encode letters, digits and `-._~`."""
    opened = httpx.get(ask(api)["url"])

    name, _, value = opened.headers["Set-Cookie"].partition(";")[0].partition("=")
    assert "__Host-mailbind" == name
    assert RANDOM_TOKEN_PATTERN.fullmatch(value)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", value)
