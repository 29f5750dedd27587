"""An address without a mailbox in Exchange Online is refused at once, with a reason of its own."""

import logging

import pytest

from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.registration import RegistrationStatus
from shared.ports import App
from shared.usecases.accounts.read import find_account
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.outcome import Completed, keep_checking
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import (
    BOARD,
    SALES,
    SUPPORT,
    NewPerson,
    ask,
    ask_for_several,
    bind,
    choose_person,
    end_of,
    go_to_microsoft,
    sign_in,
    state_of,
    states,
    status,
)

MISSPELT = "suport@contoso.example"
ELSEWHERE = "mailbox_not_in_exchange_online"


async def test_misspelt_address_is_no_missing_permission(
    app: App, visitor: Visitor, person: NewPerson, caplog: pytest.LogCaptureFixture
) -> None:
    link = await ask(app, email=MISSPELT)

    with caplog.at_level(logging.INFO):
        outcome = await sign_in(app, visitor, link, person())

    assert isinstance(outcome, Completed)
    assert ("mailbox_not_found", None) == (end_of(outcome), outcome.keep)
    assert outcome.again is not None
    assert [RegistrationStatus.FAILED, "mailbox_not_found"] == await states(app, link)
    assert await find_account(app, link.accounts[0]) is None
    refusals = [record for record in caplog.records if record.message == "graph refused"]
    assert [(404, "ErrorInvalidUser")] == [(one.__dict__["status"], one.__dict__["code"]) for one in refusals]


@pytest.mark.parametrize("hosting", ["unlicensed", "onPremises", "softDeleted", "group"])
async def test_mailbox_outside_exchange_online_says_so(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, hosting: str
) -> None:
    who, link = person(), await ask(app)
    tenant.do("hosting", mailbox=SUPPORT, hosting=hosting)

    outcome = await sign_in(app, visitor, link, who)

    assert isinstance(outcome, Completed)
    assert (ELSEWHERE, None) == (end_of(outcome), outcome.keep)
    tenant.do("hosting", mailbox=SUPPORT, hosting="exchangeOnline")
    assert "new" == end_of(await sign_in(app, visitor, link, who))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("ErrorNonExistentMailbox", "mailbox_not_found"),
        ("ResourceNotFound", "mailbox_not_found"),
        ("MailboxNotSupportedForRESTAPI", ELSEWHERE),
        ("ErrorItemNotFound", "no_mailbox_access"),
        ("ErrorFolderNotFound", "no_mailbox_access"),
        ("ErrorMailboxStoreUnavailable", None),
        ("ErrorMailboxMoveInProgress", None),
    ],
)
async def test_probe_tells_a_missing_mailbox_from_an_outage(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock, failure: str, code: str | None
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("fail", endpoint="graph", failure=failure, person=who)
    clock.forward(days=7, minutes=1)

    await tick(app)

    expected = AccountState.CONNECT_ERROR if code else AccountState.CONNECTED
    assert (expected, code) == await state_of(app, account)
    clock.forward(days=1, minutes=1)
    await tick(app)
    assert (AccountState.CONNECTED, None) == await state_of(app, account)


async def test_each_mailbox_of_a_list_has_its_own_reason(
    reusing_app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    tenant.do("hosting", mailbox=SALES, hosting="onPremises")
    link = await ask_for_several(reusing_app, SUPPORT, MISSPELT, SALES, BOARD)
    begun = await go_to_microsoft(reusing_app, visitor, link)

    outcome = await complete_sign_in(reusing_app, await choose_person(visitor, begun.picker, who), begun.cookie)

    reasons = ["new", "mailbox_not_found", ELSEWHERE, "no_mailbox_access"]
    assert isinstance(outcome, Completed)
    assert reasons == [result.code or result.state for result in outcome.results.values()]
    assert outcome.keep is not None
    waiting = await keep_checking(reusing_app, outcome.keep, begun.cookie)
    assert isinstance(waiting, Completed)
    assert [link.accounts[3]] == list(waiting.results)
    tenant.do("access", person=who, mailbox=BOARD, fullAccess=True)
    clock.forward(minutes=6)
    await tick(reusing_app)
    assert [RegistrationStatus.COMPLETED, "new", *reasons[1:3], "new"] == await states(reusing_app, link)


async def test_waiting_ends_when_there_is_no_mailbox_after_all(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who, link = person(), await ask(app, email=MISSPELT)
    tenant.do("outage", endpoint="graph", mode="503")
    await sign_in(app, visitor, link, who)
    tenant.do("outage", endpoint="graph", mode="none")

    clock.forward(minutes=2)
    await tick(app)

    assert RegistrationStatus.FAILED is await status(app, link)
    assert "mailbox_not_found" == (await states(app, link))[1]


async def test_person_without_a_mailbox_has_none_to_bind(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    tenant.do("hosting", mailbox=who, hosting="unlicensed")

    own = await ask(app, email=None, delegated=False)
    assert ELSEWHERE == end_of(await sign_in(app, visitor, own, who))
    assert "new" == end_of(await sign_in(app, visitor, await ask(app), who))


async def test_guest_opens_a_shared_mailbox(app: App, visitor: Visitor, tenant: Tenant) -> None:
    guest = tenant.do("guest", address="gina@fabrikam.example")["person"]
    tenant.do("access", person=guest, mailbox=SUPPORT, fullAccess=True)

    account = await bind(app, visitor, guest, expected_email="gina@fabrikam.example")

    assert (AccountState.CONNECTED, None) == await state_of(app, account)
