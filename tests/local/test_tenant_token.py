"""The token endpoint: codes, refresh tokens, and refused requests."""

import base64
import json
from collections.abc import Callable

import jwt
import pytest

from infra.local.tenant.client_authentication import JWT_BEARER
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


def test_code_is_exchanged_for_tokens(tenant: LocalTenant, browser: Browser) -> None:
    response = tenant.redeem(browser.code_of(ALICE), client_info="1")

    body = response.json()
    assert ("Bearer", 4500, 4500) == (body["token_type"], body["expires_in"], body["ext_expires_in"])
    assert {tenant.mail, f"{tenant.url}/User.Read", "openid", "profile"} <= set(body["scope"].split())
    assert "no-store, no-cache" == response.headers["cache-control"]
    info = json.loads(base64.urlsafe_b64decode(body["client_info"] + "=="))
    assert tenant.ready["tenantId"] == info["utid"]


def test_code_for_two_resources_gives_a_token_for_the_first(tenant: LocalTenant, browser: Browser) -> None:
    both = f"{IMAP} {tenant.mail} offline_access"
    code = browser.code_of(ALICE, scope=both)

    assert [28000] == tenant.redeem(code, scope=both).json()["error_codes"]
    assert "https://outlook.office.com" == unsigned(tenant.redeem(code).json()["access_token"])["aud"]


def test_refresh_for_two_resources_is_for_the_first(tenant: LocalTenant) -> None:
    claims = unsigned(tenant.access_token_of(ALICE, f"{IMAP} {tenant.mail}"))

    assert "https://outlook.office.com" == claims["aud"]
    assert {"IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"} == set(str(claims["scp"]).split())


def test_scopes_decide_which_tokens_are_issued(tenant: LocalTenant, browser: Browser) -> None:
    """No refresh token without offline_access, no ID token without openid."""
    body = tenant.redeem(browser.code_of(ALICE, scope=tenant.mail)).json()

    assert set() == {"refresh_token", "id_token", "client_info"} & set(body)


def test_code_works_once(tenant: LocalTenant, browser: Browser) -> None:
    code = browser.code_of(ALICE)
    tenant.redeem(code)

    response = tenant.redeem(code)

    assert (400, "invalid_grant", [54005]) == (
        response.status_code,
        *(response.json()[k] for k in ("error", "error_codes")),
    )


@pytest.mark.parametrize(
    "change", [lambda code: code + "\x07", lambda code: code[2:], lambda _: "1.\x80", lambda _: "\x80"]
)
def test_changed_code_is_refused(tenant: LocalTenant, browser: Browser, change: Callable[[str], str]) -> None:
    response = tenant.redeem(change(browser.code_of(ALICE)))

    assert (400, "invalid_grant") == (response.status_code, response.json()["error"])


def test_code_expires_after_ten_minutes(tenant: LocalTenant, browser: Browser) -> None:
    early, late = browser.code_of(ALICE), browser.code_of(ALICE)

    tenant.control("clock", advanceSeconds=590)
    assert 200 == tenant.redeem(early).status_code

    tenant.control("clock", advanceSeconds=20)
    assert [70008] == tenant.redeem(late).json()["error_codes"]


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ({"code_verifier": "w" * 43}, 501481),
        ({"code_verifier": None}, 501481),
        ({"redirect_uri": "http://127.0.0.1:5556/oauth"}, 500112),
        ({"redirect_uri": None}, 500112),
        ({"client_id": ANOTHER_APP, "client_secret": ANOTHER_SECRET}, 70000),
        ({"code": "1.made-up"}, 70000),
        ({"code": None}, 900144),
        ({"scope": "Mail.Nonsense"}, 70011),
        ({"scope": "https://api.fabrikam.example/Read"}, 500011),
    ],
)
def test_refused_code_can_be_used_again(
    tenant: LocalTenant, browser: Browser, form: dict[str, str | None], number: int
) -> None:
    code = browser.code_of(ALICE)

    assert [number] == tenant.redeem(**{"code": code, **form}).json()["error_codes"]  # type: ignore[arg-type]
    assert 200 == tenant.redeem(code).status_code


def test_verifier_without_a_challenge_is_refused(tenant: LocalTenant, browser: Browser) -> None:
    code = browser.code_of(ALICE, code_challenge=None, code_challenge_method=None)

    assert [501481] == tenant.redeem(code).json()["error_codes"]
    assert 200 == tenant.redeem(code, code_verifier=None).status_code


def test_plain_challenge_is_the_verifier(tenant: LocalTenant, browser: Browser) -> None:
    code = browser.code_of(ALICE, code_challenge="p" * 50, code_challenge_method=None)

    assert 200 == tenant.redeem(code, code_verifier="p" * 50).status_code


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000218),
        ({"client_secret": None, "client_assertion": "e30.e30.e30"}, 400, "invalid_request", 900144),
        (
            {"client_secret": None, "client_assertion": "e30.e30.e30", "client_assertion_type": JWT_BEARER},
            *(401, "invalid_client", 50027),
        ),
        ({"client_id": None}, 400, "invalid_request", 900144),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": None}, 400, "invalid_request", 900144),
    ],
)
def test_client_must_authenticate(
    tenant: LocalTenant, form: dict[str, str | None], status: int, error: str, number: int
) -> None:
    response = tenant.refresh(tenant.refresh_token_of(ALICE), **form)

    body = response.json()
    assert (status, error, [number]) == (response.status_code, body["error"], body["error_codes"])


def test_client_can_use_http_basic(tenant: LocalTenant) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": tenant.refresh_token_of(ALICE)}
    address = f"{tenant.authority}/oauth2/v2.0/token"

    right = tenant.http.post(address, data=form, auth=(tenant.ready["clientId"], tenant.ready["clientSecret"]))
    wrong = tenant.http.post(address, data=form, auth=(tenant.ready["clientId"], "wrong"))
    garbled = tenant.http.post(address, data=form, headers={"Authorization": "Basic !"})

    assert [200, 401, 400] == [response.status_code for response in (right, wrong, garbled)]


def test_error_body_has_microsofts_members(tenant: LocalTenant) -> None:
    response = tenant.http.post(
        f"{tenant.authority}/oauth2/v2.0/token",
        data={"grant_type": "refresh_token"},
        headers={"client-request-id": "11111111-2222-4333-8444-555555555555"},
    )

    body = response.json()
    wanted = ["error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id", "error_uri"]
    assert wanted == list(body)
    assert "11111111-2222-4333-8444-555555555555" == body["correlation_id"]
    ids = f"Trace ID: {body['trace_id']} Correlation ID: {body['correlation_id']} Timestamp: {body['timestamp']}"
    assert body["error_description"].startswith("AADSTS900144: ")
    assert body["error_description"].endswith(ids)
    assert body["error_uri"].endswith("/error?code=900144")
