"""Accounts that are bound, bound again, taken over and removed in any order leave no unneeded row.

What an orphan is, `orphans.py` says. MAILBIND_ORPHANS sets how many examples are tried.
"""

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.azurite import Azurite
from infra.local.environment import Environment
from shared.bootstrap import build
from shared.domain.account import Principal
from shared.domain.errors import MailbindError
from shared.domain.invited_mailbox import InvitedMailbox
from shared.domain.secret import Secret
from shared.ports import App, SignedIn
from shared.usecases.accounts.change import remove_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.complete import conclude_sign_in
from shared.usecases.sign_in.further import FurtherAccount, add_account
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.outcome import Completed, keep_checking
from shared.usecases.sign_in.start import start_registration
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock, first_app, unguarded
from tests.environments import trust
from tests.faults.orphans import drained, orphans, rows
from tests.journey.conftest import Tenant, tick
from tests.journey.many import BOARD, SALES, SUPPORT

EXAMPLES = int(os.environ.get("MAILBIND_ORPHANS", "3"))
COOKIE = Secret("a-browser")
ACCOUNTS, MAILBOXES = ("a", "b", "c"), (SUPPORT, SALES, BOARD)
# Two people who may open two mailboxes each, one of them in common.
OPENS = {0: (SUPPORT, SALES), 1: (SALES, BOARD)}
numbers = itertools.count(7001)


@dataclass(frozen=True)
class SignIn:
    """A person follows a link for one or several accounts, and keeps checking what does not open."""

    person: int
    accounts: tuple[str, ...]
    first: int
    takes_over: bool
    own: bool
    keeps: bool

    async def __call__(self, world: "World") -> None:
        mailboxes = tuple(
            InvitedMailbox(account, MAILBOXES[(self.first + number) % 3])
            for number, account in enumerate(self.accounts)
        )
        asked = Invitation("https://myapp.example/", mailboxes=mailboxes, allow_principal_change=self.takes_over)
        if self.own:
            asked = Invitation("https://myapp.example/", self.accounts[0], allow_principal_change=self.takes_over)
        await world.follow(asked, self.person, keeps=self.keeps)


@dataclass(frozen=True)
class Add:
    """A caller binds a further mailbox to an existing grant."""

    account: str
    through: str
    mailbox: int

    async def __call__(self, world: "World") -> None:
        provider = first_app(world.services).id
        further = FurtherAccount(self.account, None, MAILBOXES[self.mailbox], provider=provider, through=self.through)
        await add_account(world.services, further, {}, ADMINISTRATOR)


@dataclass(frozen=True)
class Remove:
    """A caller removes an account."""

    account: str

    async def __call__(self, world: "World") -> None:
        await remove_account(world.services, self.account)


@dataclass(frozen=True)
class Later:
    """Time passes."""

    hours: float

    async def __call__(self, world: "World") -> None:
        world.clock.forward(hours=self.hours)
        await tick(world.services)


type Step = SignIn | Add | Remove | Later
account = st.sampled_from(ACCOUNTS)
third = st.integers(0, 2)
accounts = st.lists(account, min_size=1, max_size=3, unique=True).map(tuple)
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(SignIn, st.integers(0, 1), accounts, third, st.booleans(), st.booleans(), st.booleans()),
        st.builds(Add, account, account, third),
        st.builds(Remove, account),
        st.builds(Later, st.sampled_from([0.1, 25, 200])),
    ),
    min_size=3,
    max_size=12,
)


@dataclass
class World:
    """Separate storage, and two people of the tenant."""

    services: App
    clock: MovedClock
    tenant: Tenant
    people: Sequence[tuple[str, Principal]]

    async def follow(self, asked: Invitation, person: int, *, keeps: bool) -> None:
        name, principal = self.people[person]
        started = await start_registration(self.services, asked, {}, ADMINISTRATOR)
        stored = await self.services.stores.registrations.get(started.registration)
        assert stored is not None
        app = first_app(self.services)
        token = Secret(self.tenant.do("sign-in", person=name)["refreshToken"])
        signed_in = SignedIn(principal, await unguarded(self.services).refresh(app, token))
        tried = await conclude_sign_in(self.services, app, stored.value, signed_in, COOKIE)
        if keeps and isinstance(tried, Completed) and tried.keep:
            await keep_checking(self.services, tried.keep, COOKIE)

    async def take(self, wanted: Sequence[Step]) -> None:
        """Run the steps. No row is left over afterwards, nor after all accounts are removed."""
        for step in wanted:
            with suppress(MailbindError):
                await step(self)
        await drained(self.services, self.clock)
        assert [] == await orphans(self.services)
        for one in await rows(self.services, "Accounts"):
            await hand_out(self.services, one["account"])
            await remove_account(self.services, one["account"])
        await drained(self.services, self.clock)
        assert [] == await orphans(self.services)
        assert [] == await rows(self.services, "Principals")


@pytest.fixture
def world(storage: Azurite, reusing: Environment) -> Iterator[tuple[asyncio.Runner, World]]:
    ready, clock = reusing.tenant.ready, MovedClock()
    with (
        httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as client,
        asyncio.Runner() as runner,
    ):
        tenant = Tenant(client)
        services = build({**reusing.settings, "MAILBIND_TABLES": storage.connection_string}, clock)
        names = [person for _ in OPENS for person in tenant.do("person", create=1, first=next(numbers))["people"]]
        for name, opens in zip(names, OPENS.values(), strict=True):
            for mailbox in MAILBOXES:
                tenant.do("access", person=name, mailbox=mailbox, fullAccess=mailbox in opens)
        oids = {row["upn"]: row["oid"] for row in client.get(ready["controlUrl"]).json()["people"]}
        app = first_app(services)
        people = [(name, Principal(app.tenant, oids[name], name)) for name in names]
        yield runner, World(services, clock, tenant, people)
        runner.run(services.close())
        tenant.do("reset")


def test_no_order_of_binding_and_removing_leaves_an_orphan(world: tuple[asyncio.Runner, World]) -> None:
    runner, there = world

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(steps)
    def any_order(wanted: list[Step]) -> None:
        runner.run(there.take(wanted))

    any_order()
