"""A further mailbox is bound to an existing grant by the same rules as after a sign-in."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import replace
from itertools import batched
from typing import Any

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import ExpectedPerson
from shared.domain.errors import BindingConflict, InvalidInput, NotAuthorized, NotBound
from shared.domain.invited_mailbox import MailboxState
from shared.ports import App, Insert
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.accounts.read import find_account, known_account
from shared.usecases.apps.catalogue import change_oauth_app, delete_oauth_app
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.further import Added, FurtherAccount, add_account
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import (
    BOARD,
    SALES,
    SUPPORT,
    NewPerson,
    ask_for_several,
    bind,
    end_of,
    sign_in,
    states,
)


@pytest.fixture
def who(tenant: Tenant, person: NewPerson) -> Callable[[], str]:
    """A new person with Full Access to support@ and sales@."""

    def new() -> str:
        name = person()
        tenant.do("access", person=name, mailbox=SALES, fullAccess=True)
        return name

    return new


def further(through: str, mailbox: str, **changes: Any) -> FurtherAccount:
    request = FurtherAccount(f"further-{secrets.token_hex(4)}", mailbox=mailbox, provider=APP_ID, through=through)
    return request._replace(**changes)


async def add(app: App, through: str, mailbox: str, **changes: Any) -> Added:
    return await add_account(app, further(through, mailbox, **changes), {}, ADMINISTRATOR)


async def refusal(app: App, through: str, mailbox: str, **changes: Any) -> tuple[type[Exception], str | None]:
    """The kind of error and its code."""
    with pytest.raises((NotBound, NotAuthorized)) as refused:
        await add(app, through, mailbox, **changes)
    return refused.type, refused.value.code


async def fill(app: App, beside: str, mailbox: str, count: int) -> None:
    """Store that many accounts of another mailbox beside the bound one."""
    bound = (await known_account(app, beside)).account.value
    more = [replace(bound, id=f"stored-{secrets.token_hex(6)}", email=mailbox) for _ in range(count)]
    for some in batched(more, 100, strict=False):
        await app.stores.principals.commit(bound.principal_id, [Insert(one) for one in some])


async def test_further_account_gets_an_id_and_outlives_the_first(
    reusing_app: App, visitor: Visitor, who: Callable[[], str]
) -> None:
    account = await bind(reusing_app, visitor, who())

    made = (await add(reusing_app, account, SALES, account=None)).account

    assert 16 == len(made)
    assert 1 == (await remove_account(reusing_app, account)).still_served
    assert SALES == (await hand_out(reusing_app, made)).email
    assert MailboxState.NEW is (await add(reusing_app, made, SUPPORT)).state


async def test_grant_whose_token_expires_soon_is_refreshed_first(
    reusing_app: App, visitor: Visitor, tenant: Tenant, who: Callable[[], str]
) -> None:
    tenant.do("lifetimes", accessTokenSeconds=200)
    account = await bind(reusing_app, visitor, who())
    tenant.do("lifetimes", accessTokenSeconds=4000)

    added = await add(reusing_app, account, SALES)

    assert (await hand_out(reusing_app, added.account)).cached


async def test_person_of_a_removed_tenant_binds_no_further_mailbox(
    reusing_app: App, visitor: Visitor, who: Callable[[], str]
) -> None:
    request = further(await bind(reusing_app, visitor, who()), SALES)
    await change_oauth_app(reusing_app, APP_ID, {"tenants": (str(uuid.uuid4()),)}, {})
    try:
        with pytest.raises(NotBound) as refused:
            await add_account(reusing_app, request, {}, ADMINISTRATOR)
    finally:
        await delete_oauth_app(reusing_app, APP_ID, force=True)

    assert (NotBound, "tenant_not_allowed") == (refused.type, refused.value.code)
    assert await find_account(reusing_app, str(request.account)) is None
    assert MailboxState.NEW is (await add_account(reusing_app, request, {}, ADMINISTRATOR)).state


async def test_further_mailbox_takes_over_no_account_of_another_person(
    reusing_app: App, visitor: Visitor, person: NewPerson
) -> None:
    me = person()
    mine, theirs = [await bind(reusing_app, visitor, login) for login in (me, person())]

    assert (BindingConflict, "wrong_principal") == await refusal(reusing_app, mine, SUPPORT, account=theirs)
    assert (BindingConflict, "own_mailbox") == await refusal(reusing_app, mine, me)
    expected = ExpectedPerson(BOARD)
    assert (NotBound, "unexpected_person") == await refusal(reusing_app, mine, SUPPORT, expected=expected)


async def test_grant_that_needs_sign_in_binds_no_further_mailbox(
    reusing_app: App, visitor: Visitor, tenant: Tenant, who: Callable[[], str], clock: MovedClock
) -> None:
    login = who()
    account, paused = await bind(reusing_app, visitor, login), await bind(reusing_app, visitor, who())
    tenant.do("revoke", person=login)
    await reconnect_account(reusing_app, account)
    await change_account(reusing_app, paused, AccountChange(paused=True), {})

    # While the access token is valid, the state of the grant decides. Then there is no token to prove access with.
    assert (NotBound, "needs_sign_in") == await refusal(reusing_app, account, SALES)
    clock.forward(hours=2)
    assert (NotAuthorized, "needs_sign_in") == await refusal(reusing_app, account, SALES)
    assert (NotAuthorized, "account_paused") == await refusal(reusing_app, paused, SALES)


async def test_app_without_credential_reuse_binds_no_further_mailbox(app: App) -> None:
    with pytest.raises(InvalidInput) as refused:
        await add(app, "x", SALES)

    assert {"oauth2.provider"} == set(refused.value.fields)
    assert "credentialReuse" in refused.value.fields["oauth2.provider"]


async def test_grant_serves_at_most_ten_accounts_of_one_mailbox(
    reusing_app: App, visitor: Visitor, who: Callable[[], str]
) -> None:
    login = who()
    account = await bind(reusing_app, visitor, login)
    await fill(reusing_app, account, SUPPORT.upper(), 9)
    link = await ask_for_several(reusing_app, SUPPORT, SALES)

    assert (BindingConflict, "too_many_accounts") == await refusal(reusing_app, account, SUPPORT)
    await sign_in(reusing_app, visitor, link, login)

    assert ["completed", "too_many_accounts", "new"] == await states(reusing_app, link)
    assert [False, True] == [bool(await find_account(reusing_app, one)) for one in link.accounts]
    # A bound account can be bound again.
    assert Added(account, MailboxState.EXISTING) == await add(reusing_app, account, SUPPORT, account=account)


async def test_grant_serves_at_most_five_hundred_accounts(
    reusing_app: App, visitor: Visitor, who: Callable[[], str]
) -> None:
    login = who()
    account = await bind(reusing_app, visitor, login)
    await fill(reusing_app, account, "others@contoso.example", 498)
    assert MailboxState.NEW is (await add(reusing_app, account, SALES)).state
    link = await ask_for_several(reusing_app, SALES)

    assert (BindingConflict, "too_many_accounts") == await refusal(reusing_app, account, SALES)
    assert "too_many_accounts" == end_of(await sign_in(reusing_app, visitor, link, login))

    assert await find_account(reusing_app, link.accounts[0]) is None
    assert SUPPORT == (await hand_out(reusing_app, account)).email
