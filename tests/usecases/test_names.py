"""Names of a person change, and a person has several addresses; the object id stays."""

import logging
from dataclasses import replace

import pytest

from infra.local import parts
from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import InvalidInput
from shared.domain.invited_mailbox import ComparedAddresses
from shared.domain.registration import RegistrationStatus
from shared.ports import App, Replace
from shared.usecases.accounts.change import AccountChange, change_account
from shared.usecases.accounts.read import AccountQuery, known_account, list_accounts
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.outcome import Completed, Refused, keep_checking
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import (
    SALES,
    SUPPORT,
    NewPerson,
    Register,
    ask,
    bind,
    choose_person,
    end_of,
    go_to_microsoft,
    sign_in,
    state_of,
    states,
)
from tests.usecases.grants import events_of, grant_of

CONNECTED = (AccountState.CONNECTED, None)
OWN = {"email": None, "delegated": False}
INSIDE = "inside@contoso.example"


def rename(tenant: Tenant, who: str) -> str:
    """Give the person another sign-in name. The addresses of their mailbox stay."""
    new_name = who.replace("person", "renamed")
    tenant.do("person", upn=who, signInName=new_name)
    return new_name


async def renew(app: App, clock: MovedClock) -> None:
    clock.forward(days=7, minutes=1)
    await tick(app)


async def names_of(app: App, account: str) -> set[str]:
    """The name that everybody is told: in accounts, grants and hand-outs."""
    bound = (await known_account(app, account)).account.value
    token = await hand_out(app, account)
    return {bound.sign_in_name, token.sign_in_name, (await grant_of(app, account)).value.principal.sign_in_name}


async def test_new_name_comes_with_the_next_refresh(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    before = await events_of(app, account)
    new_name = rename(tenant, who)
    assert {who} == await names_of(app, account)

    await renew(app, clock)

    assert {new_name} == await names_of(app, account)
    assert before == await events_of(app, account)
    for name in (who, new_name):
        listed = await list_accounts(app, AccountQuery(authorized_by=name), ADMINISTRATOR)
        assert [account] == [each.id for each in listed.accounts]


async def test_all_accounts_of_a_grant_get_the_new_name(
    reusing_app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    accounts = [await bind(reusing_app, visitor, who, email=email) for email in (SUPPORT, SALES)]

    new_name = rename(tenant, who)
    await bind(reusing_app, visitor, new_name, account=accounts[0])
    assert [{new_name}] * 2 == [await names_of(reusing_app, account) for account in accounts]

    tenant.do("person", upn=new_name, signInName=who)
    await renew(reusing_app, clock)
    assert [{who}] * 2 == [await names_of(reusing_app, account) for account in accounts]


@pytest.mark.parametrize("is_renewed", [False, True])
async def test_former_name_expects_the_same_person(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock, *, is_renewed: bool
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("person", upn=who, address=who.replace("person", "primary"))
    new_name = rename(tenant, who)
    if is_renewed:
        await renew(app, clock)
        tenant.do("clock", advanceSeconds=clock.ahead.total_seconds())

    link = await ask(app, account=account, expected_email=who.title())
    begun = await go_to_microsoft(app, visitor, link)
    assert (new_name if is_renewed else who) == tenant.events("authorize shown")[-1]["login_hint"]
    outcome = await complete_sign_in(app, await choose_person(visitor, begun.picker, new_name), begun.cookie)

    assert "existing" == end_of(outcome)
    assert {new_name} == await names_of(app, account)
    for name in (who, new_name):
        await change_account(app, account, AccountChange(expected_email=name), {})
    with pytest.raises(InvalidInput):
        await change_account(app, account, AccountChange(expected_email=SUPPORT), {})


async def test_former_name_of_another_person_proves_nothing(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    """A sign-in name that became free can be given to somebody else."""
    who, other = person(), person()
    account = await bind(app, visitor, who)
    tenant.do("person", upn=who, address=who.replace("person", "primary"))
    rename(tenant, who)
    tenant.do("person", upn=other, signInName=who)

    link = await ask(app, account=account, expected_email=who, allow_principal_change=False)

    assert "wrong_principal" == end_of(await sign_in(app, visitor, link, who))


@pytest.mark.parametrize("claim", ["oid", "tid"])
async def test_refresh_for_another_person_is_refused(
    app: App,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    clock: MovedClock,
    claim: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    before = await grant_of(app, account)
    other = {claim: "0e0e0e0e-0000-4000-8000-000000000001", "preferred_username": "mallory@contoso.example"}
    tenant.do("id-token", claims=other)

    with caplog.at_level(logging.ERROR):
        await renew(app, clock)

    assert "refresh names another person" in caplog.messages
    after = await grant_of(app, account)
    assert (before.value.refresh_token, 1) == (after.value.refresh_token, after.value.failures)
    assert CONNECTED == await state_of(app, account)
    clock.forward(minutes=2)
    await tick(app)
    assert {who} == await names_of(app, account)


@pytest.mark.parametrize(
    "claims",
    [
        {"preferred_username": None},
        {"preferred_username": 7},
        {"aud": "other"},
        {"iss": "https://evil.example/v2.0"},
        {"oid": None},
    ],
)
async def test_unusable_id_token_changes_no_name(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock, claims: dict[str, object]
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    before = await grant_of(app, account)
    tenant.do("id-token", claims={"preferred_username": "mallory@contoso.example", **claims})

    await renew(app, clock)

    assert {who} == await names_of(app, account)
    assert before.value.refresh_token != (await grant_of(app, account)).value.refresh_token


async def test_guest_keeps_the_user_principal_name(
    app: App, visitor: Visitor, tenant: Tenant, clock: MovedClock
) -> None:
    guest = tenant.do("guest", address="greta@fabrikam.example")["person"]
    tenant.do("access", person=guest, mailbox=SUPPORT, fullAccess=True)
    account = await bind(app, visitor, guest)

    await renew(app, clock)

    assert {guest} == await names_of(app, account)


async def test_unchanged_name_in_the_token_replaces_nothing(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    """The name in the ID token differs from Graph's user principal name, and stays as it is."""
    who = person()
    tenant.do("id-token", claims={"preferred_username": "alternate@contoso.example"}, times=9)
    account = await bind(app, visitor, who)

    await renew(app, clock)

    assert {who} == await names_of(app, account)


async def test_name_follows_in_rows_of_earlier_versions(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    stored = await grant_of(app, account)
    earlier = replace(stored.value, principal=replace(stored.value.principal, token_name=None))
    await app.stores.principals.commit(stored.value.principal.id, [Replace(earlier, stored.version)])
    new_name = rename(tenant, who)

    await renew(app, clock)

    assert {new_name} == await names_of(app, account)


async def test_waiting_person_is_renamed_too(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who, link = person(access=False), await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    outcome = await complete_sign_in(app, await choose_person(visitor, begun.picker, who), begun.cookie)
    assert isinstance(outcome, Completed)
    assert outcome.keep is not None
    await keep_checking(app, outcome.keep, begun.cookie)
    new_name = rename(tenant, who)
    tenant.do("access", person=new_name, mailbox=SUPPORT, fullAccess=True)

    clock.forward(minutes=90)
    await tick(app)

    assert [RegistrationStatus.COMPLETED, "new"] == await states(app, link)
    assert {new_name} == await names_of(app, link.accounts[0])


@pytest.fixture
def addresses(tenant: Tenant, person: NewPerson) -> dict[str, str]:
    """The addresses of a person: sign-in name, primary address, alias. `mail` is none of them."""
    who = person()
    addresses = {name: who.replace("person", name) for name in ("primary", "alias")}
    tenant.do("person", upn=who, address=addresses["primary"], mail="desk@contoso.example")
    tenant.do("address", mailbox=who, address=addresses["alias"])
    return {"sign-in name": who, **addresses}


@pytest.mark.parametrize("name", ["alias", "primary", "sign-in name"])
async def test_every_address_of_a_person_names_them(
    app: App, visitor: Visitor, addresses: dict[str, str], name: str
) -> None:
    who, address = addresses["sign-in name"], addresses[name].upper()

    await bind(app, visitor, who, expected_email=address)


@pytest.mark.parametrize("name", ["alias", "primary", "sign-in name"])
async def test_every_address_names_the_own_mailbox(
    app: App, visitor: Visitor, addresses: dict[str, str], name: str
) -> None:
    await bind(app, visitor, addresses["sign-in name"], email=addresses[name], delegated=False)


async def test_alias_counts_only_where_the_tenant_is_known(
    app: App, visitor: Visitor, tenant: Tenant, register: Register, addresses: dict[str, str], shared_tenant: parts.Part
) -> None:
    contoso = shared_tenant.ready["tenantId"]
    fabrikam = tenant.do("tenant", domain="fabrikam.example", person="erin@fabrikam.example")["tenantId"]
    oauth_app = await register(authority="organizations", tenants=(contoso, fabrikam))
    who = addresses["sign-in name"]

    async def end(**invitation: object) -> str:
        link = await ask(app, account="alias-counts", type=oauth_app, expected_email=addresses["alias"], **invitation)
        return end_of(await sign_in(app, visitor, link, who))

    assert "unexpected_person" == await end()
    assert "new" == await end(expected_tenant=contoso)


async def test_refusal_of_another_person_names_both_addresses(app: App, visitor: Visitor, person: NewPerson) -> None:
    who = person()

    outcome = await sign_in(app, visitor, await ask(app, expected_email=INSIDE), who)
    own = await sign_in(app, visitor, await ask(app, email=INSIDE, delegated=False), who)

    assert isinstance(outcome, Refused)
    assert ("unexpected_person", ComparedAddresses(INSIDE, who)) == (outcome.code, outcome.compared)
    assert isinstance(own, Completed)
    (result,) = own.results.values()
    assert ("email_mismatch", ComparedAddresses(INSIDE, who)) == (result.code, result.compared)
