"""The life of a grant in any order of events, on the real tenant and storage.

The invariants, after every step:

1. A grant that waits for work has the agenda row that it waits for.
2. A paused account is `paused` and hands out nothing. Any other is `authenticationError` only when Microsoft asked for
   a person since the last sign-in, `connectError` only when Microsoft blocked the grant or the mailbox did not open,
   and `connected` otherwise.
3. While the sign-in lives at Microsoft, the stored refresh token is accepted there.
4. A token that is handed out is good for five more minutes and opens the mailbox, whatever failed before.
5. What was removed is gone from every table, and its id can be bound again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from infra.local.environment import Environment
from shared.bootstrap import build
from shared.domain.account import AccountState, Principal
from shared.domain.clouds import Resource
from shared.domain.errors import NotAuthorized, NotFound, TooManyRequests, Unavailable
from shared.domain.secret import Secret
from shared.domain.work import Work
from shared.ports import SignedIn
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from shared.usecases.tokens.hand_out import answer_challenge, hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.tokens.refresh import refresh_grant
from tests.conftest import MovedClock, first_app, unguarded
from tests.environments import trust
from tests.journey.conftest import Tenant, graph_opens, imap_opens, tick, xoauth2_of

MAILBOX = "support@contoso.example"
PASSING = ("http-503", "http-429", "90033", "50196", "700016")
ASKING = ("50173", "50076", "65001", "700082")
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
BLOCKING = ("53003", "50057")
# Found after a real run of at least this many examples; each is up to 25 steps.
EXAMPLES = 8


class GrantLife(RuleBasedStateMachine):
    """One person, one account, any order of events."""

    environment: Environment
    names: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = MovedClock()
        settings = {**self.environment.settings, "MAILBIND_OAUTH_BASE_SCOPES": "api,imap"}
        self.services = build(settings, self.clock)
        ready = self.environment.tenant.ready
        self.http = httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30)
        self.tenant = Tenant(self.http)
        self.who = self.names()
        self.account = self.who.partition("@")[0]
        self.bound = False
        self.alive = True
        self.access = True
        self.asked_for = False
        self.blocked = False
        self.seen_lost = False
        self.paused = False

    def teardown(self) -> None:
        if self.bound:
            self.run(remove_account(self.services, self.account))
        self.run(self.services.close())
        self.runner.close()
        self.http.close()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def _control(self) -> dict[str, Any]:
        return dict(self.http.get(self.environment.tenant.ready["controlUrl"]).json())

    def fail_next(self, failure: str) -> None:
        self.tenant.do("fail", endpoint="token", failure=failure, times=1, person=self.who, grant="refresh_token")

    @rule()
    def sign_in(self) -> None:
        """A person follows a link: new, or to repair."""
        token = self.tenant.do("sign-in", person=self.who)["refreshToken"]
        bound = self.run(self._bind(Secret(token)))
        assert self.access is bound
        if not bound:
            return
        self.alive = True
        self.bound, self.asked_for, self.blocked, self.seen_lost = True, False, False, False

    async def _bind(self, token: Secret) -> bool:
        services = self.services
        started = await start_registration(
            services,
            Invitation("https://myapp.example/", self.account, email=MAILBOX, delegated=True),
            {},
            ADMINISTRATOR,
        )
        stored = await services.stores.registrations.get(started.registration)
        assert stored is not None
        app = first_app(services)
        person = self._control()["people"]
        oid = next(row["oid"] for row in person if row["upn"] == self.who)
        tokens = await unguarded(services).refresh(app, token)
        results = await bind_invited_mailboxes(
            services, stored.value, app, SignedIn(Principal(app.tenant, oid, self.who), tokens)
        )
        return results[self.account].state.is_bound

    @precondition(lambda self: self.bound)
    @rule()
    def hand_out(self) -> None:
        self._hand_out()

    @precondition(lambda self: self.bound)
    @rule()
    def hand_out_for_mail(self) -> None:
        """A token for the other resource of the same grant."""
        token = self._taken(hand_out(self.services, self.account, Resource.OUTLOOK))
        # Unlike Graph, IMAP refuses what was issued before a revocation.
        if token is not None and self.access and self.alive:
            assert imap_opens(self.environment, xoauth2_of(MAILBOX, token.access_token.reveal()))

    @precondition(lambda self: self.bound)
    @rule(resource=st.sampled_from(Resource))
    def challenge(self, resource: Resource) -> None:
        """An API answered the token with a claims challenge."""
        with suppress(TooManyRequests):
            self._taken(answer_challenge(self.services, self.account, CLAIMS, resource))

    def _hand_out(self) -> None:
        token = self._taken(hand_out(self.services, self.account))
        if token is not None and self.access:
            assert graph_opens(self.environment, token.access_token.reveal(), MAILBOX)

    def _taken(self, handing_out: Any) -> Any:
        """The token, valid for at least five minutes; None if there is none, for a reason that the model knows."""
        try:
            token = self.run(handing_out)
        except NotAuthorized:
            if not self.paused:
                assert self.asked_for or self.blocked or not self.alive
                self._note_refusal()
            return None
        except Unavailable:
            return None
        assert not self.paused
        assert (token.expires - self.clock()).total_seconds() >= 300
        if not token.cached:
            self.asked_for = self.blocked = False
        return token

    def _note_refusal(self) -> None:
        if not self.alive:
            self.asked_for = True

    @rule(minutes=st.sampled_from([1, 30, 70, 60 * 25, 60 * 24 * 8]))
    def time_passes(self, minutes: int) -> None:
        self.clock.forward(minutes=minutes)

    @rule()
    def timer(self) -> None:
        self._tick()

    def _tick(self) -> None:
        self.run(tick(self.services))
        self._look()

    @precondition(lambda self: self.bound and self.alive and not self.asked_for)
    @rule(failure=st.sampled_from(PASSING))
    def microsoft_is_unwell(self, failure: str) -> None:
        """Transient failures change no state."""
        before = self._account().state
        self.fail_next(failure)
        self.run(refresh_grant(self.services, self._grant()))
        assert before is self._account().state

    @precondition(lambda self: self.bound and self.alive and not self.asked_for)
    @rule(failure=st.sampled_from(ASKING))
    def microsoft_asks_for_a_person(self, failure: str) -> None:
        self.fail_next(failure)
        self.run(refresh_grant(self.services, self._grant()))
        self.asked_for, self.blocked = True, False

    @precondition(lambda self: self.bound and self.alive and not self.asked_for)
    @rule(failure=st.sampled_from(BLOCKING))
    def microsoft_blocks(self, failure: str) -> None:
        self.fail_next(failure)
        self.run(refresh_grant(self.services, self._grant()))
        self.blocked = True

    @precondition(lambda self: self.bound)
    @rule()
    def reconnect(self) -> None:
        try:
            after = self.run(reconnect_account(self.services, self.account)).account
        except (TooManyRequests, Unavailable):  # asked for too often, or while Microsoft asks for a pause
            return
        if self.alive:
            self.asked_for = self.blocked = False
            assert self.shown(AccountState.CONNECTED if self.access else AccountState.CONNECT_ERROR) is after.state
        else:
            self.asked_for, self.blocked = True, False
            assert self.shown(AccountState.AUTHENTICATION_ERROR) is after.state
        self._look()

    @precondition(lambda self: self.bound)
    @rule(paused=st.booleans())
    def pause_or_resume(self, *, paused: bool) -> None:
        self.run(change_account(self.services, self.account, AccountChange(paused=paused), {}))
        self.paused = paused

    def shown(self, state: AccountState) -> AccountState:
        return AccountState.PAUSED if self.paused else state

    @rule()
    def revoke(self) -> None:
        self.tenant.do("revoke", person=self.who)
        self.alive = False

    @rule(given=st.booleans())
    def access_changes(self, *, given: bool) -> None:
        self.tenant.do("access", person=self.who, mailbox=MAILBOX, fullAccess=given)
        self.access = given

    @precondition(lambda self: self.bound)
    @rule()
    def remove(self) -> None:
        principal_id = self._account().principal_id
        self.run(remove_account(self.services, self.account))
        self.bound = self.paused = False
        partition = self.run(self.services.stores.principals.partition(principal_id))
        assert not partition.accounts
        assert not partition.grants
        assert self.run(self.services.stores.directory.get(self.account)) is None
        with pytest.raises(NotFound):
            self.run(hand_out(self.services, self.account))

    def _account(self) -> Any:
        return self.run(find_account(self.services, self.account)).account.value

    def _grant(self) -> Any:
        held = self._account()
        return self.run(self.services.stores.principals.grant(held.principal_id, held.app))

    def _look(self) -> None:
        """Update the model after a tick: it may have found a revoked sign-in, a recovery, or a lost mailbox."""
        if self.bound:
            grant = self._grant().value
            self.asked_for = grant.state is AccountState.AUTHENTICATION_ERROR
            assert not (self.asked_for and self.alive and grant.last_error is None)
            self.blocked = grant.state is AccountState.CONNECT_ERROR

    @precondition(lambda self: self.bound)
    @invariant()
    def the_agenda_holds_what_the_grant_waits_for(self) -> None:
        grant = self._grant().value
        if grant.due is not None:
            work = Work(grant.work, grant.due, grant.principal.id, grant.app)
            assert self.run(self.services.stores.agenda.holds(work))

    @precondition(lambda self: self.bound)
    @invariant()
    def states_say_what_happened(self) -> None:
        account, grant = self._account(), self._grant().value
        if grant.last_error is not None:
            assert (account.state, account.last_error.code) == (self.shown(grant.state), grant.last_error.code)
        elif account.state is not self.shown(AccountState.CONNECTED) or account.last_error is not None:
            assert account.has_mailbox_error
            assert account.state is self.shown(AccountState.CONNECT_ERROR)
        assert (grant.state is AccountState.AUTHENTICATION_ERROR) == (grant.due is None)

    @precondition(lambda self: self.bound and self.alive)
    @invariant()
    def the_stored_refresh_token_lives_at_microsoft(self) -> None:
        faults = self._control()["faults"]
        if not faults:
            self.run(unguarded(self.services).refresh(first_app(self.services), self._grant().value.refresh_token))


def test_life_of_a_grant_in_any_order(environment: Environment, person: Callable[..., str]) -> None:
    GrantLife.environment = environment
    GrantLife.names = staticmethod(person)
    run_state_machine_as_test(
        GrantLife,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )
