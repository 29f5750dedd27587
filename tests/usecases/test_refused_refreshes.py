"""Refreshes that Microsoft refuses, or that fail: the state of the account, and the tokens handed out meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.errors import NotAuthorized, Unavailable
from shared.ports import App
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, tick
from tests.usecases.conftest import NewPerson, ask, bind, end_of, sign_in, state_of
from tests.usecases.grants import events_of, grant_of


@pytest.fixture(autouse=True)
async def _closed_breaker(app: App) -> AsyncIterator[None]:
    """The tests of the module share their storage. What one of them does to the OAuth app ends with it."""
    yield
    stored = await app.stores.breakers.get(APP_ID)
    if stored is not None:
        await app.stores.breakers.remove(stored)


FAILURES = [
    ("50173", "authenticationError", "needs_sign_in"),
    ("700082", "authenticationError", "needs_sign_in"),
    ("50076", "authenticationError", "needs_sign_in"),
    ("65001", "authenticationError", "needs_consent"),
    ("53003", "connectError", "blocked_by_policy"),
    ("50057", "connectError", "person_gone"),
    ("500341", "connectError", "person_gone"),
    ("500571", "connectError", "person_gone"),
    ("interaction_required-90072", "connectError", "person_gone"),
    ("50053", "connectError", "person_locked"),
    ("invalid_grant-70002-70008", "authenticationError", "needs_sign_in"),
    ("unauthorized_client-50053", "connected", None),
    ("invalid_request-70021", "connected", None),
    ("7000222", "connected", None),
    ("700016", "connected", None),
    ("50196", "connected", None),
    ("90033", "connected", None),
    ("http-503", "connected", None),
    ("http-429", "connected", None),
]


@pytest.mark.parametrize(("failure", "state", "code"), FAILURES)
async def test_failure_sets_the_right_state(
    app: App,
    visitor: Visitor,
    person: NewPerson,
    clock: MovedClock,
    tenant: Tenant,
    failure: str,
    state: str,
    code: str | None,
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    await hand_out(app, account)
    tenant.do("fail", endpoint="token", failure=failure, times=1, person=who, grant="refresh_token")

    clock.forward(minutes=66)
    await tick(app)

    assert (state, code) == await state_of(app, account)
    grant = (await grant_of(app, account)).value
    assert 1 == grant.failures
    assert (state == "authenticationError") == (grant.due is None)
    told = [name for name in await events_of(app, account) if name in {"authenticationError", "connectError"}]
    assert ([state] if code else []) == told


async def test_valid_token_is_handed_out_after_a_failed_refresh(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    account = await bind(app, visitor, person())
    await hand_out(app, account)
    tenant.do("outage", endpoint="token", mode="503")
    clock.forward(minutes=66)
    await tick(app)

    served = await hand_out(app, account)
    assert served.cached

    clock.forward(minutes=10)
    with pytest.raises(Unavailable) as unavailable:
        await hand_out(app, account)
    assert "entra_unavailable" == unavailable.value.code
    assert unavailable.value.retry_after is not None
    tenant.do("outage", endpoint="token", mode="none")
    clock.forward(seconds=unavailable.value.retry_after.total_seconds())
    assert not (await hand_out(app, account)).cached
    assert ("connected", None) == await state_of(app, account)


async def test_new_link_with_the_claims_repairs_a_revoked_sign_in(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who)
    later = replace(app, clock=lambda: clock() + timedelta(hours=2))
    for _ in range(2):
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(later, account)
        assert "needs_sign_in" == refused.value.code
    assert (await grant_of(app, account)).value.claims

    repaired = await sign_in(app, visitor, await ask(app, account=account), who)

    assert "existing" == end_of(repaired)
    shown = tenant.events("authorize shown")[-1]
    assert (who, True) == (shown["login_hint"], bool(shown.get("claims")))
    assert ("connected", None) == await state_of(app, account)
    assert "authenticationSuccess" in await events_of(app, account)
    assert (await hand_out(app, account)).access_token.reveal()


@pytest.mark.parametrize("failure", ["54005", "invalid_grant-9002313", "invalid_grant-90023"])
async def test_invalid_grant_without_a_reason_is_asked_three_times(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant, failure: str
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    clock.forward(hours=2)
    states = []
    for _ in range(3):
        for _ in range(4):  # callers who ask again and again confirm nothing
            tenant.do("fail", endpoint="token", failure=failure, times=1, person=who)
            await refresh_grant(app, await grant_of(app, account))
        states.append((await state_of(app, account))[0])
        with pytest.raises((Unavailable, NotAuthorized)):
            await hand_out(app, account)
        clock.forward(minutes=21)

    assert ["connected", "connected", "authenticationError"] == states
    assert "needs_sign_in" == (await state_of(app, account))[1]
    assert None is await app.stores.breakers.get(APP_ID)


async def test_locked_person_is_tried_every_hour_and_recovers(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="50053", times=2, person=who)
    await refresh_grant(app, await grant_of(app, account))

    for expected in (("connectError", "person_locked"), ("connected", None)):
        clock.forward(minutes=55)
        await tick(app)
        assert ("connectError", "person_locked") == await state_of(app, account)
        clock.forward(minutes=12)
        await tick(app)
        assert expected == await state_of(app, account)


async def test_blocked_account_is_refreshed_at_most_four_times_an_hour(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="53003", times=1000, person=who)

    for _ in range(60):
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(app, account)
        assert "blocked_by_policy" == refused.value.code
        clock.forward(minutes=1)

    asked = [event for event in tenant.events("failed") if event.get("person") == who]
    assert 4 == len(asked)
