"""An existing account gets another person or mailbox only from permitted callers, and never silently."""

from dataclasses import replace
from typing import Any

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import Account
from shared.domain.caller import Caller, Scope
from shared.domain.errors import InvalidInput
from shared.domain.formats import fingerprint
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.secret import Secret
from shared.ports import App, DirectoryEntry, Insert
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import read_account
from shared.usecases.callers.identify import ADMINISTRATOR, identify_caller
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import Started, start_registration
from tests.contract import records
from tests.journey.callers import api_token
from tests.journey.conftest import Tenant
from tests.usecases.conftest import REDIRECT_URL, SALES, SUPPORT, NewPerson, Register, bind, end_of, sign_in

BOTH = {"allow_principal_change": True, "change_mailbox": True}


async def caller_with(app: App, *scopes: Scope) -> Caller:
    return await identify_caller(app, Secret(await api_token(app, frozenset(scopes))), None)


@pytest.fixture
async def registrar(app: App) -> Caller:
    """A caller that may register, and nothing else."""
    return await caller_with(app, Scope.REGISTER)


@pytest.fixture
async def writer(app: App) -> Caller:
    """A caller that may register and write accounts."""
    return await caller_with(app, Scope.REGISTER, Scope.ACCOUNTS_WRITE)


async def ask_as(app: App, caller: Caller, **form: Any) -> Started:
    return await start_registration(app, Invitation(REDIRECT_URL, **form), {}, caller)


async def refused_fields(app: App, caller: Caller, **form: Any) -> set[str]:
    with pytest.raises(InvalidInput) as refused:
        await ask_as(app, caller, **form)
    return set(refused.value.fields)


async def account_of(app: App, account: str) -> Account:
    return (await read_account(app, account)).account


async def add_account(app: App, account: Account) -> None:
    await app.stores.principals.commit(account.principal_id, [Insert(account)])
    await app.stores.directory.insert(DirectoryEntry(account.id, account.principal_id, account.app))


async def test_form_that_changes_an_account_needs_accounts_write(
    app: App, registrar: Caller, writer: Caller, visitor: Visitor, person: NewPerson
) -> None:
    shared = {"account": await bind(app, visitor, person()), "email": SUPPORT, "delegated": True}
    moved = {**shared, "email": SALES}

    assert {"allowPrincipalChange"} == await refused_fields(app, registrar, **shared, allow_principal_change=True)
    assert {"changeMailbox"} == await refused_fields(app, registrar, **moved, change_mailbox=True)
    assert {"email"} == await refused_fields(app, registrar, **moved)
    assert {"email"} == await refused_fields(app, writer, **moved)
    assert {"allowPrincipalChange", "changeMailbox"} == await refused_fields(app, registrar, **moved, **BOTH)
    for caller, form in ((registrar, shared), (writer, {**moved, **BOTH}), (registrar, {"account": shared["account"]})):
        assert (shared["account"],) == (await ask_as(app, caller, **form)).accounts


async def test_form_for_several_mailboxes_needs_accounts_write_too(reusing_app: App) -> None:
    app, who = reusing_app, records.principal()
    registrar = await caller_with(app, Scope.REGISTER)
    support, sales = (replace(records.account(who, app.clock()), email=email) for email in (SUPPORT, SALES))
    for account in (support, sales):
        await add_account(app, account)
    swapped = (InvitedMailbox(support.id, SALES), InvitedMailbox(sales.id, SUPPORT))

    assert {"mailboxes[0].email", "mailboxes[1].email"} == await refused_fields(app, registrar, mailboxes=swapped)
    assert {"changeMailbox"} == await refused_fields(app, registrar, mailboxes=swapped, change_mailbox=True)


async def test_account_created_after_the_form_keeps_person_and_mailbox(
    app: App, registrar: Caller, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    existing = await account_of(app, await bind(app, visitor, who))
    for principal_id, wanted, code in (
        (records.principal().id, SUPPORT, "wrong_principal"),
        (existing.principal_id, SALES, "other_mailbox"),
    ):
        link = await ask_as(app, registrar, account=f"{code}-raced", email=wanted, delegated=True, **BOTH)
        raced = replace(existing, id=link.accounts[0], principal_id=principal_id, inbox_id=None)
        await add_account(app, raced)

        assert code == end_of(await sign_in(app, visitor, link, who))
        assert raced == await account_of(app, raced.id)


async def test_authority_lost_before_the_sign_in_changes_nothing(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who, mallory = person(), person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    account = await bind(app, visitor, who)
    for login, wanted, code in ((mallory, SUPPORT, "wrong_principal"), (who, SALES, "other_mailbox")):
        token = await api_token(app, frozenset({Scope.REGISTER, Scope.ACCOUNTS_WRITE}))
        caller = await identify_caller(app, Secret(token), None)
        link = await ask_as(app, caller, account=account, email=wanted, delegated=True, **BOTH)
        stored = await app.stores.api_tokens.get(fingerprint(token))
        assert stored is not None
        await app.stores.api_tokens.replace(stored, replace(stored.value, scopes=frozenset({Scope.REGISTER})))
        app.callers.api_tokens.forget(fingerprint(token))
        visitor.cookies.clear()

        assert code == end_of(await sign_in(app, visitor, link, login))
        kept = await account_of(app, account)
        assert (who, SUPPORT) == (kept.sign_in_name, kept.email)


async def test_register_scope_changes_neither_name_nor_oauth_app(
    app: App, registrar: Caller, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    who, second_app = person(), await register()
    account = await bind(app, visitor, who, name="Support", type=APP_ID)
    other_app = {"account": account, "email": SUPPORT, "delegated": True, "type": second_app}

    assert {"type"} == await refused_fields(app, registrar, **other_app)
    renamed = await ask_as(app, registrar, account=account, email=SUPPORT, delegated=True, name="Mallory")
    assert "existing" == end_of(await sign_in(app, visitor, renamed, who))
    kept = await account_of(app, account)
    assert ("Support", APP_ID) == (kept.name, kept.app)

    link = await ask_as(app, registrar, account="raced-by-app", email=SUPPORT, delegated=True, type=second_app)
    await add_account(app, replace(kept, id=link.accounts[0]))
    assert "other_app" == end_of(await sign_in(app, visitor, link, who))
    await remove_account(app, link.accounts[0])

    moved = await ask_as(app, ADMINISTRATOR, **other_app, name="Sales desk")
    assert "existing" == end_of(await sign_in(app, visitor, moved, who))
    changed = await account_of(app, account)
    assert ("Sales desk", second_app) == (changed.name, changed.app)


async def test_own_mailbox_keeps_its_person_if_the_form_names_nobody(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    who, other = person(), person()
    account = await bind(app, visitor, who, email=None, delegated=False)

    unnamed = await ask_as(app, ADMINISTRATOR, account=account, **BOTH)
    assert "wrong_principal" == end_of(await sign_in(app, visitor, unnamed, other))
    assert who == (await account_of(app, account)).sign_in_name

    change = {"account": account, "email": other}
    assert {"changeMailbox"} == await refused_fields(app, ADMINISTRATOR, **change, allow_principal_change=True)
    named = await ask_as(app, ADMINISTRATOR, **change, **BOTH)
    assert "existing" == end_of(await sign_in(app, visitor, named, other))
    changed = await account_of(app, account)
    assert (other, other) == (changed.sign_in_name, changed.email)
