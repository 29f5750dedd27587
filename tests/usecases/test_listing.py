"""Accounts are found by OAuth app, mailbox and person, and a rare find costs a bounded scan."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.account import Principal
from shared.ports import App, Insert
from shared.usecases.accounts.read import AccountQuery, list_accounts
from shared.usecases.callers.identify import ADMINISTRATOR
from tests.conftest import MovedClock, settings_for
from tests.contract.records import APP, account

EMAIL = "support@contoso.example"


@pytest.fixture
async def app(storage: Azurite, clock: MovedClock) -> AsyncIterator[App]:
    """An app that needs no tenant."""
    built = build(settings_for(storage.connection_string), clock)
    yield built
    await built.close()


async def add_account(app: App, who: Principal, name: str = "Support") -> str:
    new = replace(account(who, app.clock()), name=name)
    await app.stores.principals.commit(who.id, [Insert(new)])
    return new.id


def new_person() -> Principal:
    return Principal(str(uuid.uuid4()), str(uuid.uuid4()), f"{uuid.uuid4().hex}@contoso.example")


async def find(services: App, **query: str) -> list[str]:
    every = AccountQuery(page_size=1000)
    page = await list_accounts(services, replace(every, **query), ADMINISTRATOR)  # type: ignore[arg-type] # all are str
    return [found.id for found in page.accounts]


async def test_accounts_are_found_by_app_address_and_person(app: App) -> None:
    who, other = new_person(), new_person()
    account_id, _ = await add_account(app, who), await add_account(app, other)
    login, both = who.sign_in_name, who.id

    for name in (login, login.upper(), both, both.upper(), both.partition(".")[2]):
        assert [account_id] == await find(app, authorized_by=name), name
    assert [account_id] == await find(app, authorized_by=login, email=EMAIL.upper(), app=APP)
    assert account_id in await find(app, email=EMAIL)
    assert [] == await find(app, authorized_by=login, email=EMAIL[1:])
    assert [] == await find(app, authorized_by=login, app="AAABiCtT7XUAAAAA")
    assert [] == await find(app, authorized_by=both, state="paused")
    assert [] == await find(app, state="syncing")
    assert [] == await find(app, authorized_by=f"{both[:-1]}{'0' if both[-1] != '0' else '1'}")


async def test_rare_find_behind_a_cursor_costs_a_bounded_scan(app: App) -> None:
    for _ in range(10):
        await add_account(app, new_person())
    rare = [await add_account(app, new_person(), "A Rare Find") for _ in range(2)]
    listing = partial(list_accounts, app, max_scanned=3)
    first = await listing(AccountQuery(page_size=1), ADMINISTRATOR)

    seen = [found.id for found in first.accounts if found.name == "A Rare Find"]
    cursor, pages = first.cursor, 0
    while cursor is not None:
        page = await listing(AccountQuery(query="rare find", page_size=5, cursor=cursor), ADMINISTRATOR)
        assert len(page.accounts) <= 3
        seen += [found.id for found in page.accounts]
        cursor, pages = page.cursor, pages + 1

    assert (first.total or 0) / 3 <= pages + 1
    assert sorted(rare) == sorted(seen)
