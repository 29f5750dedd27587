"""Apps get their own tokens from the tenant as from Entra."""

from typing import Any

import jwt
import pytest

from tests.local.calling_app import (
    API,
    API_CLIENT_ID,
    ORDERS,
    SECRET,
    msal_application,
    session,
    token_by_azure_identity,
    token_by_msal,
)
from tests.local.tenant_visitor import LocalTenant


def claims_of(tenant: LocalTenant, token: str, version: str = "") -> dict[str, Any]:
    """The token's claims, verified with the keys from its version's metadata."""
    keys = tenant.http.get(f"{tenant.authority}/discovery{version}/keys").json()
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    return dict(jwt.decode(token, key, ["RS256"], audience=[API, API_CLIENT_ID]))


@pytest.mark.parametrize("get", [token_by_msal, token_by_azure_identity])
def test_microsoft_libraries_get_a_token_with_roles(tenant: LocalTenant, get: Any) -> None:
    claims = claims_of(tenant, get(tenant.ready))

    assert (API, ORDERS, "1.0") == (claims["aud"], claims["appid"], claims["ver"])
    assert f"https://sts.windows.net/{tenant.ready['tenantId']}/" == claims["iss"]
    assert ["register", "oauth-token"] == claims["roles"]
    assert claims["oid"] == claims["sub"]
    assert "scp" not in claims


def test_api_can_request_the_other_token_version(tenant: LocalTenant) -> None:
    tenant.control("api", address=API, tokenVersion=2)

    claims = claims_of(tenant, token_by_msal(tenant.ready), "/v2.0")

    assert (API_CLIENT_ID, ORDERS, "2.0") == (claims["aud"], claims["azp"], claims["ver"])
    assert f"{tenant.authority}/v2.0" == claims["iss"]
    assert "appid" not in claims


def test_app_without_roles_gets_a_token_without_roles(tenant: LocalTenant) -> None:
    tenant.control("app", clientId=ORDERS, roles=[])

    assert "roles" not in claims_of(tenant, token_by_msal(tenant.ready))


def test_control_replaces_app_token_claims(tenant: LocalTenant) -> None:
    tenant.control("app-token", claims={"aud": API_CLIENT_ID, "tid": None})

    first, second = (claims_of(tenant, token_by_msal(tenant.ready)) for _ in range(2))

    assert (API_CLIENT_ID, False) == (first["aud"], "tid" in first)
    assert (API, True) == (second["aud"], "tid" in second)


def test_replaced_signing_key_no_longer_verifies(tenant: LocalTenant) -> None:
    old = token_by_msal(tenant.ready)
    tenant.control("signing-key")

    new = token_by_msal(tenant.ready)

    assert claims_of(tenant, new)
    with pytest.raises(KeyError):
        claims_of(tenant, old)


@pytest.mark.parametrize(
    ("number", "scope"),
    [
        (1002012, f"{API}/access_as_user"),
        (28000, f"{API}/.default https://graph.microsoft.com/.default"),
        (500011, "api://nobody/.default"),
        (900144, None),
        (900144, "openid"),
    ],
)
def test_app_token_needs_one_default_scope(tenant: LocalTenant, number: int, scope: str | None) -> None:
    response = tenant.token("client_credentials", client_id=ORDERS, client_secret=SECRET, scope=scope)

    assert (400, [number]) == (response.status_code, response.json()["error_codes"])


def test_msal_reports_the_refusal(tenant: LocalTenant) -> None:
    with session(tenant.ready) as http:
        response = msal_application(tenant.ready, http).acquire_token_for_client([f"{API}/access_as_user"])

    assert "invalid_scope" == response["error"]
