"""The sample app of `make run`, beside a running Mailbind."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.sample_app.app import NAME, SampleApp, sample_app
from infra.local.sample_app.server import SampleServer
from infra.local.visitor import Page, Visitor
from tests.patience import wait_until

ALICE = "alice@contoso.example"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "sample-app.json"


@pytest.fixture
def app(reusing: Environment, token_file: Path) -> Iterator[SampleApp]:
    with SampleServer() as server, sample_app(reusing, server.origin, token_file) as server.app, server.serving():
        server.app.subscribe(server.webhook_url)
        yield server.app


@pytest.fixture
def browser(reusing: Environment) -> Iterator[Visitor]:
    with Visitor(reusing.tenant.ready["caFile"]) as visitor:
        yield visitor


def test_confirm_page_names_the_sample_app_and_no_address(app: SampleApp, browser: Visitor) -> None:
    page = browser.open(f"{app.origin}/connect")

    assert f"localhost:{urlsplit(app.origin).port} asks you to connect" in " ".join(page.text.split())
    assert NAME in page.text
    assert "127.0.0.1" not in page.text


def test_page_after_the_sign_in_names_the_mailbox_and_leads_on(app: SampleApp, browser: Visitor) -> None:
    back = browser.follow(f"{app.origin}/connect", ALICE).refresh
    assert back is not None

    page = browser.open(back)

    assert 200 == page.status
    assert "support@contoso.example is connected" in page.text
    assert ALICE in page.text
    assert 'curl -H "Authorization: Bearer $TOKEN" "$BASE/v1/account/shared/oauth-token"' in page.text
    assert {f"{app.base_url}/docs", "/connect?account=sales"} <= set(page.links)
    assert "docs/break-it.md" in page.text

    back = browser.follow(f"{app.origin}/connect?account=sales", ALICE).refresh
    assert back is not None
    assert "sales@contoso.example is connected" in browser.open(back).text


def test_cancelled_sign_in_offers_the_link_again(app: SampleApp, browser: Visitor) -> None:
    picker = browser.go_to_microsoft(f"{app.origin}/connect")
    refused = browser.submit(browser.submit(picker.forms[0], cancel="yes").forms[0])

    page = browser.open(refused.links[-1])

    assert "The mailbox was not connected" in page.text
    assert "access_denied" in page.text
    assert "/connect?account=shared" in page.links


def test_link_is_the_same_while_it_works_and_new_afterwards(app: SampleApp, browser: Visitor) -> None:
    first, second = (connect(app) for _ in range(2))
    browser.follow(first, ALICE)

    assert first == second
    assert first != connect(app)


def test_another_run_keeps_the_token_and_gets_the_events(reusing: Environment, token_file: Path) -> None:
    with SampleServer() as server, sample_app(reusing, server.origin, token_file) as server.app, server.serving():
        server.app.subscribe(server.webhook_url)
    token = json.loads(token_file.read_text())

    with SampleServer() as server, sample_app(reusing, server.origin, token_file) as server.app, server.serving():
        server.app.subscribe(server.webhook_url)

        webhooks = server.app.api.get("/v1/webhooks").json()["webhooks"]
        assert 1 == len([one for one in webhooks if one["description"] == NAME])
        wait_until(lambda: "ping" in server.app.receiver.names)
    assert token == json.loads(token_file.read_text())


def test_token_that_mailbind_does_not_know_is_replaced(reusing: Environment, token_file: Path) -> None:
    token_file.write_text(json.dumps({"token": "0" * 64}))

    with sample_app(reusing, "http://localhost:1", token_file) as app:
        assert 200 == app.api.get("/v1/webhooks").status_code


@pytest.mark.parametrize("path", ["/nothing", "/connect?account=board", "/account/settings"])
def test_unknown_address_is_not_found(app: SampleApp, path: str) -> None:
    assert 404 == httpx.get(app.origin + path).status_code


def test_redirect_with_markup_is_shown_as_text(app: SampleApp) -> None:
    page = httpx.get(f"{app.origin}/account/settings", params={"account": "<b>x</b>", "error": "<i>"})

    assert "The mailbox was not connected" in Page(page).text
    assert not [markup for markup in ("<b>x", "<i>") if markup in page.text]


def connect(app: SampleApp) -> str:
    answer = httpx.get(f"{app.origin}/connect")
    assert 302 == answer.status_code
    return answer.headers["location"]
