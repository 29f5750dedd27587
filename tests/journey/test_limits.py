"""Rate limits for callers and people, over HTTP with small limits."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Page, Visitor
from tests.environments import StartApp
from tests.journey.conftest import ask, bind, code_of
from tests.journey.test_callback import to_the_callback

# One every two seconds. A proxy of ours tells where a request comes from, so that a test can come from anywhere.
SMALL = {
    "MAILBIND_FORMS_PER_MINUTE": "30",
    "MAILBIND_PAGES_PER_MINUTE": "30",
    "MAILBIND_BAD_TOKENS_PER_MINUTE": "30",
    "MAILBIND_PROXIES": "1",
    "MAILBIND_OAUTH_CREDENTIAL_REUSE": "true",
}
MORE = 60


@pytest.fixture(scope="module")
def limited(start_app: StartApp) -> Iterator[Environment]:
    with start_app(**SMALL) as running:
        yield running


def client(limited: Environment, address: str, token: str | None = None) -> httpx.Client:
    headers = {"X-Forwarded-For": address, "Authorization": f"Bearer {token or limited.secrets.admin_token}"}
    return httpx.Client(base_url=limited.base_url, headers=headers, timeout=30)


def refused_first(answers: Iterator[httpx.Response]) -> httpx.Response:
    """The first answer over the limit."""
    for answer in answers:
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return answer
    pytest.fail("nothing was limited")


def test_caller_over_the_link_limit_gets_retry_after(limited: Environment) -> None:
    with client(limited, "203.0.113.1") as api, client(limited, "203.0.113.2") as same_caller:
        form = {"redirectUrl": "https://myapp.example/"}

        answer = refused_first(api.post("/v1/authentication/form", json=form) for _ in range(MORE))

        assert {
            "statusCode": 429,
            "error": "Too Many Requests",
            "message": "Rate limit exceeded",
            "code": "TooManyRequests",
        } == answer.json()
        assert 1 <= int(answer.headers["retry-after"]) <= 2
        assert "no-store" == answer.headers["cache-control"]
        assert 429 == same_caller.post("/v1/authentication/form", json=form).status_code
        assert 200 == api.get("/v1/accounts").status_code
        time.sleep(int(answer.headers["retry-after"]))
        assert 200 == api.post("/v1/authentication/form", json=form).status_code


# Each of these makes a link, or calls a server that somebody else named.
COUNTED_ROUTES = (
    "/v1/authentication/form",
    "/v1/account",
    "/v1/account/unknown/reauthorize",
    "/v1/webhooks",
    "/v1/webhooks/unknown/ping",
)


@pytest.mark.parametrize(("number", "path"), [*enumerate(COUNTED_ROUTES)])
def test_links_and_webhooks_count_against_the_caller(limited: Environment, number: int, path: str) -> None:
    with client(limited, f"198.18.1.{number}") as admin:
        token = admin.post("/v1/token", json={"description": path, "scopes": ["admin"]}).json()["token"]
    with client(limited, f"198.18.2.{number}", token) as api:
        refused_first(api.post(path, json={}) for _ in range(MORE))

        assert 200 == api.get("/v1/accounts").status_code


def test_form_counts_as_the_mailboxes_that_it_names(limited: Environment) -> None:
    with client(limited, "203.0.113.3") as admin:
        token = admin.post("/v1/token", json={"description": "many", "scopes": ["register"]}).json()["token"]
    several = [{"account": f"many-{number}", "email": f"many-{number}@contoso.example"} for number in range(50)]
    with client(limited, "203.0.113.4", token) as api:
        form = {"redirectUrl": "https://myapp.example/"}

        full = api.post("/v1/authentication/form", json={**form, "mailboxes": several})

        assert 200 == full.status_code, full.text
        refused_first(api.post("/v1/authentication/form", json=form) for _ in range(5))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"mailboxes": 5}'])
def test_form_that_cannot_be_read_counts_too(limited: Environment, body: bytes) -> None:
    with client(limited, "203.0.113.5") as admin:
        token = admin.post("/v1/token", json={"description": "bad", "scopes": ["register"]}).json()["token"]
    with client(limited, f"203.0.113.{len(body) + 10}", token) as api:
        api.headers["Content-Type"] = "application/json"

        refused_first(api.post("/v1/authentication/form", content=body) for _ in range(MORE))


def test_people_over_the_limit_get_a_page_and_others_are_served(limited: Environment) -> None:
    link = f"{limited.base_url}/accounts/new?ticket=guess"
    with client(limited, "198.51.100.1") as flood, client(limited, "198.51.100.2") as other:
        answer = refused_first(flood.get(link) for _ in range(MORE))

        page = Page(answer)
        assert ("TooManyRequests", True) == (code_of(page), "Wait a minute" in page.text)
        assert int(page.headers["retry-after"]) >= 1
        assert "no-referrer" == page.headers["referrer-policy"]
        assert 429 == flood.post("/accounts/new", data={"registration": "x"}).status_code
        assert 404 == other.get(link).status_code
        time.sleep(int(answer.headers["retry-after"]))
        assert 404 == flood.get(link).status_code


def test_callback_over_the_limit_loses_nothing(limited: Environment) -> None:
    with (
        client(limited, "192.0.2.1") as api,
        client(limited, "192.0.2.2") as flood,
        Visitor(limited.tenant.ready["caFile"]) as visitor,
    ):
        time.sleep(2)
        asked = ask(api)
        form = to_the_callback(visitor, asked["url"], "alice@contoso.example")
        (cookie,) = visitor.cookies[urlsplit(form.action).netloc].items()
        answer = refused_first(flood.post("/oauth", data={"state": "guess"}) for _ in range(MORE))

        held = flood.post("/oauth", data=form.fields, headers={"Cookie": "=".join(cookie)})
        time.sleep(int(answer.headers["retry-after"]))
        page = Page(flood.post("/oauth", data=form.fields, headers={"Cookie": "=".join(cookie)}))

        assert 429 == held.status_code
        assert "new" == page.back["state"]
        api.delete(f"/v1/account/{asked['account']}")


def test_bad_tokens_do_not_limit_good_ones_from_the_same_address(limited: Environment) -> None:
    with (
        client(limited, "100.64.0.1", "0" * 64) as guessing,
        client(limited, "100.64.0.1") as good,
        Visitor(limited.tenant.ready["caFile"]) as visitor,
    ):
        time.sleep(2)
        account = bind(good, visitor, "bob@contoso.example")
        path = f"/v1/account/{account}/oauth-token"

        answer = refused_first(guessing.get(path) for _ in range(MORE))

        assert "TooManyRequests" == answer.json()["code"]
        assert "www-authenticate" not in answer.headers
        assert [200] * MORE == [good.get(path).status_code for _ in range(MORE)]
        # Exceed the limit again: on a busy machine, a guess or two may have been allowed meanwhile.
        assert refused_first(guessing.get(path) for _ in range(MORE))
