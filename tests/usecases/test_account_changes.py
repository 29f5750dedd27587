"""Accounts are renamed, paused, resumed and repaired."""

import asyncio

import pytest

from infra.local.visitor import Visitor
from shared.domain.errors import InvalidInput, NotAuthorized
from shared.ports import App
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.accounts.read import AccountDetails, find_account, read_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.link import UnusableLink
from shared.usecases.sign_in.start import Started, reauthorize_account
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import REDIRECT_URL, SUPPORT, NewPerson, StartApp, bind, end_of, open_page, sign_in


async def pause(app: App, account: str, *, paused: bool = True) -> None:
    await change_account(app, account, AccountChange(paused=paused), {})


async def repair(app: App, account: str, *, by_anyone: bool = False) -> Started:
    return await reauthorize_account(app, account, REDIRECT_URL, {}, ADMINISTRATOR, allow_principal_change=by_anyone)


async def state_of(app: App, account: str) -> tuple[str, str | None]:
    """The state of an account, and the code of its last error."""
    found = (await read_account(app, account)).account
    return found.state, found.last_error.code if found.last_error else None


async def paused_accounts(app: App) -> int:
    await app.tally.flush()
    return (await read_statistics(app)).counters.counts.get("accounts.paused", 0)


def grant_expires(details: AccountDetails) -> object:
    assert details.grant is not None
    return details.grant.expires_if_idle


async def test_changes_at_the_same_time_are_all_stored(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person())

    changes = [AccountChange(name="Renamed"), AccountChange(paused=True), AccountChange(name="Renamed")]
    await asyncio.gather(
        *(change_account(app, account, change, {}) for change in changes), reconnect_account(app, account)
    )

    found = (await read_account(app, account)).account
    assert ("Renamed", "paused") == (found.name, found.state)


async def test_paused_account_hands_out_nothing_and_loses_nothing(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    account, other = await bind(app, visitor, person()), new_app()
    for instance in (app, other):
        assert (await hand_out(instance, account)).cached
    counted = await paused_accounts(app)

    await pause(app, account)
    clock.forward(seconds=30)

    assert ("paused", None) == await state_of(app, account)
    for instance in (app, other):  # both have cached the account
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(instance, account)
        assert "account_paused" == refused.value.code
    assert counted + 1 == await paused_accounts(app)
    clock.forward(days=6.9)
    before = (await read_account(app, account)).grant
    await run_tick(app)
    after = (await read_account(app, account)).grant
    assert before is not None
    assert after is not None
    assert before.refreshed < after.refreshed
    assert ("paused", None) == await state_of(app, account)

    await pause(app, account, paused=False)

    assert ("connected", None) == await state_of(app, account)
    assert account == (await hand_out(app, account)).account
    assert counted == await paused_accounts(app)


async def test_paused_account_shows_errors_and_can_be_repaired(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    await pause(app, account)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=False)
    await reconnect_account(app, account)
    assert ("paused", "no_mailbox_access") == await state_of(app, account)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    await pause(app, account, paused=False)
    assert ("connectError", "no_mailbox_access") == await state_of(app, account)
    await pause(app, account)
    tenant.do("revoke", person=who)
    await reconnect_account(app, account)
    assert ("paused", "needs_sign_in") == await state_of(app, account)
    await pause(app, account, paused=False)
    assert ("authenticationError", "needs_sign_in") == await state_of(app, account)
    assert None is grant_expires(await read_account(app, account))
    await pause(app, account)

    await sign_in(app, visitor, await repair(app, account), who)

    assert ("paused", None) == await state_of(app, account)
    await pause(app, account, paused=False)
    assert ("connected", None) == await state_of(app, account)


async def test_repair_link_is_for_one_person_and_ends_with_the_account(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    link = await repair(app, account)

    assert "wrong_principal" == end_of(await sign_in(app, visitor, link, person()))
    assert who == (await read_account(app, account)).account.sign_in_name
    await remove_account(app, account)

    with pytest.raises(UnusableLink, match="account_removed"):
        await open_page(app, link)
    assert None is await find_account(app, account)


async def test_mailbox_of_a_person_who_is_gone_is_repaired_by_another(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    gone, successor = person(), person()
    account = await bind(app, visitor, gone)
    tenant.do("person", upn=gone, disabled=True)
    await reconnect_account(app, account)
    assert ("connectError", "person_gone") == await state_of(app, account)
    own_link = await repair(app, account)
    assert "wrong_principal" == end_of(await sign_in(app, visitor, own_link, successor))

    await sign_in(app, visitor, await repair(app, account, by_anyone=True), successor)

    found = (await read_account(app, account)).account
    assert ("connected", successor) == (found.state, found.sign_in_name)
    assert (await hand_out(app, account)).sign_in_name == successor


async def test_nobody_else_repairs_a_persons_own_mailbox(app: App, visitor: Visitor, person: NewPerson) -> None:
    account = await bind(app, visitor, person(), email=None, delegated=False)

    with pytest.raises(InvalidInput) as refused:
        await repair(app, account, by_anyone=True)

    assert ["allowPrincipalChange"] == list(refused.value.fields)
