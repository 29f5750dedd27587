"""A process remembers grants for MAILBIND_REMEMBER_SECONDS: without a request, and never over a change of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import MailbindError
from shared.domain.secret import Secret
from shared.ports import App, Replace
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.tokens.account_token import account_token
from shared.usecases.tokens.hand_out import answer_challenge, hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.storage_requests import recorded_requests
from tests.usecases.conftest import NewPerson, StartApp, ask, bind, end_of, sign_in
from tests.usecases.grants import CLAIMS, grant_of

type Change = Callable[[App, str], Awaitable[object]]


async def pause(app: App, account: str) -> None:
    await change_account(app, account, AccountChange(paused=True), {})


async def resume(app: App, account: str) -> None:
    await change_account(app, account, AccountChange(paused=False), {})


async def remembered(app: App, account: str) -> Secret:
    """The token that the app hands out, after it has recorded that and remembers the grant."""
    await hand_out(app, account)
    return (await hand_out(app, account)).access_token


async def requests_of(app: App, account: str) -> int:
    """How many storage requests a hand-out makes."""
    with recorded_requests() as requests:
        await hand_out(app, account)
    return requests.count


async def refusal(app: App, account: str) -> str | None:
    """Why nothing is handed out, or None."""
    try:
        await hand_out(app, account)
    except MailbindError as refused:
        return refused.code
    return None


async def test_remembered_grant_needs_no_storage_request(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    account = await bind(app, visitor, person())
    await remembered(app, account)

    with recorded_requests() as requests:
        for _ in range(10):
            await hand_out(app, account)
            await account_token(app, account)
        clock.forward(seconds=29)
        await hand_out(app, account)

    assert [] == requests.made
    clock.forward(seconds=1)
    assert 1 == await requests_of(app, account)


async def test_zero_seconds_read_storage_every_time(new_app: StartApp, visitor: Visitor, person: NewPerson) -> None:
    app = new_app(MAILBIND_REMEMBER_SECONDS="0")
    account = await bind(app, visitor, person())
    await remembered(app, account)

    assert [1, 1] == [await requests_of(app, account) for _ in range(2)]


async def test_clock_that_is_set_back_forgets(app: App, visitor: Visitor, person: NewPerson, clock: MovedClock) -> None:
    account = await bind(app, visitor, person())
    await remembered(app, account)

    clock.forward(seconds=-20)

    assert 1 == await requests_of(app, account)


async def test_remembered_token_is_used_for_as_long_as_any(
    new_app: StartApp, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    app = new_app(MAILBIND_REMEMBER_SECONDS="300")
    tenant.do("lifetimes", accessTokenSeconds=400)
    account = await bind(app, visitor, person())
    first = await remembered(app, account)
    clock.forward(seconds=90)
    assert 0 == await requests_of(app, account)

    clock.forward(seconds=20)

    renewed = await hand_out(app, account)
    assert not renewed.cached
    assert first != renewed.access_token


async def remove(app: App, account: str) -> None:
    await remove_account(app, account)


async def fail_for_ever(app: App, account: str) -> None:
    """Have the grant's token refused for good, as after a refresh that only a person can repair."""
    stored = await grant_of(app, account)
    stopped = replace(stored.value, due=None, access_expires=app.clock(), state=AccountState.AUTHENTICATION_ERROR)
    await app.stores.principals.commit(stored.value.principal.id, [Replace(stopped, stored.version)])


REFUSALS: dict[str, tuple[Change, str]] = {
    "paused": (pause, "account_paused"),
    "removed": (remove, "NotFound"),
    "stopped": (fail_for_ever, "needs_sign_in"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_change_applies_at_once_here_and_soon_elsewhere(
    new_app: StartApp, visitor: Visitor, person: NewPerson, clock: MovedClock, name: str
) -> None:
    (app, other), (change, code) = (new_app(), new_app()), REFUSALS[name]
    account = await bind(app, visitor, person())
    for instance in (app, other):
        await remembered(instance, account)

    await change(app, account)

    assert code == await refusal(app, account)
    assert None is await refusal(other, account)
    clock.forward(seconds=30)
    assert code == await refusal(other, account)


async def test_refusal_is_not_remembered(new_app: StartApp, visitor: Visitor, person: NewPerson) -> None:
    app, other = new_app(), new_app()
    account = await bind(app, visitor, person())
    await remembered(other, account)
    await pause(other, account)
    assert "account_paused" == await refusal(other, account)

    await resume(app, account)

    assert None is await refusal(other, account)


@pytest.mark.parametrize("refresh", [reconnect_account, lambda app, account: answer_challenge(app, account, CLAIMS)])
async def test_new_tokens_of_this_process_are_handed_out_at_once(
    app: App, visitor: Visitor, person: NewPerson, refresh: Change
) -> None:
    account = await bind(app, visitor, person())
    before = await remembered(app, account)

    await refresh(app, account)

    token = (await hand_out(app, account)).access_token
    assert before != token
    assert token == (await grant_of(app, account)).value.access_token


async def test_new_person_serves_at_once(app: App, visitor: Visitor, person: NewPerson) -> None:
    account, successor = await bind(app, visitor, person()), person()
    await remembered(app, account)
    link = await ask(app, account=account, allow_principal_change=True)

    assert "existing" == end_of(await sign_in(app, visitor, link, successor))

    assert successor == (await hand_out(app, account)).sign_in_name


async def test_no_hand_out_that_begins_after_a_pause_succeeds(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    """Callers keep asking while the account is paused and resumed; what is remembered expires in between."""
    account = await bind(app, visitor, person())
    paused, ended, wrong = asyncio.Event(), asyncio.Event(), list[str | None]()

    async def keep_asking() -> None:
        while not ended.is_set():
            expected = "account_paused" if paused.is_set() else None
            code = await refusal(app, account)
            if expected and paused.is_set() and code != expected:
                wrong.append(code)
            await asyncio.sleep(0.001)

    async def keep_pausing() -> None:
        for _ in range(3):
            await pause(app, account)
            paused.set()
            await asyncio.gather(*(refusal(app, account) for _ in range(5)))
            paused.clear()
            await resume(app, account)
            clock.forward(seconds=31)
            assert None is await refusal(app, account)
        ended.set()

    await asyncio.gather(keep_pausing(), *(keep_asking() for _ in range(50)))

    assert [] == wrong
    assert None is await refusal(app, account)


async def test_refreshes_among_hand_outs_leave_no_older_token(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock
) -> None:
    account = await bind(app, visitor, person())
    tokens = [await remembered(app, account)]
    for _ in range(3):
        clock.forward(minutes=1)
        hand_outs = asyncio.gather(*(hand_out(app, account) for _ in range(50)))
        await reconnect_account(app, account)
        tokens.append((await hand_out(app, account)).access_token)
        await hand_outs

        assert tokens[-1] == (await hand_out(app, account)).access_token

    assert all(older != newer for older, newer in pairwise(tokens))
