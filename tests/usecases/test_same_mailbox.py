"""The inbox that opens identifies a mailbox, not its address."""

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import NotAuthorized
from shared.domain.formats import table_key
from shared.domain.invited_mailbox import MailboxState
from shared.ports import App
from shared.usecases.accounts.read import find_account, known_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.further import Added, FurtherAccount, add_account
from shared.usecases.sign_in.start import reauthorize_account
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, principal_id, tick
from tests.usecases.conftest import (
    REDIRECT_URL,
    SALES,
    SUPPORT,
    NewPerson,
    Register,
    StartApp,
    ask,
    ask_for_several,
    bind,
    end_of,
    sign_in,
    state_of,
    states,
)

CONNECTED = (AccountState.CONNECTED, None)
MAILBOX_REPLACED = (AccountState.CONNECT_ERROR, "mailbox_replaced")
ALIAS = "help@contoso.example"


@pytest.fixture
def addresses(tenant: Tenant, person: NewPerson) -> dict[str, str]:
    """The addresses of a person: sign-in name, primary address, alias."""
    who = person()
    addresses = {name: who.replace("person", name) for name in ("primary", "alias")}
    tenant.do("person", upn=who, address=addresses["primary"])
    tenant.do("address", mailbox=who, address=addresses["alias"])
    return {"sign-in name": who, **addresses}


@pytest.mark.parametrize("name", ["alias", "primary", "sign-in name"])
async def test_own_mailbox_is_no_shared_one_under_any_address(
    app: App, visitor: Visitor, addresses: dict[str, str], name: str
) -> None:
    link = await ask(app, email=addresses[name])

    assert "own_mailbox" == end_of(await sign_in(app, visitor, link, addresses["sign-in name"]))
    assert await find_account(app, link.accounts[0]) is None


async def test_own_address_of_an_imap_account_comes_from_graph(
    app: App, visitor: Visitor, addresses: dict[str, str], register: Register
) -> None:
    oauth_app = await register(base_scopes=("imap",), extra_scopes=("User.Read",))

    async def end(email: str) -> str:
        link = await ask(app, type=oauth_app, email=email)
        return end_of(await sign_in(app, visitor, link, addresses["sign-in name"]))

    assert ["own_mailbox"] * 3 == [await end(address) for address in addresses.values()]
    assert "new" == await end(SUPPORT)


async def test_address_given_to_another_mailbox_stops_its_account(
    app: App, new_app: StartApp, visitor: Visitor, tenant: Tenant, person: NewPerson, clock: MovedClock
) -> None:
    who, other = person(), new_app()
    account = await bind(app, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    assert SUPPORT == (await hand_out(other, account)).email  # and cached

    tenant.do("address", mailbox=SALES, address=SUPPORT)
    clock.forward(days=7, minutes=1)
    await tick(app)

    assert MAILBOX_REPLACED == await state_of(app, account)
    for instance in (app, other):
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(instance, account)
        assert "mailbox_replaced" == refused.value.code
    clock.forward(days=-7, minutes=-1)  # to the tenant's time, for sign-ins
    repair = await reauthorize_account(app, account, REDIRECT_URL, {}, ADMINISTRATOR)
    assert "mailbox_replaced" == end_of(await sign_in(app, visitor, repair, who))
    with pytest.raises(NotAuthorized):
        await hand_out(app, account)

    change = await ask(app, account=account, change_mailbox=True)
    assert "existing" == end_of(await sign_in(app, visitor, change, who))
    assert CONNECTED == await state_of(app, account)
    assert SUPPORT == (await hand_out(other, account)).email
    clock.forward(days=7, minutes=1)
    assert SUPPORT == (await hand_out(other, account)).email


async def test_new_tokens_do_not_repair_a_replaced_mailbox(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    tenant.do("address", mailbox=SALES, address=SUPPORT)
    assert AccountState.CONNECT_ERROR is (await reconnect_account(app, account)).account.state

    tenant.do("revoke", person=who)
    clock.forward(hours=2)
    await reconnect_account(app, account)

    with pytest.raises(NotAuthorized) as refused:
        await hand_out(app, account)
    assert "mailbox_replaced" == refused.value.code


async def test_replaced_mailbox_is_reported_once(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    tenant.do("address", mailbox=SALES, address=SUPPORT)

    for _ in range(3):
        clock.forward(days=7, minutes=1)
        await tick(app)

    partition = table_key(await principal_id(app, account))
    rows = storage_of(app).get_table_client("Principals").query_entities(f"PartitionKey eq '{partition}'")
    events = [row async for row in rows if row["RowKey"].startswith("event~") and row["name"] == "connectError"]
    assert 1 == len(events)
    assert "mailbox_replaced" in events[0]["data"]


async def test_account_without_an_inbox_id_gets_one_at_the_next_probe(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    account = await bind(app, visitor, person())
    bound = (await known_account(app, account)).account.value
    assert bound.inbox_id is not None
    rows = storage_of(app).get_table_client("Principals")
    row = dict(await rows.get_entity(table_key(bound.principal_id), f"account~{table_key(account)}"))
    del row["inbox_id"]
    await rows.upsert_entity(row, mode="replace")

    assert AccountState.CONNECTED is (await reconnect_account(app, account)).account.state

    assert bound.inbox_id == (await known_account(app, account)).account.value.inbox_id


async def test_link_binds_a_mailbox_once_under_several_addresses(
    reusing_app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who = person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    tenant.do("address", mailbox=SUPPORT, address=ALIAS)
    link = await ask_for_several(reusing_app, SUPPORT, ALIAS, SALES)

    # The alias stays open, so the link can be followed again.
    for _ in range(2):
        await sign_in(reusing_app, visitor, link, who)

        assert ["completed", "new", "same_mailbox", "new"] == await states(reusing_app, link)
        assert [True, False, True] == [bool(await find_account(reusing_app, account)) for account in link.accounts]


async def test_two_accounts_share_a_mailbox_if_grants_serve_many(
    reusing_app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    tenant.do("address", mailbox=SUPPORT, address=ALIAS)
    account = await bind(reusing_app, visitor, person())
    request = FurtherAccount(account=f"{account}-b", mailbox=ALIAS, provider=APP_ID, through=account)

    added = await add_account(reusing_app, request, {}, ADMINISTRATOR)

    assert Added(f"{account}-b", MailboxState.NEW) == added
