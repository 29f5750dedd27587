"""Six hours of many hot accounts, while people and the OAuth app lose and regain what they need."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest

from infra.local.environment import APP_ID
from shared.bootstrap import build
from shared.domain.account import AccountState
from shared.domain.secret import Secret
from shared.usecases.apps.catalogue import change_oauth_app
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.sweep import sweep
from tests.conftest import MovedClock
from tests.environments import Surroundings
from tests.events.conftest import Receiver, deliver, receiver, subscribe_to  # noqa: F401 - a fixture
from tests.faults.hours import WELL, Hours, seen_of
from tests.faults.test_shared_backlog import MAILBOX, tenant_of
from tests.faults.watched import RENEWED_FROM, TOKEN_LIFETIME, Outage, Watched

ACCOUNTS, MINUTES = 200, 360
TROUBLED, FIRST_CHANGE, CHANGE_EVERY, CHANGE_LASTS = 24, 4, 7, 100
DELIVERED_EVERY = 10
NEEDS_SIGN_IN = AccountState.AUTHENTICATION_ERROR, "needs_sign_in"
GONE, LOCKED, BLOCKED, LOST = (
    (AccountState.CONNECT_ERROR, code)
    for code in ("person_gone", "person_locked", "blocked_by_policy", "no_mailbox_access")
)
# From minute to minute: the app's secret has expired; Entra is down; it throttles; Mailbind's secret is not Entra's.
OUTAGES = (
    (70, 86, "expired", "app_credential"),
    (125, 139, "503", "entra_unavailable"),
    (180, 194, "throttles", "entra_unavailable"),
    (230, 242, "wrong", "app_credential"),
    (282, 290, "reset", "entra_unavailable"),
)
THROTTLED = 8
TRIAL_MINUTES = 2
ASKED_AT_ONCE = 8  # before the circuit breaker is open

type Fields = Mapping[str, Any]


class Change(NamedTuple):
    """What an administrator does about a person, how the account shows it, and what ends it: this, or a sign-in."""

    action: str
    begin: Fields
    shows: tuple[AccountState, str | None]
    end: Fields | None = None


ACCESS = {"mailbox": MAILBOX}
CHANGES = {
    "revoked": Change("revoke", {}, NEEDS_SIGN_IN),
    "deleted": Change("person", {"refusal": "500341"}, GONE, {"refusal": ""}),
    "left": Change("person", {"refusal": "50034"}, GONE),
    "disabled": Change("person", {"disabled": True}, GONE, {"disabled": False}),
    "renamed": Change("person", {}, WELL, {}),
    "locked": Change("person", {"refusal": "50053"}, LOCKED, {"refusal": ""}),
    "blocked": Change("person", {"refusal": "53003"}, BLOCKED, {"refusal": ""}),
    "lost": Change("access", {**ACCESS, "fullAccess": False}, LOST, {**ACCESS, "fullAccess": True}),
}


def administer(hours: Hours, one: Watched, action: str, fields: Fields) -> None:
    hours.tenant.do(action, **{"upn" if action == "person" else "person": one.person}, **fields)


def rename(hours: Hours, one: Watched, name: str) -> None:
    administer(hours, one, "person", {"signInName": name})
    hours.people[name], one.person = one, name
    one.should_be(one.next_refresh(hours.now, hours.outages), name=name)


async def begin(hours: Hours, one: Watched, name: str) -> None:
    change = CHANGES[name]
    if name == "renamed":
        rename(hours, one, f"renamed.{one.person}")
        return
    administer(hours, one, change.action, change.begin)
    state, code = change.shows
    one.should_be(one.next_refresh(hours.now, hours.outages), state=state, code=code)


async def end(hours: Hours, one: Watched, name: str, other_person: str) -> None:
    change = CHANGES[name]
    if name == "renamed":
        rename(hours, one, one.person.removeprefix("renamed."))
    elif change.end is None:
        await hours.sign_in(one, other_person if name == "left" else one.person)
    else:
        administer(hours, one, change.action, change.end)
        known_by = one.next_retry(hours.now, hours.outages) if name == "locked" else None
        if name == "lost":
            assert (await reconnect_account(hours.callers, one.id)).failed is None
            known_by = hours.now
        one.should_be(known_by, state=AccountState.CONNECTED, code=None)


async def begin_outage(hours: Hours, outage: Outage) -> None:
    match outage.mode:
        case "expired":
            hours.tenant.do("app", clientId=hours.callers.config.seed.client_id, secret="")
        case "wrong":
            await change_oauth_app(hours.callers, APP_ID, {"client_secret": Secret("not-yet-in-entra")}, {})
        case "throttles":
            hours.tenant.do("throttle", endpoint="token", times=THROTTLED, retryAfter=240)
        case mode:
            hours.tenant.do("outage", endpoint="token", mode=mode)


async def end_outage(hours: Hours, outage: Outage) -> None:
    client = hours.callers.config.seed.client_id
    match outage.mode:
        case "expired":
            hours.tenant.do("app", clientId=client, secret="renewed")
            await change_oauth_app(hours.callers, APP_ID, {"client_secret": Secret("renewed")}, {})
            hours.app_refused = False
        case "wrong":
            hours.tenant.do("app", clientId=client, secret="not-yet-in-entra")
        case "throttles":
            assert [] == hours.tenant.client.get(str(hours.tenant.client.base_url).rstrip("/")).json()["faults"]
        case _:
            hours.tenant.do("outage", endpoint="token", mode="none")


def plan(hours: Hours, others: list[str]) -> dict[int, list[Callable[[], Awaitable[None]]]]:
    """What happens in which minute. Nobody can sign in during an outage, so what ends then ends afterwards."""
    acts = defaultdict[int, list[Callable[[], Awaitable[None]]]](list)
    for (first, last, mode, _), outage in zip(OUTAGES, hours.outages, strict=True):
        acts[first].append(partial(begin_outage, hours, outage))
        acts[last - TRIAL_MINUTES * (mode == "wrong")].append(partial(end_outage, hours, outage))
    for number in range(TROUBLED):
        one, name, minute = troubled(hours)[number], name_of(number), minute_of(number)
        acts[minute].append(partial(begin, hours, one, name))
        minute += CHANGE_LASTS
        after_outage = next((last + 1 for first, last, *_ in OUTAGES if first <= minute <= last), minute)
        acts[after_outage].append(partial(end, hours, one, name, others[number]))
    return acts


def name_of(number: int) -> str:
    """What happens to that person."""
    return list(CHANGES)[number % len(CHANGES)]


def minute_of(number: int) -> int:
    """When something happens to that person."""
    return FIRST_CHANGE + CHANGE_EVERY * number


def troubled(hours: Hours) -> Sequence[Watched]:
    """The accounts that something happens to, among the others."""
    return hours.accounts[:: ACCOUNTS // TROUBLED][:TROUBLED]


@pytest.fixture
async def hours(surroundings: Surroundings) -> AsyncIterator[Hours]:
    """Hot accounts whose tokens end at different times, and others who may take an account over."""
    clock, settings = MovedClock(), {**surroundings.settings, "MAILBIND_AGENDA_SHARDS": "1"}
    timers, callers = build(settings, clock), build(settings, clock)
    with tenant_of(surroundings) as tenant:
        began = clock() + timedelta(minutes=5)
        hours = Hours(timers, callers, tenant, clock, began)
        hours.outages = [
            Outage(hours.time_of(first), hours.time_of(last), mode, code) for first, last, mode, code in OUTAGES
        ]
        yield hours
    await timers.close()
    await callers.close()


async def store_accounts(hours: Hours) -> list[str]:
    """Store the accounts, whose tokens end at different times. Returns people without an account."""
    hours.tenant.do("lifetimes", accessTokenSeconds=int(TOKEN_LIFETIME.total_seconds()))
    names = hours.tenant.do("person", create=ACCOUNTS + TROUBLED, mailbox=MAILBOX)["people"]
    people = hours.tenant.client.get(str(hours.tenant.client.base_url).rstrip("/")).json()["people"]
    hours.object_ids = {row["upn"]: row["oid"] for row in people}
    probes = {
        ACCOUNTS // TROUBLED * number: hours.time_of(minute_of(number))
        for number in range(TROUBLED)
        if name_of(number) == "lost"
    }
    slots, week = asyncio.Semaphore(8), timedelta(days=7)

    async def store(number: int) -> Watched:
        async with slots:
            refreshed = hours.begin - RENEWED_FROM * (number / ACCOUNTS)
            return await hours.store(names[number], refreshed, probes.get(number, refreshed + week))

    hours.accounts = await asyncio.gather(*map(store, range(ACCOUNTS)))
    hours.people = {one.person: one for one in hours.accounts}
    return list(names[ACCOUNTS:])


async def test_no_account_is_in_a_wrong_state_at_any_minute(hours: Hours, receiver: Receiver) -> None:  # noqa: F811
    acts = plan(hours, await store_accounts(hours))
    await subscribe_to(hours.timers, receiver.url("ok/hours"))
    for minute in range(MINUTES):
        hours.move_to(minute)
        for act in acts.get(minute, ()):
            await act()
        await hours.work(minute)
        if minute % DELIVERED_EVERY == 0:
            await deliver(hours.timers)
    await deliver(hours.timers)

    assert [] == [one for one in hours.accounts if not one.is_well]
    callers_were_told_every_change_once(hours, [record["body"] for record in receiver.took("ok/hours")])
    await nothing_is_left(hours)


def callers_were_told_every_change_once(hours: Hours, bodies: list[dict[str, Any]]) -> None:
    told = defaultdict[str | None, list[tuple[str, str | None]]](list)
    for body in bodies:
        told[body["account"]].append((body["event"], body["data"].get("code")))
    refused = [("oauthAppError", "app_credential"), ("oauthAppRecovered", "app_credential")]
    assert refused * 2 == told.pop(None)
    assert {one.id: one.events for one in hours.accounts if one.events} == told
    codes = {code for one in hours.accounts for _, code in one.events}
    assert {change.shows[1] for change in CHANGES.values()} == codes


async def nothing_is_left(hours: Hours) -> None:
    """Microsoft was not asked more often than it had to be, no work is late, and no row is missing."""
    trials = sum(last - first for first, last, _, code in OUTAGES if code == "app_credential")
    assert hours.secret_refusals <= trials + 2 * ASKED_AT_ONCE
    demanded = {one.id for number, one in enumerate(troubled(hours)) if name_of(number) in {"revoked", "left", "lost"}}
    assert hours.early <= demanded
    stored = {account.id: seen_of(account) async for _, account in hours.timers.stores.principals.accounts(None, None)}
    assert {one.id: one.seen for one in hours.accounts} == stored
    assert 0 == (await read_statistics(hours.timers)).overdue
    assert 0 == (await sweep(hours.timers, hours.now + timedelta(minutes=4))).mended
