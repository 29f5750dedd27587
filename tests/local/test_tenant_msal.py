"""Unmodified MSAL works with the tenant as with Entra."""

from collections.abc import Iterator
from typing import Any

import jwt
import msal
import pytest
import requests

from tests.local.tenant_visitor import ALICE, REDIRECT, Browser, LocalTenant, outcome


@pytest.fixture
def session(tenant: LocalTenant) -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        opened.verify = tenant.ready["caFile"]
        yield opened


def application(tenant: LocalTenant, session: requests.Session, segment: str) -> Any:
    return msal.ConfidentialClientApplication(
        tenant.ready["clientId"],
        client_credential=tenant.ready["clientSecret"],
        authority=f"{tenant.url}/{segment}",
        instance_discovery=False,
        http_client=session,
    )


@pytest.fixture
def app(tenant: LocalTenant, session: requests.Session) -> Any:
    return application(tenant, session, tenant.ready["tenantId"])


def signed_in(app: Any, browser: Browser, **options: str) -> dict[str, Any]:
    flow = app.initiate_auth_code_flow(
        [browser.tenant.mail], redirect_uri=REDIRECT, response_mode="form_post", **options
    )
    page = browser.client.get(flow["auth_uri"])
    return dict(app.acquire_token_by_auth_code_flow(flow, outcome(browser.press(page, "login", ALICE))))


def test_msal_signs_a_person_in(app: Any, tenant: LocalTenant, browser: Browser) -> None:
    result = signed_in(app, browser, prompt="select_account", login_hint=ALICE)

    claims = result["id_token_claims"]
    assert (ALICE, tenant.ready["tenantId"]) == (claims["preferred_username"], claims["tid"])
    assert f"{tenant.authority}/v2.0" == claims["iss"]
    assert [claims["oid"]] == [account["local_account_id"] for account in app.get_accounts()]


def test_msal_refreshes(app: Any, tenant: LocalTenant, browser: Browser) -> None:
    first = signed_in(app, browser)

    second = app.acquire_token_by_refresh_token(first["refresh_token"], [tenant.mail])

    assert tenant.mail in second["scope"].split()
    assert first["refresh_token"] != second["refresh_token"]


def test_msal_gets_a_token_silently(app: Any, tenant: LocalTenant, browser: Browser) -> None:
    signed_in(app, browser)

    response = app.acquire_token_silent_with_error([tenant.mail], app.get_accounts()[0], force_refresh=True)

    assert "access_token" in response


@pytest.mark.parametrize("segment", ["organizations", "common", "contoso.example"])
def test_msal_works_with_every_name_of_the_tenant(
    tenant: LocalTenant, session: requests.Session, browser: Browser, segment: str
) -> None:
    result = signed_in(application(tenant, session, segment), browser)

    assert f"{tenant.authority}/v2.0" == result["id_token_claims"]["iss"]


def test_msal_reports_a_revoked_grant(app: Any, tenant: LocalTenant) -> None:
    token = tenant.refresh_token_of(ALICE)
    tenant.control("revoke", person=ALICE)

    response = app.acquire_token_by_refresh_token(token, [tenant.mail])

    assert ("invalid_grant", "bad_token", [50173]) == (response["error"], response["suberror"], response["error_codes"])


def test_msal_raises_on_a_transient_failure(app: Any, tenant: LocalTenant) -> None:
    tenant.control("fail", endpoint="token", failure="90033")

    with pytest.raises(msal.exceptions.MsalServiceError):
        app.acquire_token_by_refresh_token(tenant.refresh_token_of(ALICE), [tenant.mail])


def test_tokens_are_signed_with_a_published_key(tenant: LocalTenant, session: requests.Session) -> None:
    configuration = session.get(f"{tenant.authority}/v2.0/.well-known/openid-configuration").json()
    keys = jwt.PyJWKSet.from_dict(session.get(configuration["jwks_uri"]).json())
    response = tenant.refresh(tenant.refresh_token_of(ALICE), scope=tenant.default_scope).json()

    for name, audience in (("id_token", tenant.ready["clientId"]), ("access_token", tenant.url)):
        key = keys[jwt.get_unverified_header(response[name])["kid"]]
        assert audience == jwt.decode(response[name], key, ["RS256"], audience=audience)["aud"]


def test_unknown_tenant_has_no_configuration(tenant: LocalTenant) -> None:
    response = tenant.http.get(f"{tenant.url}/fabrikam.example/v2.0/.well-known/openid-configuration")

    assert (400, [90002]) == (response.status_code, response.json()["error_codes"])
