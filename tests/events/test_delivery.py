"""Delivery loses no event, keeps their order, and lets no target delay another."""

import asyncio
import os
import sys
from collections import defaultdict
from datetime import timedelta

import pytest

from infra.local import parts
from infra.local.azurite import Azurite
from shared.domain.caller import Binding
from shared.domain.event import EventName
from shared.domain.webhook import Lease
from shared.domain.work import Work, WorkKind
from shared.ports import App, Insert, Remove
from shared.usecases.events.delivery import fan_out
from shared.usecases.events.outbox import account_events
from shared.usecases.events.webhook_care import Redelivered, list_webhooks, read_webhook, redeliver
from shared.usecases.upkeep.sweep import sweep
from tests.conftest import MovedClock, settings_for, storage_of
from tests.contract.records import account, principal
from tests.events.conftest import ADMIN, Receiver, Teller, deliver, lose_secrets, named, subscribe_to
from tests.patience import until

ADDED, UP, DOWN = EventName.ACCOUNT_ADDED, EventName.CONNECT_SUCCESS, EventName.CONNECT_ERROR


async def test_restarted_receiver_gets_every_event_in_order(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock
) -> None:
    target = await subscribe_to(app, receiver.url("ok/killed"))
    tellers = [teller, *(Teller(app) for _ in range(24))]
    accounts = [named() for _ in tellers]

    async def live(one: Teller, name: str) -> None:
        await one.tell(name, ADDED, EventName.ACCOUNT_INITIALIZED)
        for _ in range(3):
            await one.tell(name, *[DOWN, UP] * 3)

    living = [asyncio.create_task(live(*one)) for one in zip(tellers, accounts, strict=True)]
    delivering = asyncio.create_task(deliver(app))
    while len(receiver.took("ok/killed")) < 60:
        await asyncio.sleep(0.01)
        if delivering.done():
            delivering = asyncio.create_task(deliver(app))
    receiver.kill()
    await asyncio.gather(*living)
    await delivering
    receiver.start()
    clock.forward(seconds=61)
    await redeliver(app, target, ADMIN)
    await deliver(app)

    told = receiver.took("ok/killed")
    assert 500 == len({record["body"]["id"] for record in told})
    order = [ADDED, EventName.ACCOUNT_INITIALIZED, *[DOWN, UP] * 9]
    heard: dict[str, dict[str, str]] = defaultdict(dict)
    for record in told:  # what was told again has its first place
        heard[record["body"]["account"]].setdefault(record["body"]["id"], record["body"]["event"])
    assert dict.fromkeys(accounts, order) == {of: [*events.values()] for of, events in heard.items()}
    assert all(record["verified"] for record in told if record["status"] == 204)


async def test_failing_targets_delay_no_other(app: App, teller: Teller, receiver: Receiver) -> None:
    dead = await subscribe_to(app, "http://127.0.0.1:9/dead")
    slow = await subscribe_to(app, receiver.url("hangs/forever"))
    await subscribe_to(app, receiver.url("fails/always"))
    await subscribe_to(app, receiver.url("ok/quick"))
    for _ in range(20):
        await teller.tell(named(), ADDED)
    delivering = asyncio.create_task(deliver(app))

    await until(lambda: len(receiver.took("ok/quick")) == 20)
    # The slow one is still being visited, and the quick one hears of what is new all the same.
    assert not delivering.done()
    await teller.tell(named(), ADDED)
    await until(lambda: len(receiver.took("ok/quick")) == 21)
    assert not delivering.done()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    found = {one.webhook.id: one for one in await list_webhooks(app, ADMIN)}
    assert "it could not be reached" == found[dead].last_error
    assert 20 <= len(found[slow].waiting)
    # It was given up after a few, not asked about each of twenty accounts.
    assert 8 + 4 > len(receiver.took("fails/always"))


async def test_failing_event_delays_its_account_only_and_is_parked(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock
) -> None:
    target, sick, well = await subscribe_to(app, receiver.url("picky/one")), named() + "-sick", named()
    for _ in range(2):
        await teller.tell(sick, DOWN, UP)
        await teller.tell(well, DOWN, UP)

    began = app.clock()
    await deliver(app)

    heard = [(r["body"]["account"], r["body"]["event"]) for r in receiver.took("picky/one")]
    assert [(well, DOWN), (well, UP)] * 2 == [one for one in heard if one[0] == well]
    assert [(sick, DOWN)] == [one for one in heard if one[0] == sick]
    found = await read_webhook(app, target, ADMIN)
    assert (4, 0, "it answered 500") == (len(found.waiting), len(found.parked), found.last_error)
    pauses = []
    for _ in range(3):
        waits = found.waiting[0].not_before
        assert waits is not None
        pauses.append(((waits - app.clock()).total_seconds(), (waits - began).total_seconds()))
        clock.ahead += waits - app.clock()
        began = app.clock()
        await deliver(app)
        found = await read_webhook(app, target, ADMIN)
    # It failed at some moment between the two that each pause is measured from.
    for most, least, (since_ended, since_began) in zip((6, 24, 96), (4, 16, 64), pauses, strict=True):
        assert since_ended <= most
        assert least <= since_began
    clock.forward(days=3)
    await deliver(app)
    found = await read_webhook(app, target, ADMIN)
    assert (0, 4, [DOWN, UP] * 2) == (len(found.waiting), len(found.parked), [one.event for one in found.parked])

    # The receiver works again, and its operator redelivers what is parked.
    assert Redelivered(4, more=False) == await redeliver(app, target, ADMIN)
    found = await read_webhook(app, target, ADMIN)
    assert (4, 0) == (len(found.waiting), len(found.parked))
    clock.forward(days=3, seconds=1)
    await deliver(app)
    clock.forward(days=31)
    await sweep(app, app.clock() + timedelta(minutes=4))
    assert 0 == len((await read_webhook(app, target, ADMIN)).parked)


async def test_target_that_answered_410_must_subscribe_again(app: App, teller: Teller, receiver: Receiver) -> None:
    target = await subscribe_to(app, receiver.url("gone/away"))
    await teller.tell(named(), ADDED)
    await deliver(app)
    await teller.tell(named(), ADDED)
    await deliver(app)

    found = await read_webhook(app, target, ADMIN)
    assert (1, False, 0) == (len(receiver.took("gone/away")), found.webhook.is_active, len(found.waiting))

    assert target == await subscribe_to(app, receiver.url("gone/away"))
    await teller.tell(named(), ADDED)
    await deliver(app)
    assert 2 == len(receiver.took("gone/away"))


async def test_redirect_is_a_failure_and_retry_after_is_respected(app: App, teller: Teller, receiver: Receiver) -> None:
    away, busy = (
        await subscribe_to(app, receiver.url("redirects/away")),
        await subscribe_to(app, receiver.url("busy/bee")),
    )
    await teller.tell(named(), ADDED)
    await deliver(app)

    assert "it answered 307" == (await read_webhook(app, away, ADMIN)).last_error
    assert 1 == len(receiver.took("redirects/away"))
    assert [] == receiver.took("ok/redirected")
    (held,) = (await read_webhook(app, busy, ADMIN)).waiting
    assert held.not_before is not None
    assert 20 < (held.not_before - app.clock()).total_seconds() <= 40


async def test_target_gets_events_of_its_own_accounts_only(app: App, teller: Teller, receiver: Receiver) -> None:
    mine, other = named("mine"), named("other")
    await subscribe_to(app, receiver.url("ok/one"), Binding.to([mine.upper()]))
    await subscribe_to(app, receiver.url("ok/some"), Binding.to(prefixes=["MINE-"]))
    await teller.tell(mine, ADDED)
    await teller.tell(other, ADDED)
    await deliver(app)

    assert [mine] == [record["body"]["account"] for record in receiver.took("ok/one")]
    assert [mine] == [record["body"]["account"] for record in receiver.took("ok/some")]


async def test_events_stay_in_order_after_a_change_of_principal(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock
) -> None:
    await subscribe_to(app, receiver.url("ok/moved"))
    moved, others = named(), Teller(app, principal())
    clock.forward(minutes=3)
    await teller.tell(moved, ADDED)
    await teller.tell(moved, DOWN)
    known, version = teller.versions[moved]
    clock.forward(minutes=-3)  # the next instance's clock is behind
    taken, news = await account_events(
        app, known.reauthorized(others.who, "r", clock()), [EventName.AUTHENTICATION_SUCCESS]
    )
    await app.stores.principals.commit(others.who.id, [Insert(taken), *news])
    await app.stores.principals.commit(teller.who.id, [Remove(known, version)])
    await deliver(app)

    told = [record["body"] for record in receiver.took("ok/moved")]
    assert [ADDED, DOWN, EventName.AUTHENTICATION_SUCCESS] == [body["event"] for body in told]


async def test_agenda_row_is_kept_until_its_event_is_overdue(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock
) -> None:
    await subscribe_to(app, receiver.url("ok/late"))
    late, never = named(), named()
    told, news = await account_events(app, account(teller.who, clock(), late), [ADDED])
    await account_events(app, account(teller.who, clock(), never), [ADDED])
    await deliver(app)
    assert [] == receiver.took("ok/late")
    assert 2 == len(await app.stores.agenda.due("outbox", clock() + timedelta(days=1), None))

    await app.stores.principals.commit(teller.who.id, [Insert(told), *news])
    await deliver(app)
    assert [late] == [record["body"]["account"] for record in receiver.took("ok/late")]
    clock.forward(minutes=16)
    await deliver(app)
    assert 0 == len(await app.stores.agenda.due("outbox", clock() + timedelta(days=1), None))


async def test_second_instance_delivers_after_the_first_died(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock
) -> None:
    await subscribe_to(app, receiver.url("ok/two"))
    for _ in range(10):
        await teller.tell(named(), ADDED)

    assert [True, False] == sorted(await asyncio.gather(deliver(app), deliver(app)), reverse=True)
    assert 10 == len(receiver.took("ok/two"))

    await app.stores.leases.insert(Lease("died", app.clock() + app.timeouts.delivery_lease))
    await teller.tell(named(), ADDED)
    assert not await deliver(app)
    clock.forward(seconds=61)
    assert await deliver(app)
    assert 11 == len(receiver.took("ok/two"))


@pytest.mark.parametrize("lines", [1, 25])
async def test_killed_app_reports_exactly_what_it_did(
    app: App, storage: Azurite, receiver: Receiver, clock: MovedClock, lines: int
) -> None:
    await subscribe_to(app, receiver.url(f"ok/dying{lines}"))
    env = os.environ | settings_for(storage.connection_string, MAILBIND_WEBHOOKS_LOOPBACK="true")
    command = [sys.executable, "-m", "tests.events.dying"]
    before = await _dying(app)
    dying = await asyncio.create_subprocess_exec(*command, env=env, cwd=parts.ROOT, stdout=asyncio.subprocess.PIPE)
    assert dying.stdout is not None
    for _ in range(lines):
        assert await dying.stdout.readline()
    dying.kill()
    await dying.communicate()
    clock.forward(seconds=61)  # its lease runs out
    await deliver(app)
    clock.forward(minutes=15)  # and so does the time in which its last transactions might have come
    await deliver(app)

    bound = await _dying(app) - before
    told = [(record["body"]["account"], record["body"]["event"]) for record in receiver.took(f"ok/dying{lines}")]
    assert lines <= len(bound)
    assert {(name, event) for name in bound for event in (ADDED, EventName.ACCOUNT_INITIALIZED)} == set(told)
    rows = [row async for row in storage_of(app).get_table_client("Principals").list_entities()]
    assert [] == [row for row in rows if row["RowKey"].startswith("event~")]
    assert [] == await app.stores.agenda.due("outbox", clock() + timedelta(days=1), None)
    assert [] == [row async for row in storage_of(app).get_table_client("Deliveries").list_entities()]


async def _dying(app: App) -> set[str]:
    return {one.id async for _, one in app.stores.principals.accounts(None, None) if one.id.startswith("dying")}


async def test_fan_out_for_a_removed_webhook_leaves_no_row(app: App, teller: Teller, receiver: Receiver) -> None:
    target = await subscribe_to(app, receiver.url("ok/removed"))
    stored = await app.stores.webhooks.get(target)
    assert stored is not None
    await teller.tell(named(), ADDED)
    await fan_out(app)
    await app.stores.webhooks.remove(stored)
    await app.stores.agenda.add(Work(WorkKind.DELIVER, app.clock(), target))
    await deliver(app)

    assert [] == [row async for row in storage_of(app).get_table_client("Deliveries").list_entities()]
    assert [] == receiver.took("ok/removed")


async def test_webhook_with_lost_secrets_keeps_its_events(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock
) -> None:
    broken, _ = await subscribe_to(app, receiver.url("ok/broken")), await subscribe_to(app, receiver.url("ok/well"))
    await lose_secrets(app, broken)
    await teller.tell(named(), ADDED)
    await deliver(app)

    assert (0, 1) == (len(receiver.took("ok/broken")), len(receiver.took("ok/well")))
    (held,) = (await read_webhook(app, broken, ADMIN)).waiting
    assert "its secrets cannot be decrypted any more" in (held.error or "")

    assert broken == await subscribe_to(app, receiver.url("ok/broken"))
    clock.forward(minutes=1)
    await deliver(app)
    (told,) = receiver.took("ok/broken")
    assert told["verified"]


@pytest.mark.parametrize("days", [30, 400])
async def test_clock_jump_loses_and_delays_no_event(
    app: App, teller: Teller, receiver: Receiver, clock: MovedClock, days: int
) -> None:
    """The sweep has a look at whatever waits."""
    name, path = named(), f"picky/jump{days}"
    target = await subscribe_to(app, receiver.url(path))
    clock.forward(days=days)
    await teller.tell(name, ADDED)
    await fan_out(app)
    await teller.tell(name + "-sick", ADDED)
    await deliver(app)
    await teller.tell(name, DOWN)
    clock.forward(days=-days)
    await teller.tell(name, UP)
    await deliver(app)
    await sweep(app, app.clock() + timedelta(minutes=4))
    await deliver(app)

    assert [ADDED, DOWN, UP] == [r["body"]["event"] for r in receiver.took(path) if r["body"]["account"] == name]
    (sick,) = (await read_webhook(app, target, ADMIN)).waiting
    assert 2 == sick.attempts
