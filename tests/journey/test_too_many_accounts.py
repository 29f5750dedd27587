"""A grant serves at most 500 accounts, and 10 of one mailbox."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import batched

import pytest

from shared.domain.formats import table_key
from shared.ports import Insert, Remove
from shared.usecases.accounts.read import find_account
from tests.journey.conftest import code_of
from tests.journey.many import SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture
from tests.journey.test_add_account import add, refusal, wish

type Fill = Callable[[str, str, int], Awaitable[None]]


@pytest.fixture
async def fill(many: Many) -> AsyncIterator[Fill]:
    """Stores that many accounts of another mailbox beside the bound one, and deletes them afterwards."""
    stored: dict[str, str] = {}

    async def make(beside: str, mailbox: str, count: int) -> None:
        found = await find_account(many.instance, beside)
        assert found is not None
        held = found.account.value
        more = [replace(held, id=f"stored-{secrets.token_hex(6)}", email=mailbox) for _ in range(count)]
        for some in batched(more, 100, strict=False):
            await many.instance.stores.principals.commit(held.principal_id, [Insert(one) for one in some])
        stored.update({one.id: one.principal_id for one in more})

    yield make
    for some in batched(stored.items(), 100, strict=False):
        principal = some[0][1]
        partition = await many.instance.stores.principals.partition(principal)
        found = [partition.accounts[table_key(account)] for account, _ in some]
        await many.instance.stores.principals.commit(principal, [Remove(one.value, one.version) for one in found])


async def test_grant_serves_at_most_ten_accounts_of_one_mailbox(many: Many, fill: Fill) -> None:
    asked, (account,) = many.ask(SUPPORT)
    who = many.person(SUPPORT, SALES)
    many.visitor.follow(asked["url"], who)
    await fill(account, SUPPORT.upper(), 9)
    link, (more, sales) = many.ask(SUPPORT, SALES)

    assert (409, "too_many_accounts") == refusal(add(many, wish(account, SUPPORT)))
    page = many.visitor.follow(link["url"], who)

    assert ["too_many_accounts", "new"] == many.states(link)[1:]
    assert "at most 10 for the same mailbox" in page.text
    assert (404, 200) == (many.token(more).status_code, many.token(sales).status_code)
    # A bound account can be bound again.
    assert {"account": account, "state": "existing"} == add(many, wish(account, SUPPORT, account=account)).json()


async def test_grant_serves_at_most_five_hundred_accounts(many: Many, fill: Fill) -> None:
    asked, (account,) = many.ask(SUPPORT)
    who = many.person(SUPPORT, SALES)
    many.visitor.follow(asked["url"], who)
    await fill(account, "others@contoso.example", 498)
    assert 200 == add(many, wish(account, SALES)).status_code
    link, (more,) = many.ask(SALES)

    assert (409, "too_many_accounts") == refusal(add(many, wish(account, SALES)))
    page = many.visitor.follow(link["url"], who)

    assert "too_many_accounts" == code_of(page)
    assert 404 == many.token(more).status_code
    assert 200 == many.token(account).status_code
