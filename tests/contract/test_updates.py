"""Changes of one row are repeated after a conflict, on Azurite."""

import asyncio
import secrets
from dataclasses import replace

import pytest

from shared.domain.account import Principal
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.invited_mailbox import PendingAccount, new_pending_account
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import MAX_WRITE_ATTEMPTS, App, DirectoryEntry, Insert, Remove, Replace, Stored, retry_on_conflict
from tests.contract.records import APP, grant, principal


async def test_update_applies_every_concurrent_change(services: App) -> None:
    name, rows = secrets.token_hex(8), services.stores.directory

    def add_letter(entry: DirectoryEntry | None) -> DirectoryEntry:
        return DirectoryEntry(name, f"{(entry and entry.principal_id) or ''}x")

    await asyncio.gather(*(rows.update(name, add_letter) for _ in range(5)))

    stored = await rows.get(name)
    assert stored is not None
    assert "xxxxx" == stored.value.principal_id


async def test_update_writes_nothing_when_nothing_changes(services: App) -> None:
    name, rows = secrets.token_hex(8), services.stores.directory
    first = await rows.insert(DirectoryEntry(name, "p", "app"))

    def nothing(_: DirectoryEntry | None) -> None:
        return None

    assert first.value == await rows.update(name, lambda entry: entry or DirectoryEntry(name))
    assert None is await rows.update(name, nothing)
    assert first == await rows.get(name)


async def test_update_passes_on_what_the_change_raises(services: App) -> None:
    def refuse(_: DirectoryEntry | None) -> DirectoryEntry:
        raise NotFound("No such account")

    with pytest.raises(NotFound):
        await services.stores.directory.update(secrets.token_hex(8), refuse)


async def test_retries_end_with_a_conflict() -> None:
    attempts = []

    async def attempt() -> None:
        attempts.append("attempt")
        raise StaleWrite

    with pytest.raises(Conflict):
        await retry_on_conflict(attempt)

    assert MAX_WRITE_ATTEMPTS == len(attempts)


async def test_update_of_a_grant_continues_from_the_newest_version(services: App) -> None:
    person, principals = principal(), services.stores.principals
    first = grant(person, services.clock())
    (version,) = await principals.commit(person.id, [Insert(first)])
    await principals.commit(person.id, [Replace(replace(first, scopes=("mail",)), version)])

    def rebind(stored: DelegatedGrant) -> DelegatedGrant:
        return replace(stored, bindings="second")

    updated = await principals.update_grant(Stored(first, version), rebind)

    assert updated == await principals.grant(person.id, APP)
    assert updated is not None
    assert (("mail",), "second") == (updated.value.scopes, updated.value.bindings)


async def test_update_of_a_removed_grant_returns_none(services: App) -> None:
    person, principals = principal(), services.stores.principals
    first = grant(person, services.clock())
    (version,) = await principals.commit(person.id, [Insert(first)])
    await principals.commit(person.id, [Remove(first, version)])

    assert None is await principals.update_grant(Stored(first, version), lambda stored: stored)


async def test_pending_accounts_of_two_tabs_are_merged(services: App) -> None:
    person, principals, link = principal(), services.stores.principals, secrets.token_hex(32)

    async def wait_for(account: str) -> None:
        pending = _pending(services, person, link, account)
        await principals.update_pending(person.id, link, lambda old: pending.merged_with(old) if old else pending)

    await asyncio.gather(wait_for("one"), wait_for("two"))

    stored = await principals.pending(person.id, link)
    assert stored is not None
    assert {"one", "two"} == set(stored.value.accounts)


def _pending(services: App, person: Principal, registration: str, account: str) -> PendingAccount:
    now = services.clock()
    return new_pending_account(
        registration=registration,
        accounts=(account,),
        principal=person,
        app=APP,
        tokens=TokenSet(Secret("refresh-token"), Secret("access-token"), now, ("mail",)),
        kept=True,
        reason="no_mailbox_access",
        now=now,
    )
