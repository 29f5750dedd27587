"""The page at the address of the app itself: anybody sees it, and it shows nothing that is not public."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Page, Visitor
from tests.environments import StartApp
from tests.journey.conftest import ask, bind

type NewPerson = Callable[..., str]

SAMPLE_APP = "http://localhost:3999"


@pytest.fixture(scope="module")
def local(start_app: StartApp) -> Iterator[Environment]:
    """An app of a local run, which has a sample app."""
    with start_app(MAILBIND_SAMPLE_APP=SAMPLE_APP) as running:
        yield running


def start_page(environment: Environment, **headers: str) -> Page:
    answer = httpx.get(environment.base_url + "/", headers=headers)
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    return Page(answer)


def test_start_page_says_what_runs_and_leads_to_the_reference(environment: Environment) -> None:
    page = start_page(environment)

    assert "Mailbind runs here" in page.text
    assert "healthy" in page.text
    assert ["/docs", "/openapi.json", "/health"] == page.links
    for link in page.links:
        assert 200 == httpx.get(environment.base_url + link).status_code
    assert "no-store" == page.headers["cache-control"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_start_page_shows_no_mailbox_person_or_sign_in_link(
    environment: Environment, api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    bind(api, visitor, person())
    asked = ask(api)

    for headers in ({}, {"Authorization": f"Bearer {environment.secrets.admin_token}"}):
        page = start_page(environment, **headers)

        assert [] == page.forms
        assert "@" not in page.html.partition("</style>")[2]
        assert not [word for word in ("ticket", "localhost", "/connect", asked["registration"]) if word in page.html]


def test_start_page_of_a_local_run_leads_to_the_sign_in(local: Environment) -> None:
    assert f"{SAMPLE_APP}/connect" in start_page(local).links


def test_head_answers_as_get_without_a_body(environment: Environment) -> None:
    got, head = (httpx.request(method, environment.base_url + "/") for method in ("GET", "HEAD"))

    assert (200, b"") == (head.status_code, head.content)
    assert got.headers["content-type"] == head.headers["content-type"]


def test_start_page_is_degraded_while_microsoft_refuses_the_app(start_app: StartApp) -> None:
    with start_app(MAILBIND_OAUTH_CLIENT_SECRET="not-the-secret") as refused:
        headers = {"Authorization": f"Bearer {refused.secrets.admin_token}"}
        httpx.post(f"{refused.base_url}/v1/oauth2/{APP_ID}/verify", json={}, headers=headers, timeout=30)

        page = start_page(refused)

    assert "degraded" in page.text
    assert "7000215" not in page.text
