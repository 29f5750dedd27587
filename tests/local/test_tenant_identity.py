"""Other tenants, addresses, sign-in names, and the ids of mailboxes."""

import jwt
import pytest

from tests.local.tenant_visitor import ALICE, BOB, Browser, LocalTenant

SUPPORT, SALES = "support@contoso.example", "sales@contoso.example"
FABRIKAM, ERIN = "fabrikam.example", "erin@fabrikam.example"


def inbox_id(tenant: LocalTenant, token: str, owner: str) -> str:
    path = "/me/mailFolders/inbox" if owner == "me" else f"/users/{owner}/mailFolders/inbox"
    response = tenant.graph(f"{path}?$select=id", token)
    assert 200 == response.status_code, response.text
    return str(response.json()["id"])


def claims_of(tenant: LocalTenant, person: str) -> tuple[dict[str, str], dict[str, str]]:
    body = tenant.refresh(tenant.refresh_token_of(person), scope=tenant.default_scope).json()
    about, access = (
        jwt.decode(body[name], options={"verify_signature": False}) for name in ("id_token", "access_token")
    )
    return about, access


def test_each_tenant_has_its_own_issuer(tenant: LocalTenant) -> None:
    other = tenant.control("tenant", domain=FABRIKAM, person=ERIN)["tenantId"]

    for person, tid in ((ALICE, tenant.ready["tenantId"]), (ERIN, other)):
        about, access = claims_of(tenant, person)
        assert (tid, f"{tenant.url}/{tid}/v2.0", person) == (about["tid"], about["iss"], about["preferred_username"])
        assert (tid, f"https://sts.windows.net/{tid}/") == (access["tid"], access["iss"])


def test_tenants_cannot_find_each_others_mailboxes(tenant: LocalTenant) -> None:
    tenant.control("tenant", domain=FABRIKAM, person=ERIN)
    tenant.control("person", upn=ERIN, mail=ALICE)
    token = tenant.access_token_of(ERIN)

    response = tenant.graph(f"/users/{ALICE}/mailFolders/inbox", token)
    assert (404, "ErrorInvalidUser") == (response.status_code, response.json()["error"]["code"])
    assert (ALICE, ERIN) == tuple(tenant.graph("/me", token).json()[name] for name in ("mail", "userPrincipalName"))
    assert ALICE == tenant.graph("/me", tenant.access_token_of(ALICE)).json()["userPrincipalName"]


def test_tenant_endpoint_signs_in_its_own_people_only(tenant: LocalTenant, browser: Browser) -> None:
    tenant.control("tenant", domain=FABRIKAM, person=ERIN)

    page = browser.press(browser.authorize(login_hint=ERIN), "login", ERIN)

    assert "AADSTS50020" in page.text


def test_inbox_id_does_not_depend_on_the_mailbox_name(tenant: LocalTenant) -> None:
    tenant.control("address", mailbox=SALES, address="orders@contoso.example")
    token = tenant.access_token_of(ALICE)

    names = (SALES, "SALES@Contoso.Example", "sales.team@contoso.example", "orders@contoso.example")
    assert 1 == len({inbox_id(tenant, token, name) for name in names})
    assert inbox_id(tenant, token, "me") == inbox_id(tenant, token, ALICE)
    assert 3 == len({inbox_id(tenant, token, name) for name in ("me", SALES, SUPPORT)})


def test_moved_address_leads_to_the_new_mailbox(tenant: LocalTenant) -> None:
    token = tenant.access_token_of(ALICE)
    before = inbox_id(tenant, token, SUPPORT)

    tenant.control("address", mailbox=SALES, address=SUPPORT)

    assert before != inbox_id(tenant, token, SUPPORT) == inbox_id(tenant, token, SALES)


def test_sign_in_name_can_differ_from_the_address(tenant: LocalTenant) -> None:
    tenant.control("person", upn=BOB, signInName="robert@contoso.example", address=BOB)
    tenant.control("address", mailbox=BOB, address="bobby@contoso.example")
    token = tenant.access_token_of("robert@contoso.example")

    me = tenant.graph("/me?$select=mail,userPrincipalName,proxyAddresses", token).json()
    assert (BOB, "robert@contoso.example") == (me["mail"], me["userPrincipalName"])
    assert [f"SMTP:{BOB}", "smtp:bobby@contoso.example"] == me["proxyAddresses"]
    assert "proxyAddresses" not in tenant.graph("/me", token).json()


@pytest.mark.parametrize("body", [{"domain": FABRIKAM}, {"person": ERIN}, {}])
def test_another_tenant_needs_a_domain_and_a_person(tenant: LocalTenant, body: dict[str, str]) -> None:
    assert 400 == tenant.http.post(f"{tenant.url}/control/tenant", json=body).status_code


@pytest.mark.parametrize(
    ("hosting", "refusal"),
    [
        ("unlicensed", (404, "MailboxNotEnabledForRESTAPI")),
        ("onPremises", (404, "MailboxNotEnabledForRESTAPI")),
        ("softDeleted", (404, "MailboxNotEnabledForRESTAPI")),
        ("group", (403, "ErrorGroupIsUsedInNonGroupURI")),
    ],
)
def test_mailbox_elsewhere_does_not_open(tenant: LocalTenant, hosting: str, refusal: tuple[int, str]) -> None:
    token = tenant.access_token_of(ALICE)

    tenant.control("hosting", mailbox=SUPPORT, hosting=hosting)

    response = tenant.graph(f"/users/{SUPPORT}/mailFolders/inbox", token)
    assert refusal == (response.status_code, response.json()["error"]["code"])


def test_guest_has_the_name_of_home_in_tokens_and_no_mailbox(tenant: LocalTenant) -> None:
    guest = tenant.control("guest", address="gina@fabrikam.example")["person"]
    about, _ = claims_of(tenant, guest)
    token = tenant.access_token_of(guest)

    profile = tenant.graph("/me?$select=mail,proxyAddresses,userPrincipalName", token).json()

    assert "gina@fabrikam.example" == about["preferred_username"] == profile["mail"]
    assert ("gina_fabrikam.example#EXT#@contoso.example", guest) == (guest, profile["userPrincipalName"])
    assert ["SMTP:gina@fabrikam.example"] == profile["proxyAddresses"]
    assert 404 == tenant.graph("/me/mailFolders/inbox", token).status_code
