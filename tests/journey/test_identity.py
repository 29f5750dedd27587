"""A person is a tenant id and an object id; names that can change prove nothing."""

import secrets
from collections.abc import Callable

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.ports import App
from tests.journey.apps import Register, fields_of, registers_apps  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, ask, bind, code_of, principal_id, status

type NewPerson = Callable[..., str]

DOMAIN = "fabrikam.example"
ALICE, SUPPORT = "alice@contoso.example", "support@contoso.example"


@pytest.fixture
def erin() -> str:
    """The sign-in name of a new person in another tenant."""
    return f"erin{secrets.token_hex(4)}@{DOMAIN}"


@pytest.fixture
def fabrikam(tenant: Tenant, erin: str) -> str:
    """The id of that tenant, with Erin in it."""
    return str(tenant.do("tenant", domain=DOMAIN, person=erin)["tenantId"])


@pytest.fixture
def multitenant(environment: Environment, register: Register, fabrikam: str) -> Callable[..., str]:
    """Registers an app that signs in people of Contoso and of Fabrikam."""
    ready = environment.tenant.ready

    def new(**changes: object) -> str:
        return register(
            clientId=ready["clientId"],
            clientSecret=ready["clientSecret"],
            authority="organizations",
            tenants=[ready["tenantId"], fabrikam],
            **changes,
        )

    return new


@pytest.fixture(params=["preferred_username", "mail"])
def dressed_as_alice(tenant: Tenant, fabrikam: str, erin: str, request: pytest.FixtureRequest) -> str:
    """Erin of Fabrikam, with a name of Alice of Contoso."""
    assert fabrikam
    if request.param == "mail":
        tenant.do("person", upn=erin, mail=ALICE)
    else:
        tenant.do("id-token", claims={"preferred_username": ALICE}, times=9)
    return erin


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"email": None, "delegated": None, "expectedEmail": ALICE}, "unexpected_person"),
        ({"email": ALICE, "delegated": None}, "email_mismatch"),
        ({"email": ALICE, "delegated": None, "expectedEmail": ALICE}, "unexpected_person"),
        ({"expectedEmail": ALICE}, "unexpected_person"),
    ],
)
def test_name_from_another_tenant_proves_no_identity(
    api: httpx.Client,
    visitor: Visitor,
    multitenant: Callable[..., str],
    dressed_as_alice: str,
    form: dict[str, str | None],
    code: str,
) -> None:
    asked = ask(api, type=multitenant(), **form)

    page = visitor.follow(asked["url"], dressed_as_alice)

    assert (403, code) == (page.status, code_of(page))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code
    assert "failed" == status(api, asked)["status"]


def test_own_mailbox_has_the_address_in_graph(
    api: httpx.Client, visitor: Visitor, multitenant: Callable[..., str], dressed_as_alice: str
) -> None:
    account = bind(api, visitor, dressed_as_alice, type=multitenant(), email=None, delegated=None)

    told = api.get(f"/v1/account/{account}").json()
    token = api.get(f"/v1/account/{account}/oauth-token").json()
    assert {dressed_as_alice} == {
        told["email"],
        told["user"],
        told["authorizedBy"]["user"],
        token["email"],
        token["user"],
    }


def test_expected_person_is_identified_by_upn_in_every_tenant(
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    multitenant: Callable[..., str],
    person: NewPerson,
    erin: str,
) -> None:
    app, who = multitenant(), person()

    for browser, login in ((visitor, who), (other_visitor, erin)):
        form = {"email": login.title(), "delegated": None, "expectedEmail": login.upper()}
        account = bind(api, browser, login, type=app, **form)
        assert login == api.get(f"/v1/account/{account}").json()["email"]


def test_mail_counts_only_where_the_tenant_is_known(
    api: httpx.Client,
    environment: Environment,
    tenant: Tenant,
    multitenant: Callable[..., str],
    person: NewPerson,
    fabrikam: str,
) -> None:
    """The primary address of a person with another sign-in name."""
    app, who, ours = multitenant(), person(), environment.tenant.ready["tenantId"]
    primary = who.replace("person", "primary")
    tenant.do("person", upn=who, address=primary)

    def end(**form: str) -> str:
        with Visitor(environment.tenant.ready["caFile"]) as browser:
            page = browser.follow(ask(api, account="mail-counts", expectedEmail=primary, **form)["url"], who)
            return "bound" if page.refresh else code_of(page)

    assert "unexpected_person" == end(type=app)
    assert "unexpected_person" == end(type=multitenant(mailDomains=[f"contoso.example={fabrikam}"]))
    assert "bound" == end(type=multitenant(mailDomains=[f"Contoso.Example={ours}"]))
    assert "bound" == end(type=app, expectedTenant=ours.upper())
    assert "bound" == end(type="AAABiCtT7XUAAAAF", allowPrincipalChange="true")


def test_only_the_expected_tenant_may_sign_in(
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    multitenant: Callable[..., str],
    fabrikam: str,
    erin: str,
) -> None:
    asked = ask(api, type=multitenant(), email=None, delegated=None, expectedTenant=fabrikam)

    assert "unexpected_person" == code_of(visitor.follow(asked["url"], "bob@contoso.example"))
    assert "new" == other_visitor.follow(asked["url"], erin).back["state"]


@pytest.mark.parametrize("value", ["contoso.example", "common", 7, "{7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10}"])
def test_expected_tenant_must_be_a_tenant_id(api: httpx.Client, value: object) -> None:
    body = {"redirectUrl": "https://myapp.example/", "expectedTenant": value}

    assert {"expectedTenant"} == fields_of(api.post("/v1/authentication/form", json=body))


async def test_renamed_person_is_the_same_person(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who, email=None, delegated=None)
    before = await principal_id(instance, account)
    married = who.replace("person", "married")
    tenant.do("person", upn=who, signInName=married, address=married)

    link = api.post(f"/v1/account/{account}/reauthorize", json={"redirectUrl": "https://myapp.example/done"}).json()
    assert "existing" == visitor.follow(link["url"], married).back["state"]

    told = api.get(f"/v1/account/{account}").json()
    assert (married, married, before) == (told["email"], told["user"], await principal_id(instance, account))


@pytest.mark.parametrize(
    ("scopes", "ends"),
    [(["User.Read"], ["unexpected_person", "new"]), ([], ["unexpected_person", "email_mismatch"])],
)
def test_imap_app_for_many_tenants_identifies_people_by_graph(
    api: httpx.Client,
    environment: Environment,
    tenant: Tenant,
    multitenant: Callable[..., str],
    erin: str,
    scopes: list[str],
    ends: list[str],
) -> None:
    app = multitenant(baseScopes=["imap"], **({"extraScopes": scopes} if scopes else {}))
    mail = ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")
    consented = [*(f"https://outlook.office.com/{name}" for name in mail), "https://graph.microsoft.com/User.Read"]
    tenant.do("person", upn=erin, consented=consented)

    def end(**form: str | None) -> str:
        with Visitor(environment.tenant.ready["caFile"]) as browser:
            page = browser.follow(ask(api, type=app, delegated=None, **form)["url"], erin)
            return page.back["state"] if page.refresh else code_of(page)

    tenant.do("id-token", claims={"preferred_username": ALICE})
    assert ends == [end(email=None, expectedEmail=ALICE), end(email=erin)]
