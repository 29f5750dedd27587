"""Who may bind which mailbox; each refusal changes nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import InvalidInput, NotFound
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.accounts.change import Removed, remove_account
from shared.usecases.accounts.read import known_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from shared.usecases.tokens.hand_out import hand_out
from tests.journey.conftest import Tenant, principal_id
from tests.usecases.conftest import (
    REDIRECT_URL,
    SALES,
    SUPPORT,
    NewPerson,
    ask,
    bind,
    choose_person,
    end_of,
    go_to_microsoft,
    open_page,
    sign_in,
    state_of,
    status,
)

OWN: Mapping[str, object] = {"email": None, "delegated": False}


async def test_shared_mailbox_never_gets_the_name_of_the_person(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())

    assert SUPPORT == (await known_account(app, account)).account.value.name


async def test_without_delegation_the_signers_own_mailbox_is_bound(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    who = person()

    account = await bind(app, visitor, who, **OWN)

    bound = (await known_account(app, account)).account.value
    assert (who, False) == (bound.email, bound.shared)


async def test_account_without_an_id_gets_one(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person(), account=None)

    assert 16 == len(account)
    assert (AccountState.CONNECTED, None) == await state_of(app, account)


async def test_form_that_contradicts_the_account_kind_is_refused(app: App, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    shared = await bind(app, visitor, person())
    own = await bind(app, visitor, who, **OWN)

    async def faults(parsing: Mapping[str, str] | None = None, **form: Any) -> set[str]:
        try:
            await start_registration(app, Invitation(REDIRECT_URL, **form), parsing or {}, ADMINISTRATOR)
        except InvalidInput as refused:
            return set(refused.fields)
        return set()

    bogus = {"bogus": "There is no such field"}
    assert {"email"} == await faults(account=shared, email=who)
    assert {"email", "bogus"} == await faults(bogus, account=shared, email=SALES)
    assert {"delegated"} == await faults(account=own, delegated=True, email=SUPPORT)
    assert set() == await faults(account=shared, email=SUPPORT.title())
    assert set() == await faults(account=own, email=who)


async def test_another_person_can_take_over_if_the_form_allows_it(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    who, other = person(), person()
    account = await bind(app, visitor, who)
    before = await principal_id(app, account)

    refused = await sign_in(app, visitor, await ask(app, account=account), other)
    assert ("wrong_principal", before) == (end_of(refused), await principal_id(app, account))
    taken = await sign_in(app, visitor, await ask(app, account=account, allow_principal_change=True), other)

    assert "existing" == end_of(taken)
    assert other == (await known_account(app, account)).account.value.sign_in_name
    left = await app.stores.principals.partition(before)
    assert not left.accounts
    assert not left.grants
    rows = [found async for _, found in app.stores.principals.accounts(None, None)]
    assert 1 == [found.id for found in rows].count(account)


async def test_credential_reuse_lets_one_grant_serve_many_accounts(
    reusing_app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    app, who = reusing_app, person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    first, second = [await bind(app, visitor, who, email=email) for email in (SUPPORT, "Sales@contoso.example")]
    tokens = [await hand_out(app, account) for account in (first, second)]
    assert tokens[0].access_token == tokens[1].access_token
    assert [SUPPORT, "Sales@contoso.example"] == [token.email for token in tokens]

    assert Removed(1) == await remove_account(app, first)

    with pytest.raises(NotFound):
        await hand_out(app, first)
    assert tokens[1].access_token == (await hand_out(app, second)).access_token


async def test_own_mailbox_is_no_shared_one_in_any_case(app: App, visitor: Visitor, person: NewPerson) -> None:
    who = person()

    assert "own_mailbox" == end_of(await sign_in(app, visitor, await ask(app, email=who.title()), who))


async def test_address_of_another_mailbox_is_not_the_own_one(app: App, visitor: Visitor, person: NewPerson) -> None:
    link = await ask(app, delegated=False)

    assert "email_mismatch" == end_of(await sign_in(app, visitor, link, person()))


async def test_one_of_several_people_who_complete_a_link_at_once_wins(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    for _ in range(4):
        link, people, returns = await ask(app), [person() for _ in range(3)], []
        for who in people:
            begun = await go_to_microsoft(app, visitor, link)
            returns.append(complete_sign_in(app, await choose_person(visitor, begun.picker, who), begun.cookie))

        ends = [end_of(outcome) for outcome in await asyncio.gather(*returns)]

        assert 1 == ends.count("new"), ends
        assert {"new", "link_used"} >= set(ends) - {"account_busy"}, ends
        winner = people[ends.index("new")]
        assert winner == (await known_account(app, link.accounts[0])).account.value.sign_in_name
        assert RegistrationStatus.COMPLETED is await status(app, link)


async def test_opening_is_noticed_and_may_happen_often(app: App, visitor: Visitor, person: NewPerson) -> None:
    link = await ask(app)
    for _ in range(3):
        await open_page(app, link)

    assert RegistrationStatus.OPENED is await status(app, link)
    assert "new" == end_of(await sign_in(app, visitor, link, person()))


async def test_login_hint_is_the_person_and_never_the_shared_mailbox(
    app: App, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who = person()
    await go_to_microsoft(app, visitor, await ask(app))
    await go_to_microsoft(app, visitor, await ask(app, expected_email=who))

    shown = tenant.events("authorize shown")[-2:]
    assert [None, who] == [event.get("login_hint") for event in shown]
    assert ["select_account"] * 2 == [event["prompt"] for event in shown]
