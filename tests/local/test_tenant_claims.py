"""The claims of tokens, and the resource that they are for."""

import time

import jwt
import pytest

from tests.local.tenant_visitor import (
    ALICE,
    ANOTHER_APP,
    ANOTHER_SECRET,
    Browser,
    LocalTenant,
)

IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"


def unsigned(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def test_id_token_names_the_person(tenant: LocalTenant, browser: Browser) -> None:
    claims = unsigned(tenant.redeem(browser.code_of(ALICE)).json()["id_token"])

    assert tenant.ready["clientId"] == claims["aud"]
    assert f"{tenant.authority}/v2.0" == claims["iss"]
    assert tenant.ready["tenantId"] == claims["tid"]
    assert ("a11ce000-0000-4000-8000-000000000001", ALICE) == (claims["oid"], claims["preferred_username"])
    assert ("n1", "Alice Archer", "2.0") == (claims["nonce"], claims["name"], claims["ver"])
    assert {"iat", "nbf", "exp", "sub", "uti"} <= set(claims)


def test_sub_differs_from_app_to_app(tenant: LocalTenant) -> None:
    mine = tenant.refresh(tenant.refresh_token_of(ALICE), scope="openid").json()
    theirs_token = tenant.control("sign-in", person=ALICE, clientId=ANOTHER_APP)["refreshToken"]
    theirs = tenant.refresh(theirs_token, scope="openid", client_id=ANOTHER_APP, client_secret=ANOTHER_SECRET).json()

    subjects = {str(unsigned(body["id_token"])["sub"]) for body in (mine, theirs)}
    assert 2 == len(subjects)


def test_access_token_is_for_one_resource(tenant: LocalTenant) -> None:
    claims = unsigned(tenant.access_token_of(ALICE, f"{tenant.mail} offline_access"))

    assert tenant.url == claims["aud"]
    assert "Mail.ReadWrite.Shared" in str(claims["scp"]).split()
    assert "IMAP.AccessAsUser.All" not in str(claims["scp"]).split()
    assert (tenant.ready["clientId"], tenant.ready["tenantId"]) == (claims["appid"], claims["tid"])
    assert (ALICE, ALICE) == (claims["upn"], claims["unique_name"])


def test_token_has_all_consented_scopes(tenant: LocalTenant) -> None:
    token = tenant.refresh_token_of(ALICE)
    tenant.consent(ALICE, "User.Read", "Mail.Send")

    body = tenant.refresh(token, scope=f"{tenant.url}/User.Read").json()

    assert {"User.Read", "Mail.Send"} == set(str(unsigned(body["access_token"])["scp"]).split())
    assert {f"{tenant.url}/User.Read", f"{tenant.url}/Mail.Send"} == set(body["scope"].split())


def test_tokens_have_a_realistic_length(tenant: LocalTenant) -> None:
    body = tenant.refresh(tenant.refresh_token_of(ALICE), scope=tenant.default_scope).json()

    assert 1300 < len(body["access_token"]) < 2200
    assert 900 < len(body["refresh_token"]) < 1600


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("User.Read", "https://graph.microsoft.com"),
        ("https://graph.microsoft.com/mail.readwrite.shared", "https://graph.microsoft.com"),
        ("https://graph.microsoft.com/.default", "https://graph.microsoft.com"),
        (IMAP, "https://outlook.office.com"),
        ("openid profile", "https://graph.microsoft.com"),
    ],
)
def test_scope_names_the_resource(tenant: LocalTenant, scope: str, audience: str) -> None:
    assert audience == unsigned(tenant.access_token_of(ALICE, scope))["aud"]


def test_one_refresh_token_serves_every_resource(tenant: LocalTenant, browser: Browser) -> None:
    token = tenant.redeem(browser.code_of(ALICE)).json()["refresh_token"]

    for scope, audience in ((tenant.mail, tenant.url), (IMAP, "https://outlook.office.com")):
        assert audience == unsigned(tenant.refresh(token, scope=scope).json()["access_token"])["aud"]


def test_control_sets_the_token_lifetime(tenant: LocalTenant) -> None:
    tenant.control("lifetimes", accessTokenSeconds=20)

    body = tenant.refresh(tenant.refresh_token_of(ALICE)).json()

    assert 20 == body["expires_in"]
    assert 21 > int(str(unsigned(body["access_token"])["exp"])) - time.time() > 0


def test_id_token_claims_can_be_replaced(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("id-token", claims={"aud": "someone-else", "nonce": None}, times=1)

    wrong = unsigned(tenant.redeem(browser.code_of(ALICE)).json()["id_token"])
    right = unsigned(tenant.redeem(browser.code_of(ALICE)).json()["id_token"])

    assert ("someone-else", None) == (wrong["aud"], wrong.get("nonce"))
    assert (tenant.ready["clientId"], "n1") == (right["aud"], right["nonce"])
