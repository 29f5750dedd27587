"""An account that hands out no tokens, and every way by which a caller might get one all the same."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.api.health import get_stats
from shared.domain.caller import Caller, Scope
from shared.domain.clouds import Resource
from shared.domain.errors import Forbidden, InvalidInput, NotAuthorized, StaleWrite
from shared.domain.invited_mailbox import BindRequest
from shared.domain.tokens import TokenSet
from shared.ports import App, SignedIn
from shared.usecases.accounts.change import AccountChange, change_account
from shared.usecases.accounts.read import read_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.further import FurtherAccount, add_account
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.proof import Proof
from shared.usecases.sign_in.start import reauthorize_account, start_registration
from shared.usecases.sign_in.write_binding import ProvenRequest, write_transaction
from shared.usecases.tokens.account_token import account_token
from shared.usecases.tokens.hand_out import answer_challenge, hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import (
    REDIRECT_URL,
    SALES,
    SUPPORT,
    NewPerson,
    StartApp,
    ask,
    ask_for_several,
    bind,
    end_of,
    open_page,
    sign_in,
)
from tests.usecases.grants import CLAIMS, grant_of

# Everything but the right to switch an account on.
MANAGER = Caller("token:manager", "manager", frozenset(Scope) - {Scope.ADMIN})
REGISTRAR = replace(MANAGER, scopes=frozenset({Scope.REGISTER}))

type Bound = Callable[..., Awaitable[str]]


@pytest.fixture
def who(person: NewPerson, tenant: Tenant) -> str:
    """A person with Full Access to support@ and sales@."""
    login = person()
    tenant.do("access", person=login, mailbox=SALES, fullAccess=True)
    return login


async def switch(app: App, account: str, *, on: bool, caller: Caller = ADMINISTRATOR) -> None:
    await change_account(app, account, AccountChange(hand_out=on, may_switch_on=caller.has_scope(Scope.ADMIN)), {})


async def refusal(app: App, account: str) -> str | None:
    with pytest.raises(NotAuthorized) as refused:
        await hand_out(app, account)
    return refused.value.code


async def is_switched_on(app: App, account: str) -> bool:
    return (await read_account(app, account)).account.hands_out


def further(through: str, *, new: str | None = None, hand_out: bool | None = None) -> FurtherAccount:
    account = new or f"further-{secrets.token_hex(4)}"
    return FurtherAccount(account, mailbox=SALES, provider=APP_ID, through=through, hand_out=hand_out)


async def test_switched_off_account_refuses_every_request_for_a_token(
    app: App, new_app: StartApp, visitor: Visitor, who: str, clock: MovedClock
) -> None:
    account, other = await bind(app, visitor, who), new_app()
    assert account == (await hand_out(other, account)).account
    before = (await grant_of(app, account)).value.last_handed_out

    await switch(app, account, on=False, caller=MANAGER)

    assert "hand_out_disabled" == await refusal(app, account)
    clock.forward(seconds=31)
    for instance in (app, other):  # both have cached the account, and the other one no longer remembers its grant
        for resource in (None, *Resource):
            with pytest.raises(NotAuthorized, match=r"/v1\.0/users/\{mailbox\}") as refused:
                await hand_out(instance, account, resource)
            assert "hand_out_disabled" == refused.value.code
            for claims in ("", CLAIMS):
                with pytest.raises(NotAuthorized) as refused:
                    await answer_challenge(instance, account, claims, resource)
                assert "hand_out_disabled" == refused.value.code
    # Nothing was refreshed or recorded for those requests, and Mailbind itself still opens the mailbox.
    assert before == (await grant_of(app, account)).value.last_handed_out
    assert account == (await account_token(app, account)).account.id
    assert None is (await reconnect_account(app, account)).failed


async def test_only_an_administrator_switches_an_account_on(app: App, visitor: Visitor, who: str) -> None:
    account = await bind(app, visitor, who)
    await switch(app, account, on=True, caller=MANAGER)  # it is on, so nothing changes
    await switch(app, account, on=False, caller=MANAGER)

    with pytest.raises(Forbidden, match="admin") as refused:
        await switch(app, account, on=True, caller=MANAGER)
    assert Scope.ADMIN == refused.value.scope
    await change_account(app, account, AccountChange(name="Renamed", paused=True), {})
    await change_account(app, account, AccountChange(paused=False), {})
    assert "hand_out_disabled" == await refusal(app, account)

    await switch(app, account, on=True)

    assert account == (await hand_out(app, account)).account


async def test_no_sign_in_switches_an_account_on(
    reusing_app: App, visitor: Visitor, who: str, person: NewPerson
) -> None:
    app = reusing_app
    account = await bind(app, visitor, who)
    await switch(app, account, on=False)
    repair = await reauthorize_account(app, account, REDIRECT_URL, {}, ADMINISTRATOR)
    assert "existing" == end_of(await sign_in(app, visitor, repair, who))
    assert not await is_switched_on(app, account)
    other_mailbox = {"email": SALES, "change_mailbox": True}
    for login, changes in ((person(), {}), (who, other_mailbox)):
        await bind(app, visitor, login, account=account, allow_principal_change=True, **changes)
        assert "hand_out_disabled" == await refusal(app, account)

    for caller in (MANAGER, ADMINISTRATOR):
        with pytest.raises(InvalidInput) as refused:
            await start_registration(app, replace(_form(account, hand_out=True), email=SALES), {}, caller)
        assert ["handOut"] == list(refused.value.fields)


async def test_form_for_accounts_without_tokens_says_so_to_the_person(
    reusing_app: App, visitor: Visitor, who: str
) -> None:
    app = reusing_app
    link = await start_registration(app, _form("no-tokens", hand_out=False), {}, ADMINISTRATOR)

    assert not (await open_page(app, link)).hand_out
    assert "new" == end_of(await sign_in(app, visitor, link, who))

    assert "hand_out_disabled" == await refusal(app, "no-tokens")
    assert not (await open_page(app, await ask(app, account="no-tokens"))).hand_out
    mixed = await ask_for_several(app, SUPPORT, SALES)
    assert (await open_page(app, mixed)).hand_out


async def test_form_of_those_who_may_write_accounts_switches_one_off(app: App, visitor: Visitor, who: str) -> None:
    account = await bind(app, visitor, who)
    with pytest.raises(InvalidInput, match="Invalid input") as refused:
        await start_registration(app, _form(account, hand_out=False), {}, REGISTRAR)
    assert ["handOut"] == list(refused.value.fields)
    assert "accounts:write" in refused.value.fields["handOut"]

    assert account == await bind(app, visitor, who, account=account, hand_out=False)

    assert "hand_out_disabled" == await refusal(app, account)


async def test_further_account_hands_out_no_more_than_its_source(reusing_app: App, visitor: Visitor, who: str) -> None:
    app = reusing_app
    source = await bind(app, visitor, who)
    on = (await add_account(app, further(source), {}, MANAGER)).account
    assert SALES == (await hand_out(app, on)).email
    off = (await add_account(app, further(source, hand_out=False), {}, MANAGER)).account
    await switch(app, source, on=False)

    inherited = (await add_account(app, further(source), {}, MANAGER)).account
    with pytest.raises(Forbidden, match="admin"):
        await add_account(app, further(source, hand_out=True), {}, MANAGER)
    through_inherited = (await add_account(app, further(inherited), {}, ADMINISTRATOR)).account
    await add_account(app, further(source, new=on), {}, MANAGER)  # an account that exists is bound again
    by_administrator = (await add_account(app, further(source, hand_out=True), {}, ADMINISTRATOR)).account

    for account in (off, inherited, through_inherited, on):
        assert "hand_out_disabled" == await refusal(app, account)
    assert SALES == (await hand_out(app, by_administrator)).email


async def test_switch_that_is_turned_off_meanwhile_counts(reusing_app: App, visitor: Visitor, who: str) -> None:
    """A further account decides by the source's switch in the partition that it read, so it must not be an old one."""
    app = reusing_app
    source = await bind(app, visitor, who)
    grant, oauth_app = (await grant_of(app, source)).value, await app.oauth_apps.get(APP_ID)
    assert oauth_app is not None
    request = BindRequest("a request", "meanwhile", SALES, None, delegated=True, through=source)
    signed_in = SignedIn(grant.principal, TokenSet(grant.refresh_token, grant.access_token, app.clock(), grant.scopes))
    proven = ProvenRequest(request, oauth_app, signed_in, Proof(SALES, "Sales", shared=True))
    partition = await app.stores.principals.partition(grant.principal.id)

    await switch(app, source, on=False)

    with pytest.raises(StaleWrite):
        await write_transaction(app, proven, partition, None)


async def test_setting_for_all_accounts_outweighs_their_switches(
    app: App, new_app: StartApp, visitor: Visitor, who: str, person: NewPerson
) -> None:
    before, without = await bind(app, visitor, who), new_app(MAILBIND_HAND_OUT="false")

    assert "hand_out_disabled" == await refusal(without, before)
    await switch(without, before, on=True)
    assert "hand_out_disabled" == await refusal(without, before)
    link = await ask(without)
    assert not (await open_page(without, link)).hand_out
    login = person()
    await sign_in(without, visitor, link, login)

    # Its person was told that nobody receives their permission, so it stays switched off under another setting.
    assert "hand_out_disabled" == await refusal(app, link.accounts[0])
    assert before == (await hand_out(app, before)).account


def _form(account: str, *, hand_out: bool) -> Invitation:
    return Invitation(REDIRECT_URL, account=account, email=SUPPORT, delegated=True, hand_out=hand_out)


@pytest.mark.parametrize(("setting", "hands_out"), [("true", True), ("false", False)])
async def test_statistics_show_the_setting(new_app: StartApp, setting: str, *, hands_out: bool) -> None:
    stats = await get_stats(new_app(MAILBIND_HAND_OUT=setting))
    assert hands_out == stats.hand_out
