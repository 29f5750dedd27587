"""Refresh tokens: their lifetime, their app, and revocation."""

from tests.local.tenant_visitor import (
    ALICE,
    ANOTHER_APP,
    ANOTHER_SECRET,
    BOB,
    MALLORY,
    Browser,
    LocalTenant,
    outcome,
)


def test_refresh_token_works_more_than_once(tenant: LocalTenant) -> None:
    first = tenant.refresh_token_of(ALICE)
    second = tenant.refresh(first).json()["refresh_token"]

    assert first != second
    assert [200, 200] == [tenant.refresh(token).status_code for token in (first, second)]


def test_unused_refresh_token_expires_after_ninety_days(tenant: LocalTenant) -> None:
    idle = tenant.refresh_token_of(ALICE)
    tenant.control("clock", advanceSeconds=89 * 86400)
    renewed = tenant.refresh(idle).json()["refresh_token"]

    tenant.control("clock", advanceSeconds=2 * 86400)

    assert [700082] == tenant.refresh(idle).json()["error_codes"]
    assert 200 == tenant.refresh(renewed).status_code


def test_revocation_ends_earlier_sign_ins_only(tenant: LocalTenant) -> None:
    before, of_bob = tenant.refresh_token_of(ALICE), tenant.refresh_token_of(BOB)
    renewed = tenant.refresh(before).json()["refresh_token"]
    tenant.control("revoke", person=ALICE)
    after = tenant.refresh_token_of(ALICE)

    refused = [tenant.refresh(token).json() for token in (before, renewed)]

    assert [("invalid_grant", "bad_token", [50173])] * 2 == [
        (body["error"], body["suberror"], body["error_codes"]) for body in refused
    ]
    assert [200, 200] == [tenant.refresh(token).status_code for token in (after, of_bob)]


def test_refresh_token_belongs_to_its_app(tenant: LocalTenant) -> None:
    response = tenant.refresh(tenant.refresh_token_of(ALICE), client_id=ANOTHER_APP, client_secret=ANOTHER_SECRET)

    assert [70000] == response.json()["error_codes"]


def test_code_is_not_accepted_as_refresh_token(tenant: LocalTenant, browser: Browser) -> None:
    assert [70000] == tenant.refresh(browser.code_of(ALICE)).json()["error_codes"]


def test_disabled_person_gets_no_tokens(tenant: LocalTenant) -> None:
    token = tenant.refresh_token_of(BOB)
    tenant.control("person", upn=BOB, disabled=True)
    assert [50057] == tenant.refresh(token).json()["error_codes"]

    tenant.control("person", upn=BOB, disabled=False)
    assert 200 == tenant.refresh(token).status_code


def test_missing_consent_is_reported(tenant: LocalTenant, browser: Browser) -> None:
    page = browser.press(browser.authorize(scope=f"{tenant.url}/User.Read offline_access"), "login", MALLORY)
    code = outcome(browser.press(page, "consent", "accept"))["code"]
    token = tenant.redeem(code).json()["refresh_token"]

    body = tenant.refresh(token, scope=tenant.mail).json()

    assert ("invalid_grant", "consent_required", [65001]) == (body["error"], body["suberror"], body["error_codes"])


def test_refused_person_gets_no_tokens_until_the_refusal_ends(tenant: LocalTenant) -> None:
    of_bob, of_alice = tenant.refresh_token_of(BOB), tenant.refresh_token_of(ALICE)
    tenant.control("person", upn=BOB, refusal="53003")

    body = tenant.refresh(of_bob).json()

    assert ("invalid_grant", "message_only", [53003]) == (body["error"], body["suberror"], body["error_codes"])
    assert 200 == tenant.refresh(of_alice).status_code
    tenant.control("person", upn=BOB, refusal="")
    assert 200 == tenant.refresh(of_bob).status_code


def test_replaced_client_secret_has_expired(tenant: LocalTenant) -> None:
    token, client = tenant.refresh_token_of(ALICE), tenant.ready["clientId"]
    tenant.control("app", clientId=client, secret="")
    assert [7000222] == tenant.refresh(token).json()["error_codes"]

    tenant.control("app", clientId=client, secret="renewed")

    assert [7000222] == tenant.refresh(token).json()["error_codes"]
    assert [7000215] == tenant.refresh(token, client_secret="guessed").json()["error_codes"]
    assert 200 == tenant.refresh(token, client_secret="renewed").status_code
    tenant.control("app", clientId=client, secret=tenant.ready["clientSecret"])
    assert 200 == tenant.refresh(token).status_code
