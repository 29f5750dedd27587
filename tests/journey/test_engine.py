"""Promises of the refresh engine: every failure in its place, breakers, backlogs, the sweep, the counters."""

import asyncio
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build_services
from shared.domain.account import AccountState
from shared.domain.errors import Unavailable
from shared.domain.handover import Handover
from shared.domain.principal import Principal
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import Insert, Replace, SignedIn
from shared.services import Services
from shared.usecases.start_registration import Invitation
from shared.usecases.work_agenda import Limits
from tests.conftest import MovedClock
from tests.contract import records
from tests.journey.conftest import Tenant, ask, bind, code_of, principal_id, tick
from tests.journey.test_keeping_alive import events_of, grant_of, state_of

type NewPerson = Callable[..., str]

CATALOGUE = Path(__file__).parents[2] / "infra/local/tenant/failures.toml"
# What each group of the catalogue has to come to: the account's state, whether the grant is still worked, the event.
EXPECTED = {
    "needs_sign_in": (AccountState.AUTHENTICATION_ERROR, False, "authenticationError"),
    "needs_consent": (AccountState.AUTHENTICATION_ERROR, False, "authenticationError"),
    "blocked_by_policy": (AccountState.CONNECT_ERROR, True, "connectError"),
    "person_gone": (AccountState.CONNECT_ERROR, True, "connectError"),
    "app_fault": (AccountState.CONNECTED, True, None),
    "configuration": (AccountState.CONNECTED, True, None),
    "transient": (AccountState.CONNECTED, True, None),
    "loop": (AccountState.CONNECTED, True, None),
    "open": (AccountState.CONNECTED, True, None),
}
ROWS = [
    (number, group)
    for group, facts in tomllib.loads(CATALOGUE.read_text())["entra"].items()
    if group in EXPECTED
    for number in facts["rows"]
]


@pytest.mark.parametrize(("number", "group"), ROWS)
async def test_every_row_of_the_failure_table_through_the_real_path(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: Services,
    clock: MovedClock,
    tenant: Tenant,
    number: str,
    group: str,
) -> None:
    who = person()
    account = bind(api, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure=number, times=1, person=who, grant="refresh_token")

    refreshed = await instance.refresh_grant(await grant_of(instance, account))

    state, worked, event = EXPECTED[group]
    grant = (await grant_of(instance, account)).value
    assert refreshed is not None
    assert refreshed.failure is not None
    assert state == state_of(api, account)[0], refreshed.failure
    assert worked == (grant.due is not None)
    assert ([event] if event else []) == [
        name for name in await events_of(instance, account) if name in {"authenticationError", "connectError"}
    ]
    if grant.due is not None:
        wait = grant.due - clock()
        expected = {AccountState.CONNECT_ERROR: timedelta(hours=23)}.get(state, timedelta())
        assert wait > (timedelta(minutes=55) if group == "loop" else expected)
    assert 1 == grant.failures


async def test_an_expired_client_secret_blames_no_account_and_one_trial_a_minute_finds_the_end(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: Services, clock: MovedClock, tenant: Tenant
) -> None:
    accounts = [bind(api, visitor, person()) for _ in range(3)]
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="7000222", times=1000, grant="refresh_token")

    for _ in range(3):
        for account in accounts:
            with pytest.raises(Unavailable) as unavailable:
                await instance.hand_out(account)
            assert "app_credential" == unavailable.value.code
    assert 1 == len([event for event in tenant.events("failed") if event.get("failure") == "7000222"])
    health = api.get("/health").json()
    assert (False, "app_credential", 7000222) == (
        health["success"],
        health["oauthApps"][0]["code"],
        health["oauthApps"][0]["aadsts"],
    )
    assert "client secret" in health["oauthApps"][0]["action"]
    assert ["connected"] * 3 == [state_of(api, account)[0] for account in accounts]

    clock.forward(seconds=61)
    results = await asyncio.gather(*(instance.hand_out(account) for account in accounts), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert 2 == len([event for event in tenant.events("failed") if event.get("failure") == "7000222"])

    tenant.do("reset")
    _people_again(tenant)
    clock.forward(seconds=61)
    token = await instance.hand_out(accounts[0])
    assert not token.cached
    assert not (await instance.hand_out(accounts[1])).cached
    assert {"success": True, "storage": "ok", "oauthApps": []} == api.get("/health").json()


def _people_again(tenant: Tenant) -> None:
    tenant.do("person", create=9999, mailbox="support@contoso.example")


async def test_a_second_client_secret_takes_over_without_a_gap(
    api: httpx.Client, visitor: Visitor, person: NewPerson, environment: Environment, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    good = environment.settings["MAILBIND_OAUTH_CLIENT_SECRET"]
    both = {"MAILBIND_OAUTH_CLIENT_SECRET": "expired-secret", "MAILBIND_OAUTH_CLIENT_SECRET_2": good}
    rotated = build_services({**environment.settings, **both}, clock)
    clock.forward(hours=2)
    try:
        assert not (await rotated.hand_out(account)).cached
        assert () == tuple(await rotated.open_breakers())
    finally:
        await rotated.close()


async def test_retry_after_is_honoured_by_every_instance(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: Services,
    environment: Environment,
    clock: MovedClock,
    tenant: Tenant,
) -> None:
    account = bind(api, visitor, person())
    clock.forward(hours=2)
    tenant.do("throttle", endpoint="token", times=1, retryAfter=120)
    with pytest.raises(Unavailable):
        await instance.hand_out(account)
    calls = len(tenant.events("refreshed"))
    other = build_services(environment.settings, clock)
    try:
        with pytest.raises(Unavailable) as unavailable:
            await other.hand_out(account)
        assert timedelta(seconds=100) < (unavailable.value.retry_after or timedelta()) <= timedelta(seconds=120)
        assert calls == len(tenant.events("refreshed"))
        clock.forward(seconds=121)
        assert not (await other.hand_out(account)).cached
    finally:
        await other.close()


async def test_a_missing_scope_is_told_apart_from_a_missing_access(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    tenant.do("fail", endpoint="graph", failure="Authorization_RequestDenied", times=1, person=who)

    assert "missing_scope" == code_of(visitor.follow(ask(api)["url"], who))


async def test_a_shard_with_more_rows_than_a_tick_takes_is_handed_over_and_worked_by_whoever_comes(
    environment: Environment, clock: MovedClock
) -> None:
    few = build_services({**environment.settings, "MAILBIND_TICK_ROWS": "100", "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    try:
        due = few.clock() - timedelta(hours=1)
        await asyncio.gather(*(few.agenda.add(_leftover(due, number)) for number in range(250)))

        first = await few.run_tick()

        assert ("000",) == first.handed_over
        held = await few.handovers.get("000")
        assert held is not None
        assert len(await few.agenda.due("000", due, None)) == 100
        second = await few.run_tick()
        assert () == second.handed_over
        assert 0 == second.outcomes.get("leftover", 0)

        await few.run_tick.work_shard("000", held.value.due_by)

        assert [] == list(await few.agenda.due("000", due, None))
        assert None is await few.handovers.get("000")
    finally:
        await few.close()


async def test_a_shard_whose_worker_died_is_the_timers_again(environment: Environment, clock: MovedClock) -> None:
    few = build_services({**environment.settings, "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    try:
        due = few.clock() - timedelta(hours=1)
        await few.agenda.add(_leftover(due, 1))
        await few.handovers.insert(Handover("000", few.clock(), few.clock() + timedelta(minutes=15)))
        await few.run_tick()
        assert 1 == len([work for work in await few.agenda.due("000", due, None) if work.owner.startswith("gone")])

        clock.forward(minutes=16)
        await few.run_tick()

        assert [] == [work for work in await few.agenda.due("000", due, None) if work.owner.startswith("gone")]
        stored = await few.handovers.get("000")
        assert stored is not None
        await few.handovers.remove(stored)
    finally:
        await few.close()


def _leftover(due: datetime, number: int) -> Work:
    return Work(WorkKind.REFRESH, due, f"gone.{number}", "app")


async def test_a_tick_stops_when_its_time_is_up_and_leaves_the_rest(
    environment: Environment, clock: MovedClock
) -> None:
    built = build_services({**environment.settings, "MAILBIND_AGENDA_SHARDS": "1"}, clock)
    try:
        due = built.clock() - timedelta(hours=1)
        await asyncio.gather(*(built.agenda.add(_leftover(due, number)) for number in range(30)))

        worked = await built.work_agenda({"000": None}, Limits(built.clock()))

        assert worked["000"].more
        assert 30 <= len(await built.agenda.due("000", due, None))
        assert not (await built.work_agenda({"000": None}, Limits(built.clock() + timedelta(minutes=1))))["000"].more
        assert [] == [work for work in await built.agenda.due("000", due, None) if work.owner.startswith("gone")]
    finally:
        await built.close()


async def test_the_sweep_mends_what_is_missing_and_counts_everything(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: Services, clock: MovedClock
) -> None:
    lost_agenda, lost_directory = (bind(api, visitor, person()) for _ in range(2))
    grant = (await grant_of(instance, lost_agenda)).value
    assert grant.due is not None
    row = Work(grant.work, grant.due, grant.principal.id, grant.app)
    await instance.agenda.remove([row])
    entry = await instance.directory.get(lost_directory)
    assert entry is not None
    await instance.directory.remove(entry)
    assert 404 == api.get(f"/v1/account/{lost_directory}").status_code

    swept = await instance.sweep(clock() + timedelta(minutes=4))

    assert swept.mended >= 2
    assert None is swept.cursor
    assert await instance.agenda.holds(row)
    assert 200 == api.get(f"/v1/account/{lost_directory}/oauth-token").status_code
    again = await instance.sweep(clock() + timedelta(minutes=4))
    assert 0 == again.mended
    accounts = [found async for _, found in instance.principals.accounts(None, None)]
    connected = sum(found.state is AccountState.CONNECTED for found in accounts)
    assert connected == again.counts["accounts.connected"]
    assert connected == api.get("/v1/stats").json()["accounts"]["connected"]


async def test_a_sweep_whose_time_is_up_goes_on_where_it_was(instance: Services, clock: MovedClock) -> None:
    for _ in range(100):
        who = records.principal()
        await instance.principals.commit(
            who.id, [Insert(records.grant(who, clock())), Insert(records.account(who, clock()))]
        )
    full = await instance.sweep(clock() + timedelta(minutes=4))

    runs = [await instance.sweep(clock())]
    while runs[-1].cursor is not None:
        runs.append(await instance.sweep(clock()))

    assert len(runs) > 3
    assert full.counts == runs[-1].counts
    assert full.mended >= 200
    assert 0 == runs[-1].mended


async def test_the_counters_follow_what_happens(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: Services, clock: MovedClock, tenant: Tenant
) -> None:
    await instance.sweep(clock() + timedelta(minutes=4))
    before = api.get("/v1/stats").json()
    who = person()
    account = bind(api, visitor, who)
    await _until(api, "accounts", "connected", before["accounts"].get("connected", 0) + 1)
    await instance.hand_out(account)
    await instance.tally.settled()
    await _until(api, "grants", "hot", before["grants"].get("hot", 0) + 1)

    tenant.do("revoke", person=who)
    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    wanted = before["accounts"].get("authenticationError", 0) + 1
    await _until(api, "accounts", "authenticationError", wanted)
    await _until(api, "accounts", "connected", before["accounts"].get("connected", 0))
    api.delete(f"/v1/account/{account}")
    await _until(api, "accounts", "authenticationError", wanted - 1)


async def _until(api: httpx.Client, group: str, name: str, expected: int) -> None:
    for _ in range(50):
        if expected == api.get("/v1/stats").json()[group].get(name, 0):
            return
        await asyncio.sleep(0.05)
    assert expected == api.get("/v1/stats").json()[group].get(name, 0)


async def test_stats_tell_what_is_late_and_what_the_last_tick_did(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: Services
) -> None:
    account = bind(api, visitor, person())
    await instance.hand_out(account)
    grant = await grant_of(instance, account)
    soon = replace(grant.value, due=instance.clock() - timedelta(minutes=10))
    assert soon.due
    await instance.agenda.add(Work(soon.work, soon.due, soon.principal.id, soon.app))
    await instance.principals.commit(await principal_id(instance, account), [Replace(soon, grant.version)])
    late = api.get("/v1/stats").json()
    assert late["overdue"] >= 1
    assert late["oldestOverdueSeconds"] >= 600

    await tick(instance)

    after = api.get("/v1/stats").json()
    assert after["lastTick"]["outcomes"]["refreshed"] >= 1
    assert 0 == after["overdue"]


async def test_a_grant_that_serves_more_accounts_than_a_transaction_takes_fails_and_recovers_as_one(
    environment: Environment, person: NewPerson, tenant: Tenant
) -> None:
    reusing = build_services({**environment.settings, "MAILBIND_OAUTH_CREDENTIAL_REUSE": "true"})
    who, count = person(), 55
    people = tenant.client.get(str(tenant.client.base_url).removesuffix("/")).json()["people"]
    oid = next(row["oid"] for row in people if row["upn"] == who)
    app = reusing.apps.app
    token = Secret(tenant.do("sign-in", person=who)["refreshToken"])
    signed_in = SignedIn(Principal(app.tenant, oid, who), await reusing.msal.refresh(app, token))

    async def sign_in(name: str) -> None:
        invitation = Invitation("https://myapp.example/", name, email="support@contoso.example", delegated=True)
        started = await reusing.start_registration(invitation, {}, "test")
        asked = await reusing.registrations.get(started.registration)
        assert asked is not None
        await reusing.bind(asked.value, app, signed_in)

    async def states() -> dict[str, int]:
        partition = await reusing.principals.partition(signed_in.principal.id)
        return dict(Counter(str(stored.value.state) for stored in partition.accounts.values()))

    try:
        names = [f"{who.partition('@')[0]}-{number}" for number in range(count)]
        for name in names:
            await sign_in(name)
        tenant.do("fail", endpoint="token", failure="50173", times=1, person=who, grant="refresh_token")
        stored = await reusing.principals.grant(signed_in.principal.id, app.id)
        assert stored is not None
        await reusing.refresh_grant(stored)
        assert {"authenticationError": count} == await states()

        await sign_in(names[0])

        assert {"connected": count} == await states()
    finally:
        for name in names:
            await reusing.remove_account(name)
        await reusing.close()
