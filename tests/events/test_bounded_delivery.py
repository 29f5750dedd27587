"""With many events and slow storage, every step ends on time and the next one continues."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from infra.local.azurite import Azurite
from shared.adapters.tables.events import MAX_DELIVERIES_DELETED
from shared.bootstrap import build
from shared.domain.event import EventName
from shared.domain.secret import Secret
from shared.domain.webhook import Delivery, Webhook
from shared.ports import App, Timeouts
from shared.usecases.events.delivery import deliver_events, fan_out, has_events
from shared.usecases.events.target import visit_target
from shared.usecases.events.webhook_care import Redelivered, redeliver, remove_webhook
from tests.conftest import MovedClock, settings_for
from tests.events.conftest import ADMIN, SECRET, Receiver, Teller, named, subscribe_to
from tests.faults.lossy_proxy import LossyProxy, lossy_proxy

SHORT = timedelta(milliseconds=500)


@pytest.fixture
async def slow(storage: Azurite, clock: MovedClock) -> AsyncIterator[tuple[LossyProxy, App]]:
    """Another instance, which reaches the same storage through a proxy that a test makes slow."""
    port = urlsplit(storage.tables_url).port or 0
    async with lossy_proxy(port) as (proxy, through):
        tables = storage.connection_string.replace(f":{port}/", f":{through}/")
        built = build(settings_for(tables, MAILBIND_WEBHOOKS_LOOPBACK="true"), clock)
        yield proxy, built
        await built.close()


async def silent(app: App) -> str:
    """A webhook whose target is not visited."""
    url = "http://127.0.0.1:9/"
    webhook = Webhook(named(), url, ("*",), app.clock(), ADMIN.id, Secret(url), Secret(SECRET))
    await app.stores.webhooks.insert(webhook)
    return webhook.id


async def queue(app: App, webhook: str, count: int, *, parked: bool = False) -> None:
    """So many deliveries of as many accounts."""
    now = app.clock()
    body = '{"event": "accountAdded", "account": "x"}'
    made = [Delivery(webhook, f"{number:032x}", f"lane-{number}", "accountAdded", body, now) for number in range(count)]
    await app.stores.deliveries.put([replace(one, parked=now if parked else None) for one in made])


async def until_lease(app: App, *, held: bool) -> None:
    """Return when the lease is held, or when it is free."""
    for _ in range(1000):
        lease = await app.stores.leases.get("delivery")
        if held is (lease is not None and app.clock() < lease.value.until):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the lease stays as it is")


async def test_run_with_a_full_outbox_ends_on_time(app: App, teller: Teller) -> None:
    await deliver_events(app, app.clock() + timedelta(minutes=1))  # what other tests left
    webhook = await silent(app)
    names = [named() for _ in range(20)]
    await asyncio.gather(*(teller.tell(name, *[EventName.AUTHENTICATION_ERROR] * 50) for name in names))

    drained = [0]
    while await has_events(app):
        await deliver_events(app, app.clock() + timedelta(milliseconds=300))
        drained.append(len(await app.stores.deliveries.waiting(webhook, None, 5000)))
        assert len(drained) < 1000

    assert len(set(drained)) > 2, "one run did it all"
    waiting = await app.stores.deliveries.waiting(webhook, None, 5000)
    assert dict.fromkeys(names, 50) == Counter(one.value.account for one in waiting if one.value.account in names)


async def test_visit_of_a_target_with_a_long_queue_ends_on_time(app: App, receiver: Receiver) -> None:
    hurried = replace(app, timeouts=Timeouts(target_visit=SHORT))
    webhook = await subscribe_to(app, receiver.url("ok/long"))
    await queue(app, webhook, 600)

    left: list[int] = []
    while not left or left[-1]:
        again = await visit_target(hurried, webhook)
        left.append(len(await app.stores.deliveries.waiting(webhook, None, 601)))
        assert (again is None) is (left[-1] == 0)

    assert (True, sorted(left, reverse=True)) == (len(left) > 1, left)
    assert 600 == len(receiver.took("ok/long"))


async def test_deliveries_of_a_removed_webhook_are_deleted_by_page(app: App) -> None:
    hurried = replace(app, timeouts=Timeouts(target_visit=timedelta()))
    webhook = await silent(app)
    await queue(app, webhook, 2 * MAX_DELIVERIES_DELETED + 100)

    await remove_webhook(app, webhook, ADMIN)

    left = [len(await app.stores.deliveries.waiting(webhook, None, 3 * MAX_DELIVERIES_DELETED))]
    while await visit_target(hurried, webhook) is not None:
        left.append(len(await app.stores.deliveries.waiting(webhook, None, 3 * MAX_DELIVERIES_DELETED)))
    assert [MAX_DELIVERIES_DELETED + 100, 100] == left
    assert 0 == len(await app.stores.deliveries.waiting(webhook, None, 1))


async def test_redelivering_tries_so_many_and_says_that_more_is_left(app: App) -> None:
    webhook = await silent(app)
    await queue(app, webhook, 250, parked=True)

    assert Redelivered(200, more=True) == await redeliver(app, webhook, ADMIN, limit=200)
    assert Redelivered(50, more=False) == await redeliver(app, webhook, ADMIN, limit=200)
    waiting = await app.stores.deliveries.waiting(webhook, None, 300)
    assert 250 == sum(one.value.lane.startswith("lane-") for one in waiting)


async def test_fan_out_continues_with_the_remaining_webhooks(
    app: App, slow: tuple[LossyProxy, App], teller: Teller, caplog: pytest.LogCaptureFixture
) -> None:
    proxy, other = slow
    webhooks = [await silent(app) for _ in range(48)]
    account = named()
    await teller.tell(account, *[EventName.AUTHENTICATION_ERROR] * 5)
    hurried = replace(other, timeouts=Timeouts(fan_out=timedelta(seconds=2)))
    proxy.delay = 0.25

    async def told_of_account(webhook: str) -> int:
        waiting = await app.stores.deliveries.waiting(webhook, None, 1000)
        return sum(delivery.value.account == account for delivery in waiting)

    reached = [0]
    while await fan_out(hurried) and len(reached) < 200:
        told = [await told_of_account(webhook) for webhook in webhooks]
        assert {0, 5} >= set(told)
        reached.append(told.count(5))

    assert (True, len(webhooks), sorted(reached)) == (len(reached) > 2, reached[-1], reached)
    assert "fan-out ran out of time" in caplog.messages
    assert not await has_events(hurried)


async def test_run_ends_with_its_lease_when_storage_stops_to_answer(
    app: App, slow: tuple[LossyProxy, App], teller: Teller, receiver: Receiver
) -> None:
    """The SDK would wait for storage, and try again, for longer than the lease lasts."""
    proxy, other = slow
    await subscribe_to(app, receiver.url("hangs/storage"))
    await teller.tell(named(), EventName.ACCOUNT_ADDED)
    hurried = replace(other, timeouts=Timeouts(delivery_lease=timedelta(seconds=3)))
    running = asyncio.create_task(deliver_events(hurried, other.clock() + timedelta(minutes=4)))
    try:
        await until_lease(app, held=True)
        proxy.unanswered = b"HTTP/1.1"
        await until_lease(app, held=False)

        await asyncio.wait_for(asyncio.shield(running), 3)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
