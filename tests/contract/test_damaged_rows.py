"""Damaged rows and impossible dates affect nothing but themselves."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.errors import RowUnreadable
from shared.domain.event import EventName
from shared.domain.formats import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, table_key
from shared.domain.limit import LimitSalt
from shared.domain.oauth_app import RegisteredApp
from shared.domain.secret import Secret
from shared.domain.webhook import Webhook
from shared.domain.work import REAP_SHARD, Work, WorkKind
from shared.ports import App, Insert, Timeouts
from shared.usecases.accounts.read import AccountQuery, list_accounts
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.events.delivery import fan_out
from shared.usecases.upkeep.agenda import Limits
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.sweep import sweep
from shared.usecases.upkeep.tick import run_tick, work_agenda
from tests.conftest import MovedClock, settings_for, storage_of
from tests.contract.records import account, grant, principal, registration
from tests.events.conftest import Teller
from tests.faults.lossy_proxy import lossy_proxy

LONG = timedelta(minutes=4)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Its event holds more than a property may (Table service: 32 Ki characters); the registration itself just fits.
LONG_NAME = "x" * 32_700


@pytest.fixture
async def app(storage: Azurite, clock: MovedClock) -> AsyncIterator[App]:
    """With all tables empty, because these tests read everything."""
    built = build(settings_for(storage.connection_string), clock)
    async for table in storage_of(built).list_tables():
        rows = storage_of(built).get_table_client(table.name)
        async for row in rows.list_entities():
            await rows.delete_entity(row["PartitionKey"], row["RowKey"])
    yield built
    await built.close()


async def bound(app: App) -> tuple[str, str]:
    """A grant with an account; their keys."""
    who = principal()
    held = account(who, app.clock())
    await app.stores.principals.commit(who.id, [Insert(grant(who, app.clock())), Insert(held)])
    return who.id, held.id


async def spoil(app: App, table: str, partition: str, row: str, **properties: Any) -> None:
    rows = await storage_of(app).create_table_if_not_exists(table)
    await rows.upsert_entity({"PartitionKey": partition, "RowKey": row, **properties})


def of_app(identity: str, ends: datetime, now: datetime) -> RegisteredApp:
    return RegisteredApp(
        id=identity,
        name="App",
        client_id="5f0c1d9e-0000-4000-8000-0000000000c2",
        authority="organizations",
        tenants=(),
        base_scopes=("api",),
        enabled=True,
        created=now,
        client_secret=Secret("secret"),
        secret_expires=ends,
    )


async def test_impossible_date_stops_no_sweep(app: App) -> None:
    """Rows from before such dates were refused may contain them."""
    await bound(app)
    now = app.clock()
    ends = {"first-app-aaaaaa": FIRST, "last-app-bbbbbbb": LAST, "soon-app-ccccccc": now}
    for identity, when in ends.items():
        await app.stores.oauth_apps.insert(of_app(identity, when, now))

    swept = await sweep(app, now + LONG)

    assert ((), 1, 1) == (swept.failed, swept.counts["accounts.connected"], swept.mended - 1)
    warned = [await app.stores.warned.get(f"{identity}~secret") for identity in ends]
    assert [True, False, True] == [one is not None for one in warned]
    stored = {one.id: one.secret_expires for one in await app.stores.oauth_apps.all()}
    assert [EARLIEST_TIMESTAMP, LATEST_TIMESTAMP] == [stored["first-app-aaaaaa"], stored["last-app-bbbbbbb"]]


async def test_failed_sweep_step_is_reported_and_stops_no_other(app: App, caplog: pytest.LogCaptureFixture) -> None:
    await bound(app)
    now = app.clock()
    sick = await app.stores.oauth_apps.insert(replace(of_app("sick-app-aaaaaaa", now, now), name=LONG_NAME))
    await app.stores.oauth_apps.insert(of_app("well-app-bbbbbbb", now, now))

    with caplog.at_level(logging.INFO):
        swept = await sweep(app, now + LONG)

    assert (("apps",), 1) == (swept.failed, swept.counts["accounts.connected"])
    told = [vars(record) for record in caplog.records if record.message == "sweep step failed"]
    assert [("apps", "sick-app-aaaaaaa")] == [(one["step"], one["app"]) for one in told]
    assert await app.stores.warned.get("well-app-bbbbbbb~secret") is not None
    known = (await read_statistics(app)).sweep
    assert known is not None
    assert ("apps",) == known.failed
    await app.stores.oauth_apps.remove(sick)
    app.oauth_apps.forget()
    assert () == (await sweep(app, app.clock() + LONG)).failed


async def test_damaged_rows_stop_neither_sweep_nor_tick_nor_listing(app: App, clock: MovedClock) -> None:
    who, name = await bound(app)
    await spoil(app, "Principals", table_key(who), "account~damaged", created="yesterday", id="x")
    await spoil(app, "Principals", "0", "grant~damaged", principal="{")
    await spoil(app, "Principals", "zzz", "account~damaged")
    for shard in app.stores.agenda.shards:
        await spoil(app, "Agenda", shard, "00000000000000~refresh~a~b", kind="refresh", due="never")
        await spoil(app, "Agenda", shard, "00000000000001~refresh~a~b", kind="refresh", due="0001-01-01", owner="a")
        await spoil(app, "Agenda", table_key(shard), "", due_by="never")
    for table, row in (("Statistics", "counters"), ("Statistics", "sweep"), ("Statistics", "tick")):
        await spoil(app, table, table_key(row), "", counts="{", cursor="?")
    await spoil(app, "OAuthApps", "0", "", id="0")

    swept = await sweep(app, app.clock() + LONG)
    clock.forward(days=8)
    worked = await run_tick(app)

    assert ((), 1) == (swept.failed, swept.counts["accounts.connected"])
    assert 1 == sum(worked.outcomes.values())  # nobody answers as Entra here: no name, or no answer
    assert {"transient", "appFault"} >= worked.outcomes.keys()
    listed = await list_accounts(app, AccountQuery(), ADMINISTRATOR)
    assert [name] == [one.id for one in listed.accounts]
    assert worked.began == (await app.stores.ticks.get("tick")).value.began  # type: ignore[union-attr]


@pytest.mark.parametrize("damaged", ["", "signin~x", "newest"])
async def test_registration_with_a_damaged_row_is_deleted(app: App, damaged: str) -> None:
    asked = registration(app.clock() - timedelta(days=9))
    await app.stores.registrations.insert(asked)
    newest = f"newest~{table_key(asked.mailboxes[0].account)}"
    partition, row = (newest, "") if damaged == "newest" else (table_key(asked.id), damaged)
    await spoil(app, "Registrations", partition, row, created="yesterday", mailboxes="{", registration=5)
    await app.stores.agenda.add(Work(WorkKind.REAP, asked.expires + timedelta(days=7), asked.id))

    await work_agenda(app, {REAP_SHARD: None}, Limits(app.clock() + LONG))

    assert () == tuple(await app.stores.agenda.due(REAP_SHARD, app.clock(), None, 1))
    rows = storage_of(app).get_table_client("Registrations")
    left = [one async for one in rows.query_entities("PartitionKey eq @of", parameters={"of": table_key(asked.id)})]
    assert [] == [one["RowKey"] for one in left if not one["RowKey"].startswith("event~")]


async def test_sweep_continues_after_a_record_that_cannot_be_read(
    app: App, storage: Azurite, clock: MovedClock
) -> None:
    _, held_up = await bound(app)
    for _ in range(3):
        await bound(app)
    port = urlsplit(storage.tables_url).port or 0
    async with lossy_proxy(port) as (proxy, through):
        slow = build(settings_for(storage.connection_string.replace(f":{port}/", f":{through}/")), clock)
        proxy.unanswered = f"Accounts(PartitionKey='{table_key(held_up)}'".encode()

        short = replace(slow, timeouts=Timeouts(swept_record=timedelta(seconds=3)))

        swept = await sweep(short, clock() + LONG)

        await slow.close()
    assert (("records",), None, 4) == (swept.failed, swept.cursor, swept.counts["accounts.connected"])


async def test_damaged_events_and_webhooks_block_no_others(app: App) -> None:
    target = Webhook("well", "https://a.example", ("*",), app.clock(), "administrator", secret=Secret("x"))
    await app.stores.webhooks.insert(target)
    await spoil(app, "Webhooks", "0", "", id="0", events="{")
    await spoil(app, "Deliveries", table_key("well"), "waiting~0", webhook="well", id="0")
    who = principal()
    for number, owner in enumerate((f"principal:{who.id}", "nobodys", "other:x")):
        await app.stores.agenda.add(Work(WorkKind.EVENT, app.clock(), owner, f"0{number}"))
    await spoil(app, "Principals", table_key(who.id), "event~00", name="?")

    teller = Teller(app)
    await teller.tell("one", EventName.ACCOUNT_ADDED)
    await fan_out(app)

    waiting = await app.stores.deliveries.waiting("well", None, 1)
    assert [EventName.ACCOUNT_ADDED] == [one.value.event for one in waiting]


@pytest.mark.parametrize("damage", [{"value": "v1.ffffffffffffffffffff.AAAA"}, {"empty_at": "never"}])
async def test_damaged_limit_salt_is_replaced(app: App, damage: dict[str, str]) -> None:
    salt = LimitSalt("2026-01-01", Secret("salt"), app.clock())
    await app.stores.limit_salts.insert(salt)
    await spoil(app, "Limits", table_key(salt.day), "", **damage)

    replaced = await app.stores.limit_salts.update(salt.day, lambda stored: stored or salt)

    assert salt == replaced
    assert salt == (await app.stores.limit_salts.get(salt.day)).value  # type: ignore[union-attr]


async def test_read_of_a_damaged_row_is_logged_once(app: App, caplog: pytest.LogCaptureFixture) -> None:
    who, name = await bound(app)
    row = f"account~{table_key(name)}"
    await spoil(app, "Principals", table_key(who), row, created="the content")

    with pytest.raises(RowUnreadable):
        await app.stores.principals.account(who, name)

    (told,) = [vars(record) for record in caplog.records if record.message == "row unreadable"]
    assert ("Principals", table_key(who), row) == (told["table"], told["PartitionKey"], told["RowKey"])
    assert "the content" not in str(told)
