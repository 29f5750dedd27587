"""The rule "one principal, one account" cannot be bypassed."""

import asyncio

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import InvalidInput
from shared.domain.formats import table_key
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import AccountQuery, find_account, known_account, list_accounts
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from tests.conftest import storage_of
from tests.journey.conftest import Tenant, principal_id
from tests.usecases.conftest import (
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


async def test_one_person_authorizes_one_account(app: App, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    first, second, own = await bind(app, visitor, who), await ask(app), await ask(app, email=None, delegated=False)

    for link in (second, own):
        assert "principal_in_use" == end_of(await sign_in(app, visitor, link, who))

        assert [RegistrationStatus.FAILED, "principal_in_use"] == await states(app, link)
        assert await find_account(app, link.accounts[0]) is None
    assert (AccountState.CONNECTED, None) == await state_of(app, first)


async def test_no_link_is_made_for_another_spelling_of_an_accounts_id(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    account = await bind(app, visitor, person(), account="Straße-2")

    with pytest.raises(InvalidInput) as refused:
        await ask(app, account="STRAßE-2")

    assert account in refused.value.fields["account"]
    assert account == (await known_account(app, "straße-2")).account.value.id


async def test_one_of_two_concurrent_links_through_two_apps_wins(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson, register: Register
) -> None:
    apps = (APP_ID, await register())

    for _ in range(10):
        who, returns = person(), []
        for oauth_app in apps:
            begun = await go_to_microsoft(app, visitor, await ask(app, type=oauth_app))
            response = await choose_person(visitor, begun.picker, who)
            returns.append(complete_sign_in(app, response, begun.cookie))

        tenant.do("latency", endpoint="graph", milliseconds=100)
        outcomes = await asyncio.gather(*returns)
        tenant.do("latency", endpoint="graph", milliseconds=0)

        assert ["new", "principal_in_use"] == sorted(map(end_of, outcomes))
        assert 1 == (await list_accounts(app, AccountQuery(authorized_by=who), ADMINISTRATOR)).total


async def test_principal_without_a_bindings_row_authorizes_one_account(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    partition = table_key(await principal_id(app, account))
    rows = storage_of(app).get_table_client("Principals")
    await rows.delete_entity(partition, "bindings~")

    assert "principal_in_use" == end_of(await sign_in(app, visitor, await ask(app), who))
    assert "existing" == end_of(await sign_in(app, visitor, await ask(app, account=account), who))
    assert "bindings~" in [row["RowKey"] async for row in rows.query_entities(f"PartitionKey eq '{partition}'")]


async def test_bindings_row_is_deleted_with_the_last_account(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    of = await principal_id(app, account)
    assert (await app.stores.principals.partition(of)).bindings is not None

    await remove_account(app, account)

    assert (await app.stores.principals.partition(of)).bindings is None
