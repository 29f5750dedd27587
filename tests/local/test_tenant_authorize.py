"""The authorize endpoint: the account picker, and every kind of redirect to the app."""

import json

import pytest

from tests.local.tenant_visitor import (
    ALICE,
    ANOTHER_APP,
    BOB,
    MALLORY,
    REDIRECT,
    Browser,
    LocalTenant,
    hidden_fields,
    outcome,
)


def test_picker_has_a_button_for_each_person(browser: Browser) -> None:
    page = browser.authorize()

    for person in (ALICE, BOB, MALLORY):
        assert f'<button name="login" value="{person}"' in page.text
    assert "<script" not in page.text


def test_sign_in_returns_a_code_and_the_state(browser: Browser) -> None:
    response = browser.sign_in(ALICE)

    assert 302 == response.status_code
    assert response.headers["location"].startswith(f"{REDIRECT}?code=")
    assert "s1" == outcome(response)["state"]


def test_query_of_the_redirect_uri_is_kept(browser: Browser) -> None:
    address = "http://127.0.0.1:5555/signin?from=entra"
    page = browser.authorize(client_id=ANOTHER_APP, redirect_uri=address, scope="User.Read")

    response = browser.press(browser.press(page, "login", ALICE), "consent", "accept")

    assert response.headers["location"].startswith(f"{address}&code=")


def test_form_post_submits_itself_or_by_a_button(browser: Browser) -> None:
    page = browser.sign_in(ALICE, response_mode="form_post")

    assert f'<form method="post" action="{REDIRECT}">' in page.text
    assert "onload=" in page.text
    assert "<noscript><button" in page.text
    assert {"code", "state", "session_state"} == set(hidden_fields(page))


def test_code_can_be_in_the_fragment(browser: Browser) -> None:
    assert f"{REDIRECT}#code=" in browser.sign_in(ALICE, response_mode="fragment").headers["location"]


@pytest.mark.parametrize("port", [80, 7071, 65000])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_redirect_uri_matches_any_port(browser: Browser, host: str, port: int) -> None:
    address = f"http://{host}:{port}/oauth"

    assert browser.sign_in(ALICE, redirect_uri=address).headers["location"].startswith(address)


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"redirect_uri": "http://127.0.0.1:5555/elsewhere"}, "50011"),
        ({"redirect_uri": "https://localhost:5555/oauth"}, "50011"),
        ({"redirect_uri": "https://evil.example/oauth"}, "50011"),
        ({"redirect_uri": "https://mailbind.contoso.example:8443/oauth"}, "50011"),
        ({"redirect_uri": None}, "900971"),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, "700016"),
        ({"client_id": None}, "900144"),
    ],
)
def test_wrong_client_or_redirect_shows_an_error_page(
    browser: Browser, query: dict[str, str | None], number: str
) -> None:
    page = browser.authorize(**query)

    assert 400 == page.status_code
    assert f"AADSTS{number}" in page.text
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("query", "error", "number"),
    [
        ({"response_type": "token"}, "unsupported_response_type", "70005"),
        ({"response_type": None}, "invalid_request", "900144"),
        ({"scope": None}, "invalid_request", "900144"),
        ({"scope": "Mail.Nonsense"}, "invalid_scope", "70011"),
        ({"scope": "https://api.fabrikam.example/Read"}, "invalid_resource", "500011"),
        ({"response_mode": "carrier_pigeon"}, "invalid_request", "70007"),
        ({"prompt": "maybe"}, "invalid_request", "90023"),
        ({"code_challenge": "short"}, "invalid_request", "501491"),
        ({"code_challenge_method": "S512"}, "invalid_request", "501491"),
        ({"prompt": "none"}, "login_required", "50058"),
    ],
)
def test_other_errors_are_returned_to_the_app(
    browser: Browser, query: dict[str, str | None], error: str, number: str
) -> None:
    result = outcome(browser.authorize(**query))

    assert (error, "s1") == (result["error"], result["state"])
    assert result["error_description"].startswith(f"AADSTS{number}: ")


def test_cancel_returns_a_subcode(browser: Browser) -> None:
    result = outcome(browser.press(browser.authorize(), "cancel", "yes"))

    assert {"error": "access_denied", "error_subcode": "cancel", "state": "s1"} == result


def test_claims_of_a_step_up_are_in_the_journal(tenant: LocalTenant, browser: Browser) -> None:
    claims = json.dumps({"access_token": {"capolids": {"essential": True, "values": ["x"]}}})
    browser.sign_in(ALICE, claims=claims)

    assert [claims] == [event["claims"] for event in tenant.events("authorize shown")]


def test_armed_failure_is_returned_from_authorize(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("fail", endpoint="authorize", failure="90033")

    assert "temporarily_unavailable" == outcome(browser.authorize())["error"]
    assert 200 == browser.authorize().status_code


def test_hinted_person_is_always_in_the_picker(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("person", create=30)

    assert 'value="person0030@contoso.example"' not in browser.authorize().text
    assert "code" in outcome(browser.sign_in("person0030@contoso.example", login_hint="person0030@contoso.example"))
