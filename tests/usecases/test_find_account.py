"""Callers name a mailbox by its address or its account: the index finds the accounts, and the accounts decide."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.account import Account, AccountState
from shared.domain.caller import Binding, Caller, Scope
from shared.domain.errors import NotFound
from shared.domain.mailbox import BoundMailbox
from shared.ports import App, DirectoryEntry, Insert
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.find_account import ACCOUNTS_READ_AT_ONCE, find_accounts
from tests.conftest import MovedClock, settings_for
from tests.contract import records
from tests.faults.lossy_proxy import lossy_proxy

PAUSED = {"state": AccountState.PAUSED}


@pytest.fixture
async def app(storage: Azurite, clock: MovedClock) -> AsyncIterator[App]:
    built = build(settings_for(storage.connection_string), clock)
    yield built
    await built.close()


def bound_to(*accounts: str) -> Caller:
    return Caller("token:x", "x", frozenset({Scope.ADMIN}), Binding.to(accounts))


async def store(app: App, account: str, email: str, **changes: Any) -> Account:
    """A bound account with its row in the index."""
    who = records.principal()
    stored = replace(records.account(who, app.clock(), account), email=email, **changes)
    await app.stores.mailboxes.put(BoundMailbox.of(stored))
    await app.stores.principals.commit(who.id, [Insert(stored)])
    await app.stores.directory.insert(DirectoryEntry(account, who.id, stored.app))
    return stored


async def refusal(app: App, caller: Caller, mailbox: str) -> str:
    with pytest.raises(NotFound) as refused:
        await find_accounts(app, caller, mailbox)
    return str(refused.value)


async def test_mailbox_is_found_by_its_address_and_its_account(app: App) -> None:
    account = await store(app, "The-Account", "Support@contoso.example")

    for mailbox in ("support@contoso.example", "SUPPORT@Contoso.Example", "The-Account", "the-account"):
        for caller in (ADMINISTRATOR, bound_to("the-account")):
            assert ["The-Account"] == list(await find_accounts(app, caller, mailbox))
        assert account.is_named(mailbox)
    assert not account.is_named("sales@contoso.example")


async def test_address_is_found_in_both_spellings_of_its_domain(app: App) -> None:
    await store(app, "international", "info@xn--strae-oqa.example")

    assert ["international"] == list(await find_accounts(app, ADMINISTRATOR, "Info@Straße.example"))
    assert await refusal(app, ADMINISTRATOR, "info@strasse.example")


async def test_unbound_mailboxes_and_those_of_others_get_one_answer(app: App) -> None:
    await store(app, "theirs", "theirs@contoso.example")
    await store(app, "mine", "mine@contoso.example")
    unknown = ("nobody@contoso.example", "nobody", "", "@", "\0", "x" * 2000, "@" * 2000)

    answers = {await refusal(app, bound_to("mine"), name) for name in ("theirs@contoso.example", "theirs", *unknown)}
    answers |= {await refusal(app, ADMINISTRATOR, name) for name in unknown}

    assert 1 == len(answers)
    assert answers.pop().startswith("No such mailbox")


async def test_healthy_account_comes_first(app: App) -> None:
    address = "several@contoso.example"
    await store(app, "a-paused", address, **PAUSED)
    await store(app, "b-connected", address)
    await store(app, "c-replaced", address, replaced_since=app.clock())

    assert ["b-connected", "a-paused", "c-replaced"] == list(await find_accounts(app, ADMINISTRATOR, address))
    usable = bound_to("a-paused", "c-replaced")
    assert ["a-paused", "c-replaced"] == list(await find_accounts(app, usable, address))
    assert ["a-paused"] == list(await find_accounts(app, bound_to("a-paused"), address))


async def test_healthy_account_is_found_behind_many_others(app: App) -> None:
    address = "many@contoso.example"
    for number in range(ACCOUNTS_READ_AT_ONCE + 1):
        await store(app, f"ill-{number}", address, **PAUSED)
    await store(app, "well", address)

    assert "well" == (await find_accounts(app, ADMINISTRATOR, address))[0]


async def test_rows_without_their_account_lead_nowhere(app: App) -> None:
    """As a crash before the transaction of a binding leaves them, or one after a change of the address."""
    address = "left@contoso.example"
    moved = await store(app, "moved", "moved@contoso.example")
    for account in ("gone", moved.id):
        await app.stores.mailboxes.put(BoundMailbox(address, account))

    assert await refusal(app, ADMINISTRATOR, address)
    await store(app, "stays", address)
    assert ["stays"] == list(await find_accounts(app, ADMINISTRATOR, address))
    assert not moved.is_named(address)


async def test_account_id_may_look_like_an_address(app: App) -> None:
    name = "id@contoso.example"
    await store(app, name, "elsewhere@contoso.example")
    assert [name] == list(await find_accounts(app, ADMINISTRATOR, name.upper()))

    await store(app, "by-address", name)

    assert ["by-address"] == list(await find_accounts(app, ADMINISTRATOR, name))
    assert [name] == list(await find_accounts(app, bound_to(name), name))


async def test_address_of_one_usable_account_costs_one_request(app: App, storage: Azurite, clock: MovedClock) -> None:
    address = "shared@contoso.example"
    for account in ("ours", "of-others"):
        await store(app, account, address)
    port = urlsplit(storage.tables_url).port or 0
    async with lossy_proxy(port) as (proxy, through):
        counted = build(settings_for(storage.connection_string.replace(f":{port}/", f":{through}/")), clock)
        assert ["ours"] == list(await find_accounts(counted, bound_to("ours"), address))
        await counted.close()

    assert 1 == proxy.requests
