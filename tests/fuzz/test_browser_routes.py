"""What browsers send, bent and made up: no 5xx, no mailbox bound, no code redeemed, nothing shown as it was sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.environment import Environment
from infra.local.visitor import Form, Page, Visitor
from tests.fuzz.conftest import FUZZED, REQUESTS
from tests.journey.conftest import Tenant, ask

type NewPerson = Callable[..., str]

COOKIE = "__Host-mailbind"
FORM = "application/x-www-form-urlencoded"
ANSWER = ("state", "code", "error", "error_description", "iss", "session_state", "client_info", "admin_consent")
ROUTES = {
    ("GET", "/accounts/new"): ("ticket",),
    ("POST", "/accounts/new"): ("registration", "confirmation", "keep", "finish", "look"),
    ("GET", "/oauth"): ANSWER,
    ("POST", "/oauth"): ANSWER,
}
NAMES = sorted({name for names in ROUTES.values() for name in names})
MARKUP = st.sampled_from(["<script>alert(1)</script>", '"><b>x</b>', "'--><i>", "{{ 7 * 7 }}<", "&lt;<", "</style><p>"])
NOISE = st.text(max_size=40) | MARKUP | st.text("Aa0-_.", max_size=200)
# As `v1.{data key}.{base64url}`, the shape of what is sealed for a browser.
SEALED = st.builds("v1.{}.{}".format, NOISE | st.just("0" * 20), st.text("AQgw-_=", max_size=80))


@dataclass(frozen=True)
class Real:
    """What a person's browser holds on the way: its cookie, and the fields of every form."""

    cookie: str
    fields: Mapping[str, str]


def on_the_way(api: httpx.Client, browser: Visitor, base_url: str, login: str) -> Real:
    """Signed in at Microsoft; the answer not sent yet."""
    asked = ask(api)
    page = browser.open(asked["url"])
    answer = browser.submit(browser.submit(page.form_with("confirmation")).forms[0], login=login).forms[0]
    ticket = parse_qs(urlsplit(asked["url"]).query)["ticket"][0]
    fields = {"ticket": ticket, **page.form_with("confirmation").fields, **answer.fields}
    return Real(browser.cookies[urlsplit(base_url).netloc][COOKIE], fields)


def used(real: Real, browser: Visitor, base_url: str) -> Real:
    """The same after the answer was sent; what the page offers then is among the fields."""
    page = browser.submit(Form(f"{base_url}/oauth", {name: real.fields[name] for name in ("state", "code")}))
    offered = {name: value for form in page.forms for name, value in form.fields.items()}
    return Real(real.cookie, {**real.fields, **offered})


@st.composite
def bent(draw: st.DrawFn, value: str) -> str:
    """A real value, not quite."""
    at = draw(st.integers(0, max(len(value) - 1, 0)))
    more = draw(st.text(min_size=1, max_size=3) | MARKUP)
    return draw(
        st.sampled_from(
            [
                value[:at],
                value[at + 1 :],
                value[:at] + more + value[at:],
                value[:at] + more + value[at + 1 :],
                value.swapcase(),
                value + more,
                value + value,
                f" {value}",
                f"{value}\x00",
                ".".join(reversed(value.split("."))),
                value.replace("-", "+").replace("_", "/"),
                value + "=",
            ]
        )
    )


def anything(reals: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(reals) | st.sampled_from(reals).flatmap(bent) | NOISE | SEALED


@st.composite
def request(draw: st.DrawFn, reals: list[Real]) -> tuple[tuple[str, str], list[tuple[str, str]], str | None]:
    """A route, its fields and a cookie: often what belongs there, of one person, and often something else."""
    route, real = draw(st.sampled_from(sorted(ROUTES))), draw(st.sampled_from(reals))
    every = [value for one in reals for value in one.fields.values()]
    fields = []
    for name in ROUTES[route]:
        for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
            fits = name in real.fields and draw(st.booleans())
            fields.append((name, real.fields[name] if fits else draw(anything(every))))
    strange = st.tuples(st.sampled_from(NAMES) | NOISE, NOISE)
    cookie = draw(st.just(real.cookie) | st.none() | anything([one.cookie for one in reals]).filter(sent_as_text))
    return route, fields + draw(st.lists(strange, max_size=1)), cookie


def sent_as_text(value: str) -> bool:
    """Whether a header can hold it: a cookie's value is bytes, and a space or semicolon would end it."""
    return value.isprintable() and value.isascii() and not set(value) & set(' ;"')


@pytest.fixture
def redeemed(tenant: Tenant) -> Callable[[], int]:
    return lambda: len(tenant.events("code redeemed"))


def send(
    client: httpx.Client, route: tuple[str, str], cookie: str | None, fields: list[tuple[str, str]] | bytes, kind: str
) -> Page:
    method, path = route
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie is not None else {}
    content = fields if isinstance(fields, bytes) else urlencode(fields, errors="replace").encode()
    if method == "GET":
        answer = client.get(f"{path}?{content.decode('latin-1')}", headers=headers)
    else:
        answer = client.post(path, content=content, headers={**headers, "Content-Type": kind})
    REQUESTS[f"{method} {path} by a browser {answer.status_code}"] += 1
    return Page(answer)


def check(page: Page, sent: list[str]) -> None:
    assert page.status < 500
    assert "no-store" == page.headers["cache-control"]
    assert page.refresh is None
    assert [] == [value for value in sent if set(value) & set("<>\"'") and len(value) > 3 and value in page.html]


def test_made_up_and_mixed_up_answers_bind_nothing(
    environment: Environment,
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    person: NewPerson,
    redeemed: Callable[[], int],
) -> None:
    """Values of a way that ended without access, of one that is done, and of another browser, in any fields."""
    base = environment.base_url
    stranger = used(on_the_way(api, visitor, base, person(access=False)), visitor, base)
    assert "keep" in stranger.fields
    done = used(on_the_way(api, visitor, base, person()), visitor, base)
    waiting = on_the_way(api, other_visitor, base, person())
    # The cookie of the way that could still end well stays out, or else it might.
    reals = [stranger, done, replace(waiting, cookie=done.cookie)]
    before, codes = everything(api), redeemed()

    with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:

        @FUZZED
        @given(asked=request(reals))
        def answer(asked: tuple[tuple[str, str], list[tuple[str, str]], str | None]) -> None:
            route, fields, cookie = asked
            page = send(client, route, cookie, fields, FORM)
            if page.refresh is None:
                check(page, [value for _, value in fields])
            else:  # the browser of the way that is done came back again
                assert (done.cookie, ("state", done.fields["state"])) == (cookie, fields[0])

        answer()

    assert before == everything(api)
    assert codes == redeemed()


@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=x", "multipart/form-data", "text/plain", ""])
def test_bodies_that_are_no_forms_are_refused(environment: Environment, kind: str) -> None:
    bodies = st.binary(max_size=2000) | st.builds(
        lambda name, value: f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--x--'.encode(
            errors="replace"
        ),
        st.sampled_from(NAMES) | NOISE,
        NOISE,
    )
    with httpx.Client(base_url=environment.base_url, timeout=60, trust_env=False) as client:

        @FUZZED
        @given(path=st.sampled_from(["/accounts/new", "/oauth"]), body=bodies)
        def answer(path: str, body: bytes) -> None:
            page = send(client, ("POST", path), "A" * 43, body, kind)
            check(page, [])
            assert page.status == (400 if kind == FORM or not body else 415)

        answer()


@pytest.mark.parametrize("name", ["state", "code", "cookie"])
def test_tampered_sign_in_response_binds_nothing(
    environment: Environment,
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    person: NewPerson,
    redeemed: Callable[[], int],
    name: str,
) -> None:
    """All the rest is right, and fresh; a state works once, so each example begins a sign-in of its own."""
    base, login = environment.base_url, person()
    other = on_the_way(api, other_visitor, base, person())
    others = {**other.fields, "cookie": other.cookie}[name]
    before, codes = everything(api), redeemed()

    with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:

        @FUZZED
        @given(data=st.data())
        def answer(data: st.DataObject) -> None:
            real = on_the_way(api, visitor, base, login)
            parts = {**real.fields, "cookie": real.cookie}
            wrong = data.draw(bent(parts[name]) | st.just(others) | NOISE, name)
            if wrong == parts[name] or (name == "cookie" and not sent_as_text(wrong)):
                return
            parts[name] = wrong
            fields = [(field, parts[field]) for field in ("state", "code")]
            page = send(client, ("POST", "/oauth"), parts["cookie"], fields, FORM)
            check(page, [wrong])
            assert page.status >= 400

        answer()

    assert before == everything(api)
    assert codes == redeemed()


def everything(api: httpx.Client) -> list[dict[str, Any]]:
    """Every account there is."""
    return list(api.get("/v1/accounts", params={"pageSize": 1000}).json()["accounts"])
