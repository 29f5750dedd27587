"""A process that dies after any of its writes leaves nothing behind that breaks the next attempt."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from infra.local.azurite import Azurite
from infra.local.environment import Environment
from shared.bootstrap import build
from shared.domain.account import Principal
from shared.domain.invited_mailbox import InvitedMailbox, MailboxState
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.ports import App, SignedIn
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import conclude_sign_in
from shared.usecases.sign_in.further import FurtherAccount, add_account
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock, first_app, unguarded
from tests.faults.lossy_proxy import lossy_proxy
from tests.faults.orphans import drained, orphans, rows
from tests.journey.many import BOARD, SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture

COOKIE = Secret("a-browser")
STEP = 1 if os.environ.get("MAILBIND_EVERY_WRITE") else 4
type Doing = Callable[[App], Awaitable[object]]


@dataclass
class Alone:
    """Separate storage, a living process, and people of the tenant who have signed in."""

    settings: Mapping[str, str]
    port: int
    many: Many
    clock: MovedClock
    services: App

    async def killed(self, writes: int, doing: Doing) -> bool:
        """Run it in a process that is killed after that many writes. False if it ended before."""
        async with lossy_proxy(self.port) as (proxy, port):
            tables = self.settings["MAILBIND_TABLES"].replace(f":{self.port}/", f":{port}/")
            services = build({**self.settings, "MAILBIND_TABLES": tables}, self.clock)
            proxy.writes_left, others = writes, asyncio.all_tasks()
            work = asyncio.ensure_future(doing(services))
            over = asyncio.create_task(proxy.over.wait())
            await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
            died = not work.done()
            for task in asyncio.all_tasks() - others - {asyncio.current_task()} - proxy.connections:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await work
            await services.connections.aclose()
            return died

    async def person(self, *mailboxes: str) -> tuple[SignedIn, OAuthApp]:
        name, app = self.many.person(*mailboxes), first_app(self.services)
        people = self.many.tenant.client.get(str(self.many.tenant.client.base_url).removesuffix("/")).json()["people"]
        oid = next(row["oid"] for row in people if row["upn"] == name)
        token = Secret(self.many.tenant.do("sign-in", person=name)["refreshToken"])
        return SignedIn(Principal(app.tenant, oid, name), await unguarded(self.services).refresh(app, token)), app

    async def link(self, *mailboxes: str) -> tuple[PendingRegistration, list[str]]:
        asked = tuple(InvitedMailbox(f"{box.partition('@')[0]}-{secrets.token_hex(4)}", box) for box in mailboxes)
        invitation = Invitation("https://myapp.example/", mailboxes=asked)
        started = await start_registration(self.services, invitation, {}, ADMINISTRATOR)
        stored = await self.services.stores.registrations.get(started.registration)
        assert stored is not None
        return stored.value, [mailbox.account for mailbox in asked]

    async def states(self, asked: PendingRegistration) -> list[MailboxState]:
        stored = await self.services.stores.registrations.get(asked.id)
        assert stored is not None
        return [mailbox.state for mailbox in stored.value.mailboxes]

    async def hand_out_and_remove(self, *accounts: str) -> None:
        """Use each account, which its address leads to, and remove it."""
        for account in accounts:
            address = (await hand_out(self.services, account)).email
            assert account in [row.account for row in await self.services.stores.mailboxes.accounts_of(address)]
            await remove_account(self.services, account)

    async def left(self) -> list[str]:
        """Unneeded rows after all due work is done, and the accounts that exist."""
        await drained(self.services, self.clock)
        accounts = [row["account"] for row in await rows(self.services, "Accounts")]
        return [*await orphans(self.services), *accounts]


@pytest.fixture
async def alone(storage: Azurite, reusing: Environment, many: Many) -> AsyncIterator[Alone]:
    settings, clock = {**reusing.settings, "MAILBIND_TABLES": storage.connection_string}, MovedClock()
    services = build(settings, clock)
    yield Alone(settings, urlsplit(storage.tables_url).port or 0, many, clock, services)
    await services.close()


async def after_each_write(alone: Alone, doing: Callable[[int], Awaitable[bool]]) -> int:
    """Once for each write, or every fourth. Returns how many; in the end no row is left over."""
    writes = 1
    while await doing(writes):
        writes += STEP
    assert [] == await alone.left()
    return writes - 1


async def test_retried_callback_has_the_same_result(alone: Alone) -> None:
    signed_in, app = await alone.person(SUPPORT, SALES)

    async def killed(writes: int) -> bool:
        asked, (support, _, sales) = await alone.link(SUPPORT, BOARD, SALES)
        died = await alone.killed(writes, lambda services: conclude_sign_in(services, app, asked, signed_in, COOKIE))
        await conclude_sign_in(alone.services, app, asked, signed_in, COOKIE)
        assert [MailboxState.NEW, MailboxState.REFUSED, MailboxState.NEW] == await alone.states(asked)
        await alone.hand_out_and_remove(support, sales)
        return died

    assert await after_each_write(alone, killed) > 10


async def test_crash_at_the_callback_needs_no_retry_by_the_person(alone: Alone) -> None:
    signed_in, app = await alone.person(SUPPORT, SALES)

    async def killed(writes: int) -> bool:
        asked, accounts = await alone.link(SUPPORT, SALES)
        died = await alone.killed(writes, lambda services: conclude_sign_in(services, app, asked, signed_in, COOKIE))
        bound = [account for account in accounts if await find_account(alone.services, account)]
        await alone.hand_out_and_remove(*bound)
        return died

    assert await after_each_write(alone, killed) > 10


async def test_next_tick_continues_after_a_crash(alone: Alone) -> None:
    signed_in, app = await alone.person(SUPPORT)

    async def killed(writes: int) -> bool:
        asked, accounts = await alone.link(SUPPORT, BOARD, SALES)
        alone.many.tenant.do("outage", endpoint="graph", mode="503")
        await conclude_sign_in(alone.services, app, asked, signed_in, COOKIE)
        alone.many.tenant.do("outage", endpoint="graph", mode="none")
        alone.clock.forward(minutes=2)
        died = await alone.killed(writes, run_tick)
        alone.clock.forward(minutes=2)
        await run_tick(alone.services)
        assert [MailboxState.NEW, MailboxState.REFUSED, MailboxState.REFUSED] == await alone.states(asked)
        await alone.hand_out_and_remove(accounts[0])
        return died

    assert await after_each_write(alone, killed) > 5


async def test_further_mailbox_is_bound_by_a_retry_or_not_at_all(alone: Alone) -> None:
    signed_in, app = await alone.person(SUPPORT, SALES)
    asked, (support,) = await alone.link(SUPPORT)
    await conclude_sign_in(alone.services, app, asked, signed_in, COOKIE)

    async def killed(writes: int) -> bool:
        further = FurtherAccount(f"further-{writes}", None, SALES, provider=app.id, through=support)
        died = await alone.killed(writes, lambda services: add_account(services, further, {}, ADMINISTRATOR))
        if writes % 2:
            await add_account(alone.services, further, {}, ADMINISTRATOR)
        if await find_account(alone.services, f"further-{writes}"):
            await alone.hand_out_and_remove(f"further-{writes}")
        if not died:
            await remove_account(alone.services, support)
        return died

    assert await after_each_write(alone, killed) > 5
