"""The process dies between binding an account to another person and confirming it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx

from infra.local.visitor import Visitor
from shared.domain.account import Account
from shared.ports import App, Claim, DirectoryEntry, Insert
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import find_account
from tests.conftest import MovedClock
from tests.contract.records import APP, grant, principal
from tests.faults.test_shared_backlog import mended
from tests.journey.conftest import bind

type NewPerson = Callable[..., str]


async def half_taken_over(instance: App, account: str, *, claimed_for: timedelta) -> Account:
    """A takeover that was written but not confirmed: two rows for one account."""
    found = await find_account(instance, account)
    assert found is not None
    rival, entry = principal(), found.entry
    theirs = replace(found.account.value, principal_id=rival.id, registration="rival")
    await instance.stores.principals.commit(rival.id, [Insert(grant(rival, instance.clock())), Insert(theirs)])
    claim = Claim(rival.id, APP, "rival", instance.clock() + claimed_for)
    await instance.stores.directory.replace(entry, replace(entry.value, claim=claim))
    return theirs


async def test_sweep_removes_an_unconfirmed_takeover(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    await mended(instance)
    theirs = await half_taken_over(instance, account, claimed_for=timedelta(seconds=-1))

    assert 2 == await mended(instance)  # their account, and the agenda row that their grant never had

    assert None is await instance.stores.principals.account(theirs.principal_id, account)
    assert None is await instance.stores.principals.grant(theirs.principal_id, APP)
    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code
    assert 0 == await mended(instance)


async def test_sweep_leaves_a_takeover_in_progress_alone(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    theirs = await half_taken_over(instance, account, claimed_for=timedelta(minutes=2))

    await mended(instance)

    assert await instance.stores.principals.account(theirs.principal_id, account)
    await remove_account(instance, account)


async def test_removed_account_does_not_come_back_after_a_takeover(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    theirs = await half_taken_over(instance, account, claimed_for=timedelta(seconds=-1))

    api.delete(f"/v1/account/{account}")
    await mended(instance)

    assert 404 == api.get(f"/v1/account/{account}").status_code
    assert None is await instance.stores.directory.get(account)
    assert None is await instance.stores.principals.account(theirs.principal_id, account)


async def test_sweep_confirms_an_unconfirmed_binding(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    await mended(instance)  # what other tests left
    entry = await instance.stores.directory.get(account)
    assert entry is not None
    assert entry.value.principal_id
    claim = Claim(entry.value.principal_id, APP, "link", clock() - timedelta(seconds=1))
    await instance.stores.directory.replace(entry, DirectoryEntry(account, claim=claim))

    assert 1 == await mended(instance)

    confirmed = await instance.stores.directory.get(account)
    assert confirmed is not None
    assert DirectoryEntry(account, entry.value.principal_id, APP) == confirmed.value
