"""A new link replaces the earlier one of its account, at whatever step that one is."""

import asyncio
import json
import secrets
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import AioHttpTransport

from infra.local.visitor import Visitor
from shared.domain.errors import InvalidInput, StorageUnavailable
from shared.domain.event import EventName
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.accounts.read import find_account
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.link import UnusableLink, begin_sign_in
from shared.usecases.sign_in.outcome import CarriedField, Completed, keep_checking
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import (
    SUPPORT,
    AtMicrosoft,
    NewPerson,
    ask,
    bind,
    choose_person,
    end_of,
    go_to_microsoft,
    open_page,
    sign_in,
    status,
)

PENDING, REPLACED, COMPLETED = RegistrationStatus.PENDING, RegistrationStatus.REPLACED, RegistrationStatus.COMPLETED


async def carried_grant(app: App, visitor: Visitor, begun: AtMicrosoft, login: str) -> CarriedField:
    """The grant of a person without access, on their page."""
    outcome = await complete_sign_in(app, await choose_person(visitor, begun.picker, login), begun.cookie)
    assert outcome.keep is not None
    return outcome.keep


async def test_open_page_of_a_replaced_link_does_not_work(app: App) -> None:
    link = await ask(app)
    page = await open_page(app, link)
    await ask(app, account=link.accounts[0])

    with pytest.raises(UnusableLink, match="link_replaced"):
        await begin_sign_in(app, link.registration, page.confirmation, page.cookie)


async def test_code_of_a_replaced_link_is_not_redeemed(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    link = await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    response = await choose_person(visitor, begun.picker, person())
    await ask(app, account=link.accounts[0])
    before = len(tenant.events("code redeemed"))

    assert "link_replaced" == end_of(await complete_sign_in(app, response, begun.cookie))

    assert before == len(tenant.events("code redeemed"))
    assert await find_account(app, link.accounts[0]) is None


async def test_carried_grant_works_for_the_newest_link_only(app: App, visitor: Visitor, person: NewPerson) -> None:
    link = await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    carried = await carried_grant(app, visitor, begun, person(access=False))
    await ask(app, account=link.accounts[0])

    assert "link_replaced" == end_of(await keep_checking(app, carried, begun.cookie))
    assert REPLACED is await status(app, link)


async def test_waiting_for_access_ends_with_its_link(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who, link = person(access=False), await ask(app)
    begun = await go_to_microsoft(app, visitor, link)
    carried = await carried_grant(app, visitor, begun, who)
    assert isinstance(await keep_checking(app, carried, begun.cookie), Completed)
    assert RegistrationStatus.WAITING_FOR_ACCESS is await status(app, link)
    await ask(app, account=link.accounts[0])
    assert REPLACED is await status(app, link)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)

    clock.forward(minutes=6)
    await tick(app)

    assert await find_account(app, link.accounts[0]) is None
    assert REPLACED is await status(app, link)
    raw = storage_of(app).get_table_client("Principals")
    rows = [row async for row in raw.list_entities() if link.accounts[0] in str(row) or who in str(row)]
    assert [(EventName.REGISTRATION_FAILED, "link_replaced")] == [
        (row["name"], json.loads(row["data"])["code"]) for row in rows
    ]


async def test_completed_link_is_not_replaced(app: App, visitor: Visitor, person: NewPerson) -> None:
    who, link = person(), await ask(app)
    await sign_in(app, visitor, link, who)

    repair = await ask(app, account=link.accounts[0])

    assert COMPLETED is await status(app, link)
    with pytest.raises(UnusableLink, match="link_used"):
        await open_page(app, link)
    assert "existing" == end_of(await sign_in(app, visitor, repair, who))


async def test_one_link_works_after_simultaneous_requests(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = (await ask(app)).accounts[0]
    links = await asyncio.gather(*(ask(app, account=account) for _ in range(6)))

    states = [await status(app, link) for link in links]

    assert [PENDING, *[REPLACED] * 5] == sorted(states)
    assert "new" == end_of(await sign_in(app, visitor, links[states.index(PENDING)], person()))


async def test_requests_without_an_account_replace_nothing(app: App) -> None:
    first = await ask(app, account=None)
    await ask(app, account=None)

    assert PENDING is await status(app, first)


async def test_replaced_link_stays_replaced(app: App) -> None:
    earlier = await ask(app)
    newer = await ask(app, account=earlier.accounts[0])

    await app.stores.registrations.forget(newer.registration)

    assert REPLACED is await status(app, earlier)
    rows = [row async for row in storage_of(app).get_table_client("Registrations").list_entities()]
    assert [] == [row for row in rows if newer.registration in str(row)]


async def test_refused_request_replaces_nothing(app: App) -> None:
    link = await ask(app)

    with pytest.raises(InvalidInput) as refused:
        await ask(app, account=link.accounts[0], redirect_url="no-url")

    assert {"redirectUrl"} == set(refused.value.fields)
    assert PENDING is await status(app, link)


async def test_repair_link_replaces_no_link_of_other_accounts(app: App, visitor: Visitor, person: NewPerson) -> None:
    other = await ask(app)
    account = await bind(app, visitor, person())

    await ask(app, account=account)

    assert PENDING is await status(app, other)


async def test_refused_form_leaves_no_work(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())
    before = await expiries(app)

    with pytest.raises(InvalidInput) as refused:
        await ask(app, account=account.upper())

    assert ["account"] == [*refused.value.fields]

    assert before == await expiries(app)


async def test_link_that_could_not_be_stored_leaves_nothing(
    app: App, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(app)
    account, before, send = f"lost-{secrets.token_hex(4)}", await expiries(app), AioHttpTransport.send

    async def send_all_else(transport: AioHttpTransport, request: Any, **options: Any) -> Any:
        if request.url.endswith("/Registrations"):
            raise ServiceRequestError("the network is down")
        return await send(transport, request, **options)

    with monkeypatch.context() as patch:
        patch.setattr(AioHttpTransport, "send", send_all_else)
        with pytest.raises(StorageUnavailable):
            await ask(app, account=account)
    assert None is await app.stores.registrations.newest(account)
    assert 1 == len(await expiries(app) - before)

    for days in (1.1, 7):
        clock.forward(days=days)
        await tick(app)

    assert set() == await expiries(app) - before


async def expiries(app: App) -> set[str]:
    """The rows of the agenda that stand for links."""
    rows = storage_of(app).get_table_client("Agenda").query_entities("PartitionKey eq 'reap'")
    return {row["RowKey"] async for row in rows}
