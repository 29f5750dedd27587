"""A person is a tenant id and an object id; names that can change prove nothing."""

import secrets
from collections.abc import Mapping

import pytest

from infra.local import parts
from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.accounts.read import find_account, known_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.start import reauthorize_account
from shared.usecases.tokens.hand_out import hand_out
from tests.journey.conftest import Tenant
from tests.usecases.conftest import REDIRECT_URL, NewPerson, Register, ask, bind, end_of, sign_in, status

DOMAIN = "fabrikam.example"
ALICE = "alice@contoso.example"
OWN: Mapping[str, object] = {"email": None, "delegated": False}


@pytest.fixture
def contoso(shared_tenant: parts.Part) -> str:
    """The id of the first tenant."""
    return str(shared_tenant.ready["tenantId"])


@pytest.fixture
def erin() -> str:
    """The sign-in name of a new person in another tenant."""
    return f"erin{secrets.token_hex(4)}@{DOMAIN}"


@pytest.fixture
def fabrikam(tenant: Tenant, erin: str) -> str:
    """The id of that tenant, with Erin in it."""
    return str(tenant.do("tenant", domain=DOMAIN, person=erin)["tenantId"])


@pytest.fixture
def multitenant(register: Register, contoso: str, fabrikam: str) -> Register:
    """Registers an app that signs in people of Contoso and of Fabrikam."""

    async def new(**changes: object) -> str:
        return await register(authority="organizations", tenants=(contoso, fabrikam), **changes)

    return new


@pytest.fixture(params=["preferred_username", "mail"])
def named_alice(tenant: Tenant, fabrikam: str, erin: str, request: pytest.FixtureRequest) -> str:
    """Erin of Fabrikam, with a name of Alice of Contoso."""
    assert fabrikam
    if request.param == "mail":
        tenant.do("person", upn=erin, mail=ALICE)
    else:
        tenant.do("id-token", claims={"preferred_username": ALICE}, times=9)
    return erin


@pytest.mark.parametrize(
    ("invitation", "code"),
    [
        ({**OWN, "expected_email": ALICE}, "unexpected_person"),
        ({"email": ALICE, "delegated": False}, "email_mismatch"),
        ({"email": ALICE, "delegated": False, "expected_email": ALICE}, "unexpected_person"),
        ({"expected_email": ALICE}, "unexpected_person"),
    ],
)
async def test_name_from_another_tenant_proves_no_identity(
    app: App, visitor: Visitor, multitenant: Register, named_alice: str, invitation: dict[str, object], code: str
) -> None:
    link = await ask(app, type=await multitenant(), **invitation)

    assert code == end_of(await sign_in(app, visitor, link, named_alice))
    assert await find_account(app, link.accounts[0]) is None
    assert RegistrationStatus.FAILED is await status(app, link)


async def test_own_mailbox_has_the_address_in_graph(
    app: App, visitor: Visitor, multitenant: Register, named_alice: str
) -> None:
    account = await bind(app, visitor, named_alice, type=await multitenant(), **OWN)

    bound = (await known_account(app, account)).account.value
    token = await hand_out(app, account)
    assert {named_alice} == {bound.email, bound.sign_in_name, token.email, token.sign_in_name}


async def test_expected_person_is_identified_by_upn_in_every_tenant(
    app: App, visitor: Visitor, multitenant: Register, person: NewPerson, erin: str
) -> None:
    oauth_app = await multitenant()

    for login in (person(), erin):
        invitation = {"email": login.title(), "delegated": False, "expected_email": login.upper()}
        account = await bind(app, visitor, login, type=oauth_app, **invitation)
        assert login == (await known_account(app, account)).account.value.email


async def test_mail_counts_only_where_the_tenant_is_known(
    app: App, visitor: Visitor, tenant: Tenant, multitenant: Register, person: NewPerson, contoso: str, fabrikam: str
) -> None:
    """The primary address of a person with another sign-in name."""
    oauth_app, who = await multitenant(), person()
    primary = who.replace("person", "primary")
    tenant.do("person", upn=who, address=primary)

    async def end(**invitation: object) -> str:
        link = await ask(app, account="mail-counts", expected_email=primary, **invitation)
        return end_of(await sign_in(app, visitor, link, who))

    of_fabrikam = await multitenant(mail_domains=(f"contoso.example={fabrikam}",))
    of_contoso = await multitenant(mail_domains=(f"Contoso.Example={contoso}",))
    assert "unexpected_person" == await end(type=oauth_app)
    assert "unexpected_person" == await end(type=of_fabrikam)
    assert "new" == await end(type=of_contoso)
    assert "existing" == await end(type=oauth_app, expected_tenant=contoso.upper())
    assert "existing" == await end(type=APP_ID, allow_principal_change=True)


async def test_only_the_expected_tenant_may_sign_in(
    app: App, visitor: Visitor, multitenant: Register, fabrikam: str, erin: str
) -> None:
    link = await ask(app, type=await multitenant(), expected_tenant=fabrikam, **OWN)

    assert "unexpected_person" == end_of(await sign_in(app, visitor, link, "bob@contoso.example"))
    assert "new" == end_of(await sign_in(app, visitor, link, erin))


async def test_renamed_person_is_the_same_person(app: App, visitor: Visitor, tenant: Tenant, person: NewPerson) -> None:
    who = person()
    account = await bind(app, visitor, who, **OWN)
    before = (await known_account(app, account)).account.value
    married = who.replace("person", "married")
    tenant.do("person", upn=who, signInName=married, address=married)

    link = await reauthorize_account(app, account, REDIRECT_URL, {}, ADMINISTRATOR)
    assert "existing" == end_of(await sign_in(app, visitor, link, married))

    after = (await known_account(app, account)).account.value
    assert (married, married, before.principal_id) == (after.email, after.sign_in_name, after.principal_id)


@pytest.mark.parametrize(
    ("scopes", "ends"),
    [(("User.Read",), ["unexpected_person", "new"]), ((), ["unexpected_person", "email_mismatch"])],
)
async def test_imap_app_for_many_tenants_identifies_people_by_graph(
    app: App, visitor: Visitor, tenant: Tenant, multitenant: Register, erin: str, scopes: tuple[str], ends: list[str]
) -> None:
    oauth_app = await multitenant(base_scopes=("imap",), extra_scopes=scopes)
    mail = ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")
    consented = [*(f"https://outlook.office.com/{name}" for name in mail), "https://graph.microsoft.com/User.Read"]
    tenant.do("person", upn=erin, consented=consented)

    async def end(**invitation: object) -> str:
        link = await ask(app, type=oauth_app, delegated=False, **invitation)
        return end_of(await sign_in(app, visitor, link, erin))

    tenant.do("id-token", claims={"preferred_username": ALICE})
    assert ends == [await end(email=None, expected_email=ALICE), await end(email=erin)]
