"""Links that their caller cancels, and links that end with their account."""

import asyncio
import json
from contextlib import suppress
from typing import NamedTuple

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableEntity

from infra.local.visitor import Visitor
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.link import UnusableLink, begin_sign_in
from shared.usecases.sign_in.outcome import CarriedField, keep_checking
from shared.usecases.sign_in.start import Started, cancel_registration, start_registration
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import (
    REDIRECT_URL,
    SALES,
    SUPPORT,
    NewPerson,
    ask,
    ask_for_several,
    bind,
    choose_person,
    end_of,
    go_to_microsoft,
    open_page,
    sign_in,
    status,
)


class Waiting(NamedTuple):
    """A page on which the person asked Mailbind to keep checking."""

    keep: CarriedField
    cookie: Secret


async def cancel(app: App, link: Started) -> str:
    """The status after the link was cancelled."""
    return (await cancel_registration(app, link.registration, ADMINISTRATOR)).status_at(app.clock())


async def wait_for_access(app: App, visitor: Visitor, link: Started, login: str) -> Waiting:
    """Sign in without access, and ask Mailbind to keep checking."""
    begun = await go_to_microsoft(app, visitor, link)
    outcome = await complete_sign_in(app, await choose_person(visitor, begun.picker, login), begun.cookie)
    assert "no_mailbox_access" == end_of(outcome)
    assert outcome.keep is not None
    await keep_checking(app, outcome.keep, begun.cookie)
    assert "waitingForAccess" == await status(app, link)
    return Waiting(outcome.keep, begun.cookie)


async def rows_in(app: App, table: str) -> list[TableEntity]:
    """All rows of a table. It does not exist before its first row."""
    with suppress(ResourceNotFoundError):
        return [row async for row in storage_of(app).get_table_client(table).list_entities()]
    return []


async def rows_of(app: App, who: str) -> list[str]:
    """The keys of all rows about a person except events."""
    rows = await rows_in(app, "Principals")
    return [row["RowKey"] for row in rows if who in str(row) and not row["RowKey"].startswith("event~")]


async def failures_of(app: App, account: str) -> list[str]:
    """The codes of `registrationFailed` events that are not delivered yet."""
    rows = [*await rows_in(app, "Principals"), *await rows_in(app, "Registrations")]
    events = [row for row in rows if row["RowKey"].startswith("event~") and row["name"] == "registrationFailed"]
    return [json.loads(row["data"])["code"] for row in events if row["account"] == account]


async def test_cancelled_link_does_not_work(app: App, clock: MovedClock) -> None:
    link = await ask(app)
    page = await open_page(app, link)

    assert ["cancelled"] * 2 == [await cancel(app, link) for _ in range(2)]

    with pytest.raises(UnusableLink, match="link_cancelled"):
        await open_page(app, link)
    with pytest.raises(UnusableLink, match="link_cancelled"):
        await begin_sign_in(app, link.registration, page.confirmation, page.cookie)
    clock.forward(hours=26)
    await tick(app)
    assert "cancelled" == await status(app, link)


async def test_cancelled_link_refuses_a_sign_in_without_an_event(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    at_microsoft, probing = await ask(app), await ask(app)
    begun = await go_to_microsoft(app, visitor, at_microsoft)
    response = await choose_person(visitor, begun.picker, person())
    await cancel(app, at_microsoft)
    assert "link_cancelled" == end_of(await complete_sign_in(app, response, begun.cookie))

    visitor.cookies.clear()
    begun = await go_to_microsoft(app, visitor, probing)
    response = await choose_person(visitor, begun.picker, person())
    tenant.do("latency", endpoint="graph", milliseconds=1500)
    coming_back = asyncio.create_task(complete_sign_in(app, response, begun.cookie))
    await asyncio.sleep(1)

    assert "cancelled" == await cancel(app, probing)
    assert not coming_back.done()
    assert "link_cancelled" == end_of(await coming_back)
    for link in (at_microsoft, probing):
        assert await find_account(app, link.accounts[0]) is None
        assert [] == await failures_of(app, link.accounts[0])


async def test_cancelling_a_link_ends_waiting_for_access(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who, link = person(access=False), await ask(app)
    waiting = await wait_for_access(app, visitor, link, who)
    assert await rows_of(app, who)

    await cancel(app, link)

    assert [] == await rows_of(app, who)
    assert "link_cancelled" == end_of(await keep_checking(app, *waiting))
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    clock.forward(minutes=6)
    await tick(app)
    (account,) = link.accounts
    assert await find_account(app, account) is None
    assert ["no_mailbox_access"] == await failures_of(app, account)  # of the sign-in that began to wait


async def test_removing_an_account_ends_its_open_links(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    repair = await ask(app, account=account)
    begun = await go_to_microsoft(app, visitor, repair)
    response = await choose_person(visitor, begun.picker, who)

    await remove_account(app, account)

    assert "account_removed" == end_of(await complete_sign_in(app, response, begun.cookie))
    with pytest.raises(UnusableLink, match="account_removed"):
        await open_page(app, repair)
    assert "cancelled" == await status(app, repair)
    assert await find_account(app, account) is None
    newer = await ask(app, account=account)
    with pytest.raises(UnusableLink) as replaced:
        await open_page(app, repair)
    assert "account_removed" != replaced.value.code
    assert "new" == end_of(await sign_in(app, visitor, newer, who))
    await remove_account(app, account)
    clock.forward(days=9)
    for _ in range(2):  # the end of a link schedules its deletion
        await tick(app)
    assert [] == [row["PartitionKey"] for row in await rows_in(app, "Registrations") if account in str(row)]


async def test_removing_an_account_ends_waiting_for_it(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    account, who = await bind(app, visitor, person()), person(access=False)
    visitor.cookies.clear()
    await wait_for_access(app, visitor, await ask(app, account=account, allow_principal_change=True), who)
    assert await rows_of(app, who)

    await remove_account(app, account)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    clock.forward(minutes=6)
    await tick(app)

    assert await find_account(app, account) is None
    assert [] == await rows_of(app, who)
    assert ["account_removed"] == [code for code in await failures_of(app, account) if code != "no_mailbox_access"]


async def test_removed_account_leaves_a_link_to_several(
    reusing_app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    app, who = reusing_app, person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    first = await ask_for_several(app, SUPPORT, SALES)
    await sign_in(app, visitor, first, who)
    support, sales = first.accounts
    mailboxes = (InvitedMailbox(support, SUPPORT), InvitedMailbox(sales, SALES))
    again = await start_registration(app, Invitation(REDIRECT_URL, mailboxes=mailboxes), {}, ADMINISTRATOR)

    await remove_account(app, support)

    await sign_in(app, visitor, again, who)
    stored = await app.stores.registrations.get(again.registration)
    assert stored is not None
    assert "completed" == stored.value.status_at(app.clock())
    assert ["account_removed", "existing"] == [mailbox.failure or mailbox.state for mailbox in stored.value.mailboxes]
    assert await find_account(app, support) is None
