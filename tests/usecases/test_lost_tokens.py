"""Grants that cannot be decrypted affect no others."""

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import NotFound, SealBroken, Unavailable
from shared.ports import App
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.accounts.read import read_account
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, bind, state_of
from tests.usecases.grants import lose_tokens


async def test_account_with_lost_tokens_can_be_paused_and_removed(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    account = await bind(app, visitor, person())
    await lose_tokens(app, account)

    for paused, state in ((True, AccountState.PAUSED), (False, AccountState.CONNECTED)):
        assert state is (await change_account(app, account, AccountChange(paused=paused), {})).state
    assert ("connected", None) == await state_of(app, account)
    assert 0 == (await remove_account(app, account)).still_served
    with pytest.raises(NotFound):
        await read_account(app, account)


async def test_readable_access_token_is_handed_out_if_others_are_lost(
    app: App, visitor: Visitor, person: NewPerson
) -> None:
    account = await bind(app, visitor, person())
    await lose_tokens(app, account, "refresh_token")

    assert (await hand_out(app, account)).access_token.reveal()


async def test_lost_tokens_use_up_no_trial_of_a_breaker(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    lost, well = await bind(app, visitor, person()), await bind(app, visitor, person())
    await lose_tokens(app, lost)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="7000222", times=1, grant="refresh_token")
    with pytest.raises(Unavailable):
        await hand_out(app, well)
    assert await app.stores.breakers.get(APP_ID) is not None
    clock.forward(seconds=61)

    with pytest.raises(SealBroken):
        await hand_out(app, lost)

    assert not (await hand_out(app, well)).cached
