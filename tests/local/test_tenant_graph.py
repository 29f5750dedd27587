"""Graph: profiles and inboxes, and Microsoft's error bodies without permission."""

import jwt
import pytest

from tests.local.tenant_visitor import ALICE, BOB, MALLORY, Browser, LocalTenant, outcome

SUPPORT, SALES, BOARD = (f"{name}@contoso.example" for name in ("support", "sales", "board"))


def inbox(address: str) -> str:
    return f"/users/{address}/mailFolders/inbox"


def narrow_token(tenant: LocalTenant, name: str) -> str:
    """A token of Alice with one permission, because she consented to no other."""
    refresh_token = tenant.refresh_token_of(ALICE)
    tenant.consent(ALICE, name)
    return str(tenant.refresh(refresh_token, scope=f"{tenant.url}/{name}").json()["access_token"])


def code_of(tenant: LocalTenant, path: str, token: str) -> tuple[int, str]:
    response = tenant.graph(path, token)
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("person", "opens"),
    [(ALICE, {SUPPORT, SALES, ALICE}), (BOB, {SUPPORT, BOB}), (MALLORY, {MALLORY})],
)
def test_full_access_opens_a_mailbox(tenant: LocalTenant, person: str, opens: set[str]) -> None:
    token = tenant.access_token_of(person)
    everything = (SUPPORT, SALES, BOARD, ALICE, BOB, MALLORY)

    assert opens == {address for address in everything if 200 == tenant.graph(inbox(address), token).status_code}
    assert 200 == tenant.graph("/me/mailFolders/inbox", token).status_code


@pytest.mark.parametrize(
    "key", [SALES, "SALES@Contoso.Example", "sales.team@contoso.example", "5a000000-0000-4000-8000-000000000012"]
)
def test_mailbox_is_found_by_id_sign_in_name_and_address(tenant: LocalTenant, key: str) -> None:
    assert "Inbox" == tenant.graph(inbox(key), tenant.access_token_of(ALICE)).json()["displayName"]


def test_access_can_be_removed_and_granted(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(MALLORY)

    tenant.control("access", person=MALLORY, mailbox=SUPPORT, fullAccess=True)
    assert 200 == tenant.graph(inbox(SUPPORT), token).status_code

    tenant.control("access", person=MALLORY, mailbox=SUPPORT, fullAccess=False)
    assert (403, "ErrorAccessDenied") == code_of(tenant, inbox(SUPPORT), token)


def test_select_limits_the_properties(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)

    body = tenant.graph(f"{inbox(SUPPORT)}?$select=id,displayName", token).json()

    assert {"@odata.context", "id", "displayName"} == set(body)
    assert (400, "BadRequest") == code_of(tenant, f"{inbox(SUPPORT)}?$select=colour", token)


def test_me_is_the_signed_in_person(tenant: LocalTenant) -> None:
    body = tenant.graph("/me", tenant.access_token_of(ALICE)).json()

    assert (ALICE, ALICE, "Alice Archer") == (body["userPrincipalName"], body["mail"], body["displayName"])
    assert "a11ce000-0000-4000-8000-000000000001" == body["id"]


def test_profiles_of_others_need_more_than_user_read(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)

    assert 200 == tenant.graph(f"/users/{ALICE}", token).status_code
    assert (403, "Authorization_RequestDenied") == code_of(tenant, f"/users/{BOB}", token)


def test_profiles_of_others_open_with_their_permission(tenant: LocalTenant, browser: Browser) -> None:
    scope = f"{tenant.url}/User.ReadBasic.All"
    code = outcome(browser.press(browser.sign_in(ALICE, scope=scope), "consent", "accept"))["code"]
    token = tenant.redeem(code).json()["access_token"]

    assert "Bob Baker" == tenant.graph(f"/users/{BOB}", token).json()["displayName"]
    assert (404, "Request_ResourceNotFound") == code_of(tenant, "/users/nobody@contoso.example", token)


def test_mailbox_needs_a_mail_permission(tenant: LocalTenant) -> None:
    token = narrow_token(tenant, "User.Read")

    assert (403, "Authorization_RequestDenied") == code_of(tenant, inbox(SUPPORT), token)
    assert (403, "Authorization_RequestDenied") == code_of(tenant, "/me/mailFolders/inbox", token)


def test_shared_mailbox_needs_a_shared_permission(tenant: LocalTenant) -> None:
    token = narrow_token(tenant, "Mail.ReadWrite")

    assert 200 == tenant.graph("/me/mailFolders/inbox", token).status_code
    assert (403, "ErrorAccessDenied") == code_of(tenant, inbox(SUPPORT), token)


def test_unknown_address_is_not_found(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)

    assert (404, "ErrorInvalidUser") == code_of(tenant, inbox("nobody@contoso.example"), token)


def test_token_for_global_graph_is_accepted(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE, "https://graph.microsoft.com/Mail.Read.Shared")

    assert 200 == tenant.graph(inbox(SUPPORT), token).status_code


def test_token_for_another_resource_is_refused(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE, "https://outlook.office.com/IMAP.AccessAsUser.All")

    assert (401, "InvalidAuthenticationToken") == code_of(tenant, "/me", token)


def test_token_expires(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)
    tenant.control("clock", advanceSeconds=4600)

    assert (401, "InvalidAuthenticationToken") == code_of(tenant, "/me", token)


def test_access_token_survives_a_revocation(tenant: LocalTenant) -> None:
    """Without continuous access evaluation an access token is valid until it expires."""
    token = tenant.access_token_of(ALICE)
    tenant.control("revoke", person=ALICE)

    assert 200 == tenant.graph("/me", token).status_code


@pytest.mark.parametrize("token", ["", "e30.e30.e30", "not a token"])
def test_missing_or_invalid_token_is_refused(tenant: LocalTenant, token: str) -> None:
    response = tenant.http.get(f"{tenant.url}/v1.0/me", headers={"Authorization": f"Bearer {token}".strip()})

    assert (401, "InvalidAuthenticationToken") == (response.status_code, response.json()["error"]["code"])
    assert response.headers["www-authenticate"].startswith("Bearer ")


def test_id_token_and_foreign_signature_are_refused(tenant: LocalTenant) -> None:
    body = tenant.refresh(tenant.refresh_token_of(ALICE), scope=tenant.default_scope).json()
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    forged = jwt.encode(claims, "k" * 32, "HS256")

    for token in (body["id_token"], forged):
        assert (401, "InvalidAuthenticationToken") == code_of(tenant, "/me", token)


def test_error_has_the_ids_of_the_request(tenant: LocalTenant) -> None:
    response = tenant.graph(inbox(BOARD), tenant.access_token_of(ALICE), **{"client-request-id": "mine-1"})

    inner = response.json()["error"]["innerError"]
    assert {"date", "request-id", "client-request-id"} == set(inner)
    assert "mine-1" == inner["client-request-id"] == response.headers["client-request-id"]
    assert inner["request-id"] == response.headers["request-id"]


def test_graph_call_is_in_the_journal(tenant: LocalTenant) -> None:
    tenant.graph(inbox(BOARD), tenant.access_token_of(ALICE))

    calls = [(event["path"], event["status"], event["person"]) for event in tenant.events("graph called")]

    assert [("/v1.0/users/board@contoso.example/mailFolders/inbox", 403, ALICE)] == calls
