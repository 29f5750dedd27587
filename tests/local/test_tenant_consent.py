"""Consent of people and administrators, and what happens without it."""

from tests.local.tenant_visitor import ALICE, MALLORY, REDIRECT, Browser, LocalTenant, outcome


def test_consent_is_asked_for_once(browser: Browser) -> None:
    page = browser.sign_in(MALLORY)
    assert "Permissions requested" in page.text

    assert "code" in outcome(browser.press(page, "consent", "accept"))
    assert "code" in outcome(browser.sign_in(MALLORY))


def test_new_scopes_need_further_consent(tenant: LocalTenant, browser: Browser) -> None:
    browser.press(browser.sign_in(MALLORY, scope=f"{tenant.url}/User.Read"), "consent", "accept")

    page = browser.sign_in(MALLORY)

    assert "Permissions requested" in page.text


def test_declined_consent_is_returned_to_the_app(browser: Browser) -> None:
    result = outcome(browser.press(browser.sign_in(MALLORY), "consent", "decline"))

    assert "access_denied" == result["error"]
    assert "AADSTS65004" in result["error_description"]


def test_prompt_consent_asks_again(browser: Browser) -> None:
    page = browser.sign_in(ALICE, prompt="consent")

    assert "code" in outcome(browser.press(page, "consent", "accept"))


def test_consent_needs_a_sign_in(tenant: LocalTenant, browser: Browser) -> None:
    page = browser.authorize()
    response = browser.client.post(str(page.request.url), data={"login": MALLORY, "consent": "accept"})

    assert "Permissions requested" in response.text
    assert [] == tenant.events("consented")


def test_person_is_told_that_an_administrator_must_consent(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("person", upn=ALICE, adminConsentRequired=True, consented=False)

    page = browser.sign_in(ALICE)
    assert "AADSTS90094" in page.text

    result = outcome(browser.press(page, "consent", "return"))
    assert "access_denied" == result["error"]
    assert "AADSTS90094" in result["error_description"]


def test_admin_consent_is_for_everybody(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("person", upn=ALICE, adminConsentRequired=True, consented=False)
    query = {"client_id": tenant.ready["clientId"], "redirect_uri": REDIRECT, "state": "a b"}
    page = browser.client.get(f"{tenant.authority}/adminconsent", params=query)

    result = outcome(browser.press(page, "consent", "accept"))

    assert ("True", tenant.ready["tenantId"], "a b") == (result["admin_consent"], result["tenant"], result["state"])
    assert "code" in outcome(browser.sign_in(ALICE))
    assert "code" in outcome(browser.sign_in(MALLORY))


def test_declined_admin_consent_is_returned_to_the_app(tenant: LocalTenant, browser: Browser) -> None:
    page = browser.client.get(
        f"{tenant.authority}/v2.0/adminconsent",
        params={"client_id": tenant.ready["clientId"], "redirect_uri": REDIRECT, "scope": tenant.mail},
    )

    assert "access_denied" == outcome(browser.press(page, "consent", "decline"))["error"]
