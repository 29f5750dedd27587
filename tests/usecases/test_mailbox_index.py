"""The index of mailboxes follows every binding, change and removal, and the sweep verifies it."""

import asyncio
import logging
import uuid
from dataclasses import replace
from datetime import timedelta
from itertools import batched

import pytest

from infra.local import parts
from infra.local.visitor import Visitor
from shared.domain.caller import Binding, Caller
from shared.domain.errors import NotFound, StaleWrite
from shared.domain.formats import table_key
from shared.domain.mailbox import BoundMailbox
from shared.domain.work import Sweep
from shared.ports import App, Claim, DirectoryEntry, Replace
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.mailbox_index import ROWS_CHECKED_AT_ONCE, remove_unbound_rows
from shared.usecases.accounts.read import known_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.mail.find_account import find_accounts
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.sweep import sweep
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant
from tests.storage_requests import recorded_requests
from tests.usecases.conftest import SALES, SUPPORT, NewPerson, Register, StartApp, ask, bind, end_of, sign_in
from tests.usecases.grants import events_of

NEW_ADDRESS = "helpdesk@contoso.example"


async def rows_of(app: App, account: str) -> set[BoundMailbox]:
    return {
        stored.value async for _, stored in app.stores.mailboxes.everything(None) if stored.value.account == account
    }


async def row_of(app: App, account: str) -> BoundMailbox:
    """The row that the account needs."""
    return BoundMailbox.of((await known_account(app, account)).account.value)


async def swept(app: App) -> Sweep:
    result = await sweep(app, app.clock() + timedelta(minutes=4))
    assert (None, None, ()) == (result.cursor, result.index_cursor, result.failed)
    return result


async def spoil(app: App, account: str, **values: str | None) -> None:
    """Change properties of the account's row in the index; None removes one."""
    row = await row_of(app, account)
    rows = storage_of(app).get_table_client("Mailboxes")
    entity = {**await rows.get_entity(table_key(row.address), table_key(account)), **values}
    kept = {name: value for name, value in entity.items() if value is not None}
    await rows.upsert_entity(kept, mode="replace")


async def test_binding_and_removal_write_and_remove_the_row(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person(), email=SUPPORT.upper())

    (row,) = await rows_of(app, account)

    assert (SUPPORT, await row_of(app, account)) == (row.address, row)
    assert row.inbox_id is not None
    await remove_account(app, account)
    assert set() == await rows_of(app, account)


async def test_two_accounts_of_one_mailbox_are_bound_at_once(app: App, visitor: Visitor, person: NewPerson) -> None:
    accounts = {await bind(app, visitor, person()) for _ in range(2)}

    assert accounts <= set(await find_accounts(app, ADMINISTRATOR, SUPPORT))
    await remove_account(app, accounts.pop())
    assert accounts <= set(await find_accounts(app, ADMINISTRATOR, SUPPORT))


async def test_remembered_mailbox_is_found_without_a_request(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    first, second = [await bind(app, visitor, person()) for _ in range(2)]
    callers = [Caller("", "", frozenset(), Binding.to(bound)) for bound in ([first], [first, second])]
    names = (SUPPORT, first)
    for caller in callers:
        await find_accounts(app, caller, SUPPORT)
    await hand_out(app, first)
    await hand_out(app, first)

    with recorded_requests() as requests:
        for caller in callers:
            for name in names:
                assert [first] == list(await find_accounts(app, caller, name))

    assert [] == requests.made
    clock.forward(seconds=30)
    with recorded_requests() as requests:
        await find_accounts(app, callers[0], SUPPORT)
    assert 1 == requests.count


async def test_changes_apply_to_remembered_mailboxes(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    """At once where they are made, and where the caller has no account of the address yet."""
    other, account = new_app(), await bind(app, visitor, person())
    older = Caller("", "", frozenset(), Binding.to([account]))
    for instance in (app, other):
        assert [account] == list(await find_accounts(instance, older, SUPPORT))

    newer = await bind(app, visitor, person())

    mine = Caller("", "", frozenset(), Binding.to([newer]))
    for instance in (app, other):
        assert [newer] == list(await find_accounts(instance, mine, SUPPORT))
    await remove_account(app, newer)
    with pytest.raises(NotFound):
        await find_accounts(app, mine, SUPPORT)
    clock.forward(seconds=30)
    with pytest.raises(NotFound):
        await find_accounts(other, mine, SUPPORT)


@pytest.mark.parametrize("is_same_person", [True, False])
async def test_row_follows_a_change_of_the_mailbox(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, *, is_same_person: bool
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    heir = who if is_same_person else person()
    tenant.do("access", person=heir, mailbox=SALES, fullAccess=True)

    moves = {"email": SALES, "change_mailbox": True, "allow_principal_change": True}
    visitor.cookies.clear()
    assert "existing" == end_of(await sign_in(app, visitor, await ask(app, account=account, **moves), heir))

    assert {await row_of(app, account)} == await rows_of(app, account)
    assert account in await find_accounts(app, ADMINISTRATOR, SALES)
    await remove_account(app, account)


async def test_row_follows_the_mailbox_to_its_new_address(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    before = await row_of(app, account)
    tenant.do("address", mailbox=SUPPORT, address=NEW_ADDRESS)

    link = await ask(app, account=account, email=NEW_ADDRESS, change_mailbox=True)
    assert "existing" == end_of(await sign_in(app, visitor, link, who))

    assert {replace(before, address=NEW_ADDRESS)} == await rows_of(app, account)


@pytest.mark.parametrize("mail", ["the mailbox's", "another", "of an unknown tenant"])
async def test_own_mailbox_is_found_at_its_new_primary_address(
    app: App,
    new_app: StartApp,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    register: Register,
    shared_tenant: parts.Part,
    mail: str,
) -> None:
    """Administrators can enter any address: it counts if they are trusted, and if the mailbox opens under it."""
    who, other, follows = person(), new_app(), mail == "the mailbox's"
    kind = {}
    if mail == "of an unknown tenant":
        tenants = (shared_tenant.ready["tenantId"], str(uuid.uuid4()))
        kind = {"type": await register(authority="organizations", tenants=tenants)}
    account = await bind(app, visitor, who, email=None, delegated=False, **kind)
    assert who == (await hand_out(other, account)).email  # and cached
    primary = who.replace("person", "primary")
    tenant.do("person", upn=who, address=primary, mail="desk@contoso.example" if mail == "another" else primary)

    assert (await reconnect_account(app, account)).failed is None

    address = primary if follows else who
    (row,) = await rows_of(app, account)
    assert (address, await row_of(app, account)) == (row.address, row)
    assert address == (await hand_out(other, account)).email
    assert follows == (await events_of(app, account)).count("accountChanged")


async def test_inbox_id_found_by_a_probe_is_written_to_the_row(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    row = await row_of(app, account)
    stored = (await known_account(app, account)).account
    earlier = replace(stored.value, inbox_id=None)
    await app.stores.principals.commit(earlier.principal_id, [Replace(earlier, stored.version)])
    await spoil(app, account, inbox_id=None)

    await reconnect_account(app, account)

    assert {row} == await rows_of(app, account)


async def test_sweep_writes_missing_and_wrong_rows(
    app: App, visitor: Visitor, person: NewPerson, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = [await bind(app, visitor, person()) for _ in range(3)]
    await swept(app)
    missing = await app.stores.mailboxes.get(SUPPORT, accounts[0])
    assert missing is not None
    await app.stores.mailboxes.remove(missing)
    await spoil(app, accounts[1], inbox_id="another")
    await spoil(app, accounts[2], address=None)

    with caplog.at_level(logging.WARNING):
        assert 3 == (await swept(app)).mended

    mended = [record.__dict__["account"] for record in caplog.records if record.message == "mailbox was not in index"]
    assert sorted(accounts) == sorted(mended)
    for account in accounts:
        assert {await row_of(app, account)} == await rows_of(app, account)
    assert 0 == (await swept(app)).mended


async def test_sweep_removes_rows_that_a_crash_left(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    await swept(app)
    for left in (BoundMailbox(SUPPORT, "never-bound"), BoundMailbox(SALES, account)):
        await app.stores.mailboxes.put(left)

    assert 2 == (await swept(app)).mended

    assert {await row_of(app, account)} == await rows_of(app, account)
    assert set() == await rows_of(app, "never-bound")


async def test_sweep_leaves_the_row_of_a_binding_in_progress_alone(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    link = await ask(app)
    claim = Claim("somebody.else", "app", "registration", app.clock() + timedelta(minutes=2))
    await app.stores.directory.insert(DirectoryEntry(link.accounts[0], claim=claim))
    await app.stores.mailboxes.put(BoundMailbox(SUPPORT, link.accounts[0]))

    await swept(app)
    assert 1 == len(await rows_of(app, link.accounts[0]))
    clock.forward(minutes=3)
    await swept(app)
    assert set() == await rows_of(app, link.accounts[0])

    assert "new" == end_of(await sign_in(app, visitor, link, person()))
    assert {await row_of(app, link.accounts[0])} == await rows_of(app, link.accounts[0])


async def test_row_written_again_since_it_was_read_stays(app: App) -> None:
    row = BoundMailbox(SUPPORT, "bound-just-now")
    await app.stores.mailboxes.put(row)
    stored = await app.stores.mailboxes.get(SUPPORT, row.account)
    assert stored is not None
    await app.stores.mailboxes.put(row)

    with pytest.raises(StaleWrite):
        await app.stores.mailboxes.remove(stored)
    assert {row} == await rows_of(app, row.account)
    await swept(app)
    assert set() == await rows_of(app, row.account)


async def test_check_of_the_index_continues_where_it_stopped(app: App) -> None:
    left = [BoundMailbox(f"left-{number}@contoso.example", "never-bound") for number in range(ROWS_CHECKED_AT_ONCE + 9)]
    for some in batched(left, 32, strict=False):
        await asyncio.gather(*map(app.stores.mailboxes.put, some))

    first = await remove_unbound_rows(app, None, app.clock())
    assert first.cursor is not None
    rest = await remove_unbound_rows(app, first.cursor, app.clock())

    assert (len(left), None) == (first.removed + rest.removed, rest.cursor)
    assert set() == await rows_of(app, "never-bound")
