"""Several instances share a backlog on real hosts with a real queue, and hosts die meanwhile."""

import asyncio
import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from infra.local import parts
from infra.local.environment import Environment
from infra.local.host.settings import HOST_JSON_PREFIX
from shared.bootstrap import build
from shared.domain.account import AccountState, Principal
from shared.domain.errors import StaleWrite
from shared.domain.invited_mailbox import MailboxState
from shared.domain.secret import Secret
from shared.domain.work import Work
from shared.ports import App, Replace, SignedIn
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.sweep import sweep
from tests.conftest import MovedClock, first_app, unguarded
from tests.environments import StartApp, Surroundings, trust
from tests.journey.conftest import Tenant, tick
from tests.patience import until

MAILBOX = "support@contoso.example"
GRANTS = int(os.environ.get("MAILBIND_GRANTS", "60"))
# With a minute between two looks at the queue, one host would be through before the other one looks.
POLLING = {f"{HOST_JSON_PREFIX}extensions__queues__maxPollingInterval": "00:00:01"}
KILLS = int(os.environ.get("MAILBIND_KILLS", "6"))  # each takes a few seconds


@pytest.fixture
def outside(start_app: StartApp) -> Iterator[Environment]:
    """A separate system, because these tests read everything."""
    changes = {**POLLING, "MAILBIND_TICK_ROWS": str(GRANTS // 6), "MAILBIND_AGENDA_SHARDS": "4"}
    with start_app(**changes) as running:
        yield running


@contextmanager
def tenant_of(outside: Environment | Surroundings) -> Iterator[Tenant]:
    ready = outside.tenant.ready
    with httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=60) as client:
        yield Tenant(client)


async def bind_many(services: App, tenant: Tenant, count: int) -> list[str]:
    """That many people, each with a bound account. Returns the accounts."""
    names = tenant.do("person", create=count, mailbox=MAILBOX)["people"]
    url = str(tenant.client.base_url).removesuffix("/")
    oids = {row["upn"]: row["oid"] for row in tenant.client.get(url).json()["people"]}

    async def one(name: str) -> str:
        token = await asyncio.to_thread(lambda: tenant.do("sign-in", person=name)["refreshToken"])
        invitation = Invitation("https://myapp.example/", name.partition("@")[0], email=MAILBOX, delegated=True)
        started = await start_registration(services, invitation, {}, ADMINISTRATOR)
        asked = await services.stores.registrations.get(started.registration)
        assert asked is not None
        app = first_app(services)
        tokens = await unguarded(services).refresh(app, Secret(token))
        bound = await bind_invited_mailboxes(
            services, asked.value, app, SignedIn(Principal(app.tenant, oids[name], name), tokens)
        )
        assert {MailboxState.NEW} == {result.state for result in bound.values()}, bound
        return next(iter(bound))

    slots = asyncio.Semaphore(8)

    async def in_turn(name: str) -> str:
        async with slots:
            return await one(name)

    return list(await asyncio.gather(*map(in_turn, names)))


async def make_due(services: App, accounts: list[str]) -> None:
    """Make every grant due now."""
    slots = asyncio.Semaphore(8)

    async def one(account: str) -> None:
        async with slots:
            found = await find_account(services, account)
            assert found is not None
            held = found.account.value
            while True:
                stored = await services.stores.principals.grant(held.principal_id, held.app)
                assert stored is not None
                now = services.clock()
                due = replace(stored.value, due=now)
                await services.stores.agenda.add(Work(due.work, now, held.principal_id, held.app))
                with suppress(StaleWrite):  # a host still works what was handed over to it
                    await services.stores.principals.commit(held.principal_id, [Replace(due, stored.version)])
                    return

    await asyncio.gather(*map(one, accounts))


async def everyone_is_well(services: App, accounts: list[str]) -> None:
    """Every account is connected, and every stored refresh token is accepted by the tenant."""
    for account in accounts:
        found = await find_account(services, account)
        assert found is not None
        held = found.account.value
        assert held.state is AccountState.CONNECTED
        stored = await services.stores.principals.grant(held.principal_id, held.app)
        assert stored is not None
        await unguarded(services).refresh(first_app(services), stored.value.refresh_token)


async def mended(services: App) -> int:
    """How much a full sweep repairs."""
    swept = await sweep(services, services.clock() + timedelta(minutes=4))
    assert swept.cursor is None
    return swept.mended


def another_host(outside: Environment, folder: Path, name: str) -> parts.Part:
    command = parts.python_part("infra.local.host", "--app", str(parts.ROOT))
    return parts.start(name, command, folder=folder, settings=outside.settings)


def run_timer(outside: Environment) -> None:
    ready = outside.host.ready
    answer = httpx.post(
        f"{ready['url']}/admin/functions/refresh_grants",
        json={"input": ""},
        headers={"x-functions-key": ready["keys"]["master"]},
        timeout=120,
    )
    assert answer.status_code == httpx.codes.ACCEPTED


def shares(*hosts: parts.Part) -> list[int]:
    """How many handed-over shards each host has worked."""
    return [len(re.findall(r" shard worked ", host.log.read_text())) for host in hosts]


async def test_two_hosts_share_a_backlog_and_refresh_no_grant_twice(outside: Environment, tmp_path: Path) -> None:
    services = build(outside.settings)
    with tenant_of(outside) as tenant, parts.running(another_host(outside, tmp_path, "second")) as second:
        accounts = await bind_many(services, tenant, GRANTS * 2)
        await make_due(services, accounts)
        tenant.client.delete("events")
        # So slow that the other host reads the queue, at least every second, before the first has finished.
        tenant.do("latency", endpoint="token", milliseconds=1000)

        run_timer(outside)

        def refreshed() -> list[str]:
            return [event["person"] for event in tenant.events("refreshed")]

        await until(lambda: len(refreshed()) >= len(accounts))
        await until(lambda: all(shares(outside.host, second)))
        assert len(accounts) == len(refreshed()) == len(set(refreshed()))
        tenant.do("latency", endpoint="token", milliseconds=0)
        await everyone_is_well(services, accounts[:20])
    await services.close()


async def test_hosts_that_are_killed_at_any_moment_lose_no_grant(outside: Environment, tmp_path: Path) -> None:
    chance, services = random.Random(7), build(outside.settings)  # noqa: S311 - to be repeatable
    with tenant_of(outside) as tenant:
        accounts = await bind_many(services, tenant, GRANTS)
        for number in range(KILLS):
            await make_due(services, accounts)
            victim = another_host(outside, tmp_path, f"victim{number}")
            ready = victim.ready
            calling = asyncio.create_task(
                asyncio.to_thread(
                    httpx.post,
                    f"{ready['url']}/admin/functions/refresh_grants",
                    json={"input": ""},
                    headers={"x-functions-key": ready["keys"]["master"]},
                    timeout=30,
                )
            )
            await asyncio.sleep(chance.uniform(0.05, 0.8))
            victim.process.kill()
            await asyncio.gather(calling, return_exceptions=True)
            victim.stop()

        clock = MovedClock()
        clock.forward(minutes=20)
        after = build({**outside.settings, "MAILBIND_TICK_ROWS": "100000"}, clock)
        await tick(after)
        assert 0 == await mended(after)
        await everyone_is_well(after, accounts)
        assert 0 == (await read_statistics(after)).overdue
        await after.close()
    await services.close()
