"""Accounts that come, change hands and go in any order leave nothing behind, in no table."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.domain.formats import table_key
from shared.usecases.events.delivery import deliver_events
from tests.conftest import MovedClock, storage_of
from tests.environments import trust
from tests.journey.conftest import Tenant, tick

MAILBOXES = ("support@contoso.example", "sales@contoso.example")
# Links are remembered for a week after their day, events for less: after this long nothing has a reason to be there.
ALL_OVER = {"days": 12}
# A run of 80 found nothing; each is up to 12 steps.
EXAMPLES = 3
people = itertools.count(7001)

which = st.sampled_from([0, 1])


class ComingAndGoing(RuleBasedStateMachine):
    """Two people, two account ids, two mailboxes. The model is who holds which account for which mailbox."""

    environment: Environment

    @initialize()
    def begin(self) -> None:
        environment = self.environment
        ready = environment.tenant.ready
        self.runner, self.clock = asyncio.Runner(), MovedClock()
        self.services = build(environment.settings, self.clock)
        headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
        self.api = httpx.Client(base_url=environment.base_url, headers=headers, timeout=30)
        self.control = httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30)
        self.people = [self.person(), self.person()]
        self.accounts = [f"{self.people[0].partition('@')[0]}-{number}" for number in (1, 2)]
        self.holders: dict[str, tuple[str, str]] = {}
        self.identities = {table_key(account) for account in self.accounts}

    def person(self) -> str:
        tenant = Tenant(self.control)
        name: str = tenant.do("person", create=1, first=next(people))["people"][0]
        for mailbox in MAILBOXES:
            tenant.do("access", person=name, mailbox=mailbox, fullAccess=True)
        return name

    def follow(self, who: str, **form: Any) -> None:
        answer = self.api.post("/v1/authentication/form", json={"redirectUrl": "https://myapp.example/", **form})
        assert 200 == answer.status_code, answer.text
        self.identities.add(table_key(answer.json()["registration"]))
        with Visitor(self.environment.tenant.ready["caFile"]) as visitor:
            visitor.follow(answer.json()["url"], who)

    def bound(self, account: str, who: str, mailbox: str, *, change: bool) -> None:
        """The model of a sign-in: an account keeps its person unless the link allows a change."""
        if change or self.holders.get(account, (who, ""))[0] == who:
            self.holders[account] = (who, mailbox)

    @rule(person=which, account=which, mailbox=which, change=st.booleans())
    def sign_in(self, person: int, account: int, mailbox: int, *, change: bool) -> None:
        who, name, address = self.people[person], self.accounts[account], MAILBOXES[mailbox]
        self.follow(who, account=name, email=address, delegated=True, allowPrincipalChange=change, changeMailbox=True)
        self.bound(name, who, address, change=change)

    @rule(person=which, change=st.booleans())
    def sign_in_for_both(self, person: int, *, change: bool) -> None:
        pairs = list(zip(self.accounts, MAILBOXES, strict=True))
        several = [{"account": account, "email": mailbox} for account, mailbox in pairs]
        self.follow(self.people[person], mailboxes=several, allowPrincipalChange=change, changeMailbox=True)
        for account, mailbox in pairs:
            self.bound(account, self.people[person], mailbox, change=change)

    @rule(account=which, mailbox=which)
    def add(self, account: int, mailbox: int) -> None:
        """A further account through the grant of the other one, without a sign-in."""
        name, other = self.accounts[account], self.accounts[1 - account]
        auth = {"delegatedUser": MAILBOXES[mailbox], "delegatedAccount": other}
        wish = {"account": name, "name": name, "changeMailbox": True, "oauth2": {"provider": APP_ID, "auth": auth}}
        answer = self.api.post("/v1/account", json=wish)
        if other in self.holders and self.holders.get(name, self.holders[other])[0] == self.holders[other][0]:
            assert 200 == answer.status_code, answer.text
            self.holders[name] = (self.holders[other][0], MAILBOXES[mailbox])
        else:
            assert answer.status_code in {400, 403, 404, 409}, answer.text

    @rule(account=which)
    def remove(self, account: int) -> None:
        there = self.holders.pop(self.accounts[account], None)
        answer = self.api.delete(f"/v1/account/{self.accounts[account]}")
        assert (200 if there else 404) == answer.status_code
        if there:
            left = sum(who == there[0] for who, _ in self.holders.values())
            assert (left, left == 0) == (answer.json()["accountsLeft"], answer.json()["tokensDeleted"])

    @rule(hours=st.sampled_from([1, 30, 200]))
    def time_passes(self, hours: int) -> None:
        self.clock.forward(hours=hours)
        self.runner.run(self.timers())

    async def timers(self) -> None:
        await tick(self.services)
        await deliver_events(self.services, self.clock() + timedelta(minutes=1))

    @invariant()
    def the_app_says_what_the_model_says(self) -> None:
        for account in self.accounts:
            answer = self.api.get(f"/v1/account/{account}")
            if answer.status_code == 404:
                assert account not in self.holders
                continue
            found = answer.json()
            assert self.holders.get(account) == (found["user"], found["email"])
            by = found["authorizedBy"]
            self.identities.add(table_key(f"{by['tenantId']}.{by['objectId']}"))

    def teardown(self) -> None:
        try:
            for number in (0, 1):
                self.api.delete(f"/v1/account/{self.accounts[number]}")
            self.clock.forward(**ALL_OVER)
            for _ in range(3):
                self.runner.run(self.timers())
            rows = self.runner.run(self.rows())
        finally:
            self.runner.run(self.services.close())
            self.runner.close()
            self.api.close()
            self.control.close()
        assert [] == rows

    async def rows(self) -> list[tuple[str, str, str]]:
        """Every row of every table with the keys of these people, accounts and links."""
        keys = ["PartitionKey", "RowKey"]
        return [
            (table.name, row["PartitionKey"], row["RowKey"])
            async for table in storage_of(self.services).list_tables()
            async for row in storage_of(self.services).get_table_client(table.name).list_entities(select=keys)
            if {*row["PartitionKey"].split("~"), *row["RowKey"].split("~")} & self.identities
        ]


def test_accounts_come_and_go_in_any_order_and_leave_nothing(reusing: Environment) -> None:
    ComingAndGoing.environment = reusing
    run_state_machine_as_test(
        ComingAndGoing,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=12, suppress_health_check=list(HealthCheck)),
    )
