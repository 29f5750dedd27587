"""People and callers never wait behind the timer, and every wait has an end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.adapters.token_calls import TokenCalls
from shared.assembly import TIMER_THREADS
from shared.bootstrap import build
from shared.domain.account import Principal
from shared.domain.clouds import Resource
from shared.domain.errors import EntraBusy
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import App, SignedIn
from shared.usecases.sign_in.complete import complete_sign_in, conclude_sign_in
from shared.usecases.sign_in.link import begin_sign_in
from shared.usecases.sign_in.outcome import Completed, Refused
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import first_app, unguarded
from tests.environments import StartApp
from tests.faults.test_shared_backlog import bind_many, make_due, tenant_of
from tests.journey.conftest import Tenant, ask, bind, status
from tests.journey.test_callback import to_the_callback
from tests.journey.test_front_channel import opened_link
from tests.patience import until
from tests.usecases.grants import grant_of

type NewPerson = Callable[..., str]

WAITING = TIMER_THREADS + 8  # grants that are due: more than the timer has threads


@pytest.fixture
def backlog(start_app: StartApp) -> Iterator[Environment]:
    """A separate system, because its token endpoint hangs."""
    with start_app(MAILBIND_AGENDA_SHARDS="1") as running:
        yield running


@pytest.fixture
async def fresh(environment: Environment) -> AsyncIterator[App]:
    """An instance that has sent no request to Microsoft yet."""
    built = build(environment.settings)
    yield built
    await built.close()


def hanging(tenant: Tenant, endpoint: str) -> int:
    """How many requests to an endpoint were left hanging."""
    return len(
        [
            event
            for event in tenant.events("failed")
            if event["failure"] == "outage-hang" and event["endpoint"] == endpoint
        ]
    )


async def test_no_caller_waits_for_calls_of_the_timer(backlog: Environment) -> None:
    """While the timer's calls hang, a sign-in starts and ends, and a token is handed out."""
    services = build(backlog.settings)
    with tenant_of(backlog) as tenant, Visitor(backlog.tenant.ready["caFile"]) as visitor:
        tenant.do("lifetimes", accessTokenSeconds=120)  # so that each hand-out needs a new token
        accounts = await bind_many(services, tenant, WAITING + 1)
        await make_due(services, accounts[1:])
        browser = await opened_link(services)
        tenant.client.delete("events")
        tenant.do("outage", endpoint="token", mode="hang")
        tick = asyncio.create_task(run_tick(services))
        await until(lambda: hanging(tenant, "token") == TIMER_THREADS)
        tenant.do("outage", endpoint="token", mode="none")

        url = await begin_sign_in(
            services, browser.page.registration.id, browser.page.confirmation, browser.page.cookie, ""
        )
        assert isinstance(url, Secret)
        back = visitor.submit(visitor.open(url.reveal()).forms[0], login="alice@contoso.example").forms[0]
        outcome, token = await asyncio.gather(
            complete_sign_in(services, back.fields, browser.page.cookie), hand_out(services, accounts[0])
        )

        assert isinstance(outcome, Completed)
        assert not token.cached
        # The only refresh is that of the hand-out; none of the timer's calls has ended.
        assert (TIMER_THREADS, 1) == (hanging(tenant, "token"), len(tenant.events("refreshed")))
        assert not tick.done()
        tick.cancel()
        with suppress(asyncio.CancelledError):
            await tick
    await services.close()


async def test_overload_asks_callers_to_retry_and_blames_no_grant(
    api: httpx.Client, visitor: Visitor, person: NewPerson, fresh: App, tenant: Tenant
) -> None:
    tenant.do("lifetimes", accessTokenSeconds=120)
    accounts = [bind(api, visitor, person()) for _ in range(2)]
    form = to_the_callback(visitor, ask(api)["url"], person())
    (cookie,) = next(iter(visitor.cookies.values())).values()
    unguarded(fresh).calls = TokenCalls(1, 0.2)
    await unguarded(fresh).discover(first_app(fresh))
    tenant.do("outage", endpoint="token", mode="hang")
    first = asyncio.create_task(hand_out(fresh, accounts[0]))
    await until(lambda: hanging(tenant, "token") == 1)
    before = await grant_of(fresh, accounts[1])

    with pytest.raises(EntraBusy) as busy:
        await hand_out(fresh, accounts[1])
    told = await complete_sign_in(fresh, form.fields, Secret(cookie))

    assert ("entra_unavailable", True) == (busy.value.code, bool(busy.value.retry_after))
    assert before.version == (await grant_of(fresh, accounts[1])).version
    assert isinstance(told, Refused)
    assert ("entra_unavailable", True) == (told.code, told.again is not None)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first


async def test_busy_entra_during_the_profile_read_loses_no_sign_in(api: httpx.Client, fresh: App) -> None:
    """Entra is asked a second time, for the person's profile, when mailboxes are opened by IMAP."""
    asked, oauth_app = ask(api), first_app(fresh)
    stored = await fresh.stores.registrations.get(asked["registration"])
    assert stored is not None
    assert oauth_app.can_read_profiles
    scopes = ("https://outlook.office.com/IMAP.AccessAsUser.All",)
    expires = fresh.clock() + timedelta(hours=1)
    tokens = TokenSet(Secret("refresh"), Secret("access"), expires, scopes, Resource.OUTLOOK)
    principal = Principal(next(iter(oauth_app.tenants)), str(uuid.uuid4()), "busy@contoso.example")
    unguarded(fresh).calls = TokenCalls(0, 0.1)

    outcome = await conclude_sign_in(fresh, oauth_app, stored.value, SignedIn(principal, tokens), Secret("cookie"))

    assert isinstance(outcome, Completed)
    assert outcome.until is not None
    assert "waitingForAccess" == status(api, asked)["status"]


async def test_authority_metadata_is_read_once_outside_the_event_loop(fresh: App, tenant: Tenant) -> None:
    browsers = [await opened_link(fresh) for _ in range(5)]
    tenant.do("outage", endpoint="all", mode="hang")

    def begin(page: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(begin_sign_in(fresh, page.registration.id, page.confirmation, page.cookie, ""))

    begun = [begin(browser.page) for browser in browsers]
    await until(lambda: hanging(tenant, "other") == 1)  # the loop goes on, or this would not be seen
    assert not any(task.done() for task in begun)
    tenant.do("outage", endpoint="all", mode="none")
    for task in begun:
        task.cancel()
    await asyncio.wait(begun)

    assert 1 == hanging(tenant, "other")
