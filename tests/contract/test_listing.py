"""Listing for a caller that can access some accounts only."""

import base64
import uuid
from functools import partial

import pytest

from shared.domain.account import Principal
from shared.domain.caller import Binding, Caller, Scope
from shared.domain.errors import InvalidInput
from shared.domain.formats import table_key
from shared.ports import App, Insert
from shared.usecases.accounts.read import AccountQuery, list_accounts
from tests.contract.records import account


async def test_inaccessible_accounts_cost_a_bounded_scan(services: App) -> None:
    who = Principal(str(uuid.uuid4()), str(uuid.uuid4()), "alice@contoso.example")
    first, *others, last = sorted((uuid.uuid4().hex for _ in range(12)), key=table_key)
    await services.stores.principals.commit(
        who.id, [Insert(account(who, services.clock(), name)) for name in (first, *others, last)]
    )
    bound = Caller("token:t", "t", frozenset({Scope.ACCOUNTS_READ}), Binding.to([first, last]))
    listing = partial(list_accounts, services, max_scanned=3)

    page = await listing(AccountQuery(page_size=1, authorized_by=who.id), bound)
    pages, cursors = [[one.id for one in page.accounts]], []
    while page.cursor:
        cursors.append(page.cursor)
        page = await listing(AccountQuery(page_size=1, authorized_by=who.id, cursor=page.cursor), bound)
        pages.append([one.id for one in page.accounts])

    assert [[first], [], [], [], [last]] == pages
    assert not [name for name in others for cursor in cursors if table_key(name) in readable(cursor)]


@pytest.mark.parametrize(
    ("counted", "page", "listed", "total", "leads_on"),
    [
        (5, 0, [0, 1], 5, True),
        (5, 2, [4], 5, False),
        (4, 0, [0, 1], None, True),
        (4, 1, [2, 3], None, True),
        (3, 1, [2], None, True),
        (2, 1, [], None, True),
    ],
)
async def test_accounts_beyond_the_count_are_reached_by_cursor(
    services: App,
    counted: int,
    page: int,
    listed: list[int],
    total: int | None,
    leads_on: bool,  # noqa: FBT001 - a case's column
) -> None:
    who, names = await five(services)
    listing = partial(list_accounts, services, max_counted=counted)
    reader = Caller("token:t", "t", frozenset({Scope.ACCOUNTS_READ}))

    found = await listing(AccountQuery(page=page, page_size=2, authorized_by=who), reader)

    shown = [one.id for one in found.accounts]
    assert ([names[number] for number in listed], total, leads_on) == (shown, found.total, found.cursor is not None)
    rest = []
    while found.cursor:
        found = await listing(AccountQuery(page_size=2, authorized_by=who, cursor=found.cursor), reader)
        rest += [one.id for one in found.accounts]
    assert names[page * 2 :] == [*shown, *rest]


async def test_page_beyond_the_count_is_refused_and_names_the_cursor(services: App) -> None:
    who, _ = await five(services)
    reader = Caller("token:t", "t", frozenset({Scope.ACCOUNTS_READ}))

    with pytest.raises(InvalidInput) as refused:
        await list_accounts(services, AccountQuery(page=2, page_size=2, authorized_by=who), reader, max_counted=3)

    assert {"page"} == set(refused.value.fields)
    assert '"cursor"' in refused.value.fields["page"]


async def five(services: App) -> tuple[str, list[str]]:
    """A principal and its accounts in the order of the keys."""
    who = Principal(str(uuid.uuid4()), str(uuid.uuid4()), "alice@contoso.example")
    names = sorted((uuid.uuid4().hex for _ in range(5)), key=table_key)
    await services.stores.principals.commit(who.id, [Insert(account(who, services.clock(), name)) for name in names])
    return who.id, names


async def test_bound_caller_cannot_choose_where_to_look(services: App) -> None:
    bound = Caller("token:t", "t", frozenset({Scope.ACCOUNTS_READ}), Binding.to(["mine"]))
    made_up = base64.urlsafe_b64encode(b'["a","account~a"]').decode()

    with pytest.raises(InvalidInput) as refused:
        await list_accounts(services, AccountQuery(page_size=1, cursor=made_up), bound)

    assert ["cursor"] == list(refused.value.fields)


def readable(cursor: str) -> str:
    return base64.urlsafe_b64decode(cursor.rpartition(".")[2]).decode(errors="replace")
