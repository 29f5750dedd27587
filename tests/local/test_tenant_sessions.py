"""Sessions of a browser: single sign-on, its limits and its end."""

import pytest

from tests.local.tenant_visitor import (
    ALICE,
    BOB,
    MALLORY,
    REDIRECT,
    Browser,
    LocalTenant,
    outcome,
)


def test_session_skips_the_picker(browser: Browser) -> None:
    browser.sign_in(ALICE)

    assert "code" in outcome(browser.authorize(prompt=None))
    assert "code" in outcome(browser.authorize(prompt=None, login_hint=ALICE))
    assert "code" in outcome(browser.authorize(prompt="none", login_hint=ALICE))


@pytest.mark.parametrize("query", [{"prompt": "select_account"}, {"prompt": "login"}, {"login_hint": BOB}])
def test_picker_is_shown_if_no_session_fits(browser: Browser, query: dict[str, str]) -> None:
    browser.sign_in(ALICE)

    assert "Pick an account" in browser.authorize(**{"prompt": None, **query}).text


def test_silent_sign_in_needs_one_session_and_consent(browser: Browser) -> None:
    browser.sign_in(MALLORY)
    assert "consent_required" == outcome(browser.authorize(prompt="none"))["error"]

    browser.sign_in(ALICE)
    assert "interaction_required" == outcome(browser.authorize(prompt="none"))["error"]
    assert "Pick an account" in browser.authorize(prompt=None).text


def test_signing_out_keeps_refresh_tokens(tenant: LocalTenant, browser: Browser) -> None:
    response = tenant.redeem(browser.code_of(ALICE)).json()

    page = browser.client.get(f"{tenant.authority}/oauth2/v2.0/logout")

    assert "You signed out" in page.text
    assert "login_required" == outcome(browser.authorize(prompt="none"))["error"]
    assert 200 == tenant.refresh(response["refresh_token"]).status_code


def test_sign_out_redirects_to_registered_addresses_only(tenant: LocalTenant, browser: Browser) -> None:
    address = f"{tenant.authority}/oauth2/v2.0/logout"

    back = browser.client.get(address, params={"post_logout_redirect_uri": REDIRECT, "state": "x"})
    stays = browser.client.get(address, params={"post_logout_redirect_uri": "https://evil.example/"})

    assert f"{REDIRECT}?state=x" == back.headers["location"]
    assert 200 == stays.status_code


def test_revoked_session_must_sign_in_again(tenant: LocalTenant, browser: Browser) -> None:
    browser.sign_in(ALICE)
    tenant.control("revoke", person=ALICE)

    assert "login_required" == outcome(browser.authorize(prompt="none"))["error"]
    assert "code" in outcome(browser.sign_in(ALICE))


def test_disabled_person_cannot_sign_in(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("person", upn=BOB, disabled=True)

    page = browser.sign_in(BOB)

    assert "AADSTS50057" in page.text
    assert "location" not in page.headers
