"""The refresh engine handles each failure where it belongs and blames nobody else."""

import asyncio
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.domain.errors import Unavailable
from shared.domain.secret import Secret
from shared.ports import App, DirectoryEntry, Insert
from shared.usecases.accounts.read import known_account
from shared.usecases.apps.circuit_breaker import refused_apps
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from tests.conftest import MovedClock
from tests.contract import records
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, StartApp, ask, bind, end_of, sign_in, state_of
from tests.usecases.grants import events_of, grant_of, refreshes

CATALOGUE = Path(__file__).parents[2] / "infra/local/tenant/failures.toml"
ENTRA = tomllib.loads(CATALOGUE.read_text())["entra"]
DAILY = timedelta(hours=23)


class Result(NamedTuple):
    """What a failed refresh leaves: the account's state, whether the grant is still worked, and the event."""

    state: AccountState
    worked: bool
    event: str | None
    min_wait: timedelta = timedelta()


NEEDS_PERSON = Result(AccountState.AUTHENTICATION_ERROR, worked=False, event="authenticationError")
BLOCKED = Result(AccountState.CONNECT_ERROR, worked=True, event="connectError", min_wait=DAILY)
BLAMES_NOBODY = Result(AccountState.CONNECTED, worked=True, event=None)
# By group of the catalogue.
EXPECTED = {
    "needs_sign_in": NEEDS_PERSON,
    "needs_consent": NEEDS_PERSON,
    "blocked_by_policy": BLOCKED,
    "person_gone": BLOCKED,
    "person_locked": BLOCKED._replace(min_wait=timedelta(minutes=55)),
    "needs_confirmation": BLAMES_NOBODY,
    "app_fault": BLAMES_NOBODY,
    "configuration": BLAMES_NOBODY,
    "transient": BLAMES_NOBODY,
    "loop": BLAMES_NOBODY._replace(min_wait=timedelta(minutes=55)),
    "open": BLAMES_NOBODY,
}


@pytest.fixture(autouse=True)
async def _closed_breaker(app: App) -> AsyncIterator[None]:
    """The tests of the module share their storage. What one of them does to the OAuth app ends with it."""
    yield
    stored = await app.stores.breakers.get(APP_ID)
    if stored is not None:
        await app.stores.breakers.remove(stored)


async def store_account(app: App, refresh_token: Secret) -> str:
    """An account of another principal, whose grant has this refresh token and no valid access token."""
    of, now = records.principal(), app.clock()
    account = records.account(of, now)
    grant = replace(records.grant(of, now), refresh_token=refresh_token, access_expires=now)
    await app.stores.principals.commit(of.id, [Insert(account), Insert(grant)])
    await app.stores.directory.insert(DirectoryEntry(account.id, of.id, account.app))
    return account.id


async def result_of_refresh(app: App, account: str, min_wait: timedelta) -> Result:
    refreshed = await refresh_grant(app, await grant_of(app, account))

    assert refreshed is not None
    assert refreshed.failure is not None
    grant = (await grant_of(app, account)).value
    assert 1 == grant.failures
    assert grant.due is None or grant.due - app.clock() > min_wait
    told = [name for name in await events_of(app, account) if name in {"authenticationError", "connectError"}]
    return Result((await state_of(app, account))[0], grant.due is not None, ",".join(told) or None, min_wait)


@pytest.mark.parametrize("group", EXPECTED)
async def test_every_row_of_the_failure_table_through_the_real_path(
    app: App, person: NewPerson, clock: MovedClock, tenant: Tenant, group: str
) -> None:
    who, expected, rows = person(), EXPECTED[group], ENTRA[group]["rows"]
    token = Secret(tenant.do("sign-in", person=who)["refreshToken"])
    results = {}
    for number in rows:
        account = await store_account(app, token)
        tenant.do("fail", endpoint="token", failure=number, times=1, person=who, grant="refresh_token")
        results[number] = await result_of_refresh(app, account, expected.min_wait)
        clock.forward(seconds=61)  # an open circuit breaker tries again

    assert dict.fromkeys(rows, expected) == results
    assert len(rows) == refreshes(tenant, who)


async def test_expired_client_secret_blames_no_account_and_recovers(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    accounts = [await bind(app, visitor, person()) for _ in range(3)]
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="7000222", times=2, grant="refresh_token")

    for _ in range(3):
        for account in accounts:
            with pytest.raises(Unavailable) as unavailable:
                await hand_out(app, account)
            assert "app_credential" == unavailable.value.code
    assert 1 == len([event for event in tenant.events("failed") if event.get("failure") == "7000222"])
    (refused,) = await refused_apps(app)
    assert ("app_credential", 7000222) == (refused.fault.code, refused.fault.aadsts)
    assert [(AccountState.CONNECTED, None)] * 3 == [await state_of(app, account) for account in accounts]

    clock.forward(seconds=61)
    results = await asyncio.gather(*(hand_out(app, account) for account in accounts), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert 2 == len([event for event in tenant.events("failed") if event.get("failure") == "7000222"])

    clock.forward(seconds=61)
    assert [False] * 3 == [(await hand_out(app, account)).cached for account in accounts]
    assert [] == list(await refused_apps(app))


async def test_trial_closes_the_breaker_that_others_wanted_to_try(
    app: App, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    grants = [await grant_of(app, await bind(app, visitor, person())) for _ in range(6)]
    tenant.do("fail", endpoint="token", failure="7000222", times=1, grant="refresh_token")
    await refresh_grant(app, grants[0])
    assert 1 == len(await refused_apps(app))

    clock.forward(seconds=61)
    tenant.do("latency", endpoint="token", milliseconds=300)
    await asyncio.gather(*(refresh_grant(app, grant) for grant in grants[1:]))

    assert [] == list(await refused_apps(app))


async def test_second_client_secret_takes_over_without_a_gap(
    app: App,
    app_values: Mapping[str, str],
    new_app: StartApp,
    visitor: Visitor,
    person: NewPerson,
    clock: MovedClock,
) -> None:
    account = await bind(app, visitor, person())
    good = app_values["MAILBIND_OAUTH_CLIENT_SECRET"]
    rotated = new_app(MAILBIND_OAUTH_CLIENT_SECRET="expired-secret", MAILBIND_OAUTH_CLIENT_SECRET_2=good)
    clock.forward(hours=2)

    assert not (await hand_out(rotated, account)).cached
    assert [] == list(await refused_apps(rotated))


async def test_retry_after_is_honoured_by_every_instance(
    app: App, new_app: StartApp, visitor: Visitor, person: NewPerson, clock: MovedClock, tenant: Tenant
) -> None:
    other, who = new_app(), person()
    account = await bind(app, visitor, who)
    clock.forward(hours=2)
    tenant.do("throttle", endpoint="token", times=1, retryAfter=120)
    with pytest.raises(Unavailable):
        await hand_out(app, account)
    calls = len(tenant.events("refreshed"))
    with pytest.raises(Unavailable) as unavailable:
        await hand_out(other, account)
    assert timedelta(seconds=100) < (unavailable.value.retry_after or timedelta()) <= timedelta(seconds=120)
    assert calls == len(tenant.events("refreshed"))
    clock.forward(seconds=121)
    assert not (await hand_out(other, account)).cached


async def test_grant_with_very_many_accounts_fails_and_recovers_as_one(
    reusing_app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    """More accounts than fit into one transaction with their events."""
    app, who, count = reusing_app, person(), 55
    account = await bind(app, visitor, who)
    bound = (await known_account(app, account)).account.value
    more = [replace(bound, id=f"{account}-{number}", email=f"{number}@contoso.example") for number in range(1, count)]
    await app.stores.principals.commit(bound.principal_id, [Insert(each) for each in more])

    async def states() -> dict[str, int]:
        partition = await app.stores.principals.partition(bound.principal_id)
        return dict(Counter(str(stored.value.state) for stored in partition.accounts.values()))

    tenant.do("fail", endpoint="token", failure="50173", times=1, person=who, grant="refresh_token")
    await refresh_grant(app, await grant_of(app, account))
    assert {"authenticationError": count} == await states()

    assert "existing" == end_of(await sign_in(app, visitor, await ask(app, account=account), who))

    assert {"connected": count} == await states()
