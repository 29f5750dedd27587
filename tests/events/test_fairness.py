"""Events are not delayed by thousands of others, and none is sent twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.caller import Binding
from shared.domain.event import EventName
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.work import REAP_SHARD, Work, WorkKind
from shared.ports import App
from shared.usecases.events.target import MAX_CONCURRENT_LANES
from shared.usecases.upkeep.agenda import Limits
from shared.usecases.upkeep.tick import work_agenda
from tests.conftest import MovedClock, settings_for
from tests.contract.records import registration
from tests.events.conftest import Receiver, Teller, deliver, named, subscribe_to


async def expire(app: App, *links: tuple[str, ...]) -> None:
    """Links for these accounts run out, and that is told."""
    slots = asyncio.Semaphore(8)

    async def one(accounts: tuple[str, ...]) -> None:
        async with slots:
            asked = registration(app.clock() - timedelta(days=2))
            mailboxes = tuple(InvitedMailbox(account, f"{account}@contoso.example") for account in accounts)
            await app.stores.registrations.insert(replace(asked, mailboxes=mailboxes))
            await app.stores.agenda.add(Work(WorkKind.EXPIRE, asked.expires, asked.id))

    await asyncio.gather(*map(one, links))
    await work_agenda(app, {REAP_SHARD: None}, Limits(app.clock() + timedelta(minutes=4)))


async def test_expired_link_reports_to_each_target_its_own_mailboxes(app: App, receiver: Receiver) -> None:
    await subscribe_to(app, receiver.url("ok/all"))
    await subscribe_to(app, receiver.url("ok/two"), Binding(("mine-1", "mine-2")))
    await subscribe_to(app, receiver.url("ok/none"), Binding(("others",)))
    accounts = ("mine-1", *(f"theirs-{number}" for number in range(48)), "mine-2")

    await expire(app, accounts)
    await deliver(app)

    (everything,), (two,) = receiver.took("ok/all"), receiver.took("ok/two")
    assert ("registrationExpired", "mine-1") == (everything["body"]["event"], everything["body"]["account"])
    assert [*accounts] == everything["body"]["data"]["accounts"]
    assert ("mine-1", ["mine-1", "mine-2"]) == (two["body"]["account"], two["body"]["data"]["accounts"])
    assert "theirs" not in str(two["body"])
    assert [] == receiver.took("ok/none")


async def test_account_events_precede_hundreds_of_expired_links(app: App, teller: Teller, receiver: Receiver) -> None:
    await subscribe_to(app, receiver.url("ok/fair"))
    await expire(app, *((f"link-{number}",) for number in range(300)))
    await teller.tell(named("account"), EventName.AUTHENTICATION_ERROR)

    await deliver(app)

    heard = [record["body"]["event"] for record in receiver.took("ok/fair")]
    assert 301 == len(heard)
    assert EventName.AUTHENTICATION_ERROR in heard[:MAX_CONCURRENT_LANES]  # so many are sent side by side


async def test_run_keeps_its_lease_until_it_ends(
    app: App, teller: Teller, clock: MovedClock, receiver: Receiver, storage: Azurite
) -> None:
    await subscribe_to(app, receiver.url("hangs/long"))
    await teller.tell(named(), EventName.ACCOUNT_ADDED)
    another = build(settings_for(storage.connection_string, MAILBIND_WEBHOOKS_LOOPBACK="true"), clock)
    running = asyncio.create_task(deliver(app))
    try:
        await _renewed(app, clock)
        for _ in range(3):
            clock.forward(seconds=25)  # the lease lasts for a minute
            await _renewed(app, clock)
            assert not await deliver(another)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await another.close()


async def _renewed(app: App, clock: MovedClock) -> None:
    for _ in range(300):
        held = await app.stores.leases.get("delivery")
        if held is not None and held.value.until - clock() > timedelta(seconds=40):
            return
        await asyncio.sleep(0.1)
    pytest.fail("the lease was not renewed")
