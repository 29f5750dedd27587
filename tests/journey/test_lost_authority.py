"""What a caller made ends when the caller loses scope, reach or life: at every stage, on every instance.

The rows change behind the instances' backs, so each of them goes by what it remembers for half a minute at most.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Page, Visitor
from shared.domain.caller import ApiToken, Binding, Caller, Scope
from shared.domain.errors import Forbidden, InvalidInput, InvalidToken
from shared.domain.event import EventName
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.api_tokens import revoke_token
from shared.usecases.callers.identify import identify_caller, standing_caller
from shared.usecases.events.delivery import deliver_events, fan_out
from shared.usecases.events.webhooks import Subscription, subscribe
from shared.usecases.sign_in.complete import complete_sign_in
from shared.usecases.sign_in.further import FurtherAccount, add_account
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.link import LinkPage, UnusableLink, begin_sign_in, open_link
from shared.usecases.sign_in.outcome import Completed, Outcome, Refused, keep_checking
from shared.usecases.sign_in.start import start_registration
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock, storage_of
from tests.events.conftest import SECRET, Receiver, Teller
from tests.journey.callers import api_token, bearer
from tests.journey.conftest import Tenant, tick

type NewPerson = Callable[..., str]

SCOPES = frozenset({Scope.REGISTER, Scope.ACCOUNTS_WRITE, Scope.WEBHOOKS})
MAILBOX = "support@contoso.example"
LOSSES = ("scope", "reach", "revoked", "expired")
PLACES = ("same", "other")


@dataclass
class Owner:
    """A caller, the accounts that it can access, and how it loses its authority."""

    services: App
    token: str
    account: str

    async def caller(self) -> Caller:
        return await identify_caller(self.services, Secret(self.token), None)

    async def loses(self, what: str) -> None:
        stored = await self.services.stores.api_tokens.get(fingerprint(self.token))
        assert stored is not None
        if what == "revoked":
            await self.services.stores.api_tokens.remove(stored)
        else:
            await self.services.stores.api_tokens.replace(stored, self._less(stored.value, what))

    def _less(self, token: ApiToken, what: str) -> ApiToken:
        past = self.services.clock() - timedelta(seconds=1)
        changes: dict[str, dict[str, Any]] = {
            "scope": {"scopes": frozenset({Scope.OAUTH_TOKEN})},
            "reach": {"binding": Binding.to(["elsewhere"])},
            "expired": {"expires": past},
        }
        return replace(token, **changes[what])


@dataclass
class Link:
    """A link, and the browser of a person who follows it."""

    services: App
    ticket: Secret
    registration: str
    page: LinkPage | None = None
    picker: Page | None = None

    async def open(self) -> LinkPage:
        self.page = await open_link(self.services, self.ticket, None)
        return self.page

    async def proceed(self, services: App, visitor: Visitor) -> Secret:
        assert self.page is not None
        url = await begin_sign_in(services, self.registration, self.page.confirmation, self.page.cookie)
        self.picker = await asyncio.to_thread(visitor.open, url.reveal())
        return url

    async def come_back(self, services: App, visitor: Visitor, who: str) -> Outcome:
        assert self.page is not None
        assert self.picker is not None
        answer = await asyncio.to_thread(visitor.submit, self.picker.forms[0], login=who)
        return await complete_sign_in(services, answer.forms[0].fields, self.page.cookie)


@pytest.fixture
async def owner(instance: App, other: App) -> Owner:
    """Both instances have noticed it already."""
    account = f"mine-{secrets.token_hex(4)}"
    made = Owner(instance, await api_token(instance, SCOPES, binding=Binding.to(prefixes=["mine-"])), account)
    known = await made.caller()
    assert [known, known] == [await standing_caller(services, known.id) for services in (instance, other)]
    return made


@pytest.fixture
async def link(owner: Owner) -> Link:
    wish = Invitation("https://myapp.example/done", owner.account, email=MAILBOX, delegated=True)
    started = await start_registration(owner.services, wish, {}, await owner.caller())
    ticket = parse_qs(urlsplit(started.url.reveal()).query)["ticket"][0]
    return Link(owner.services, Secret(ticket), started.registration)


@pytest.fixture
def at(instance: App, other: App) -> Callable[[str], App]:
    return {"same": instance, "other": other}.__getitem__


type At = Callable[[str], App]
every_loss = pytest.mark.parametrize("loss", LOSSES)
everywhere = pytest.mark.parametrize("place", PLACES)


@every_loss
@everywhere
async def test_link_of_a_caller_without_authority_does_not_open(
    owner: Owner, link: Link, at: At, clock: MovedClock, loss: str, place: str
) -> None:
    await owner.loses(loss)
    clock.forward(seconds=31)

    with pytest.raises(UnusableLink, match="link_withdrawn"):
        await replace(link, services=at(place)).open()


@every_loss
@everywhere
async def test_open_page_of_a_caller_without_authority_leads_nowhere(
    owner: Owner, link: Link, at: At, visitor: Visitor, clock: MovedClock, loss: str, place: str
) -> None:
    await link.open()
    await owner.loses(loss)
    clock.forward(seconds=31)

    with pytest.raises(UnusableLink, match="link_withdrawn"):
        await link.proceed(at(place), visitor)


@every_loss
@everywhere
async def test_sign_in_after_lost_authority_redeems_no_code(
    owner: Owner,
    link: Link,
    at: At,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    clock: MovedClock,
    loss: str,
    place: str,
) -> None:
    await link.open()
    await link.proceed(owner.services, visitor)
    await owner.loses(loss)
    clock.forward(seconds=31)
    redeemed = len(tenant.events("code redeemed"))

    outcome = await link.come_back(at(place), visitor, person())

    assert isinstance(outcome, Refused)
    assert "link_withdrawn" == outcome.code
    assert redeemed == len(tenant.events("code redeemed"))
    assert await find_account(owner.services, owner.account) is None


@every_loss
@everywhere
@pytest.mark.parametrize("reason", ["no_mailbox_access", "graph_unavailable"])
async def test_waiting_ends_and_its_grant_goes(
    owner: Owner,
    link: Link,
    at: At,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    clock: MovedClock,
    loss: str,
    place: str,
    reason: str,
) -> None:
    who = person(access=False)
    await wait_for(reason, link, visitor, who, tenant)
    await owner.loses(loss)
    tenant.do("outage", endpoint="graph", mode="none")
    tenant.do("access", person=who, mailbox=MAILBOX, fullAccess=True)
    clock.forward(minutes=6)

    await tick(at(place))

    assert await find_account(owner.services, owner.account) is None
    rows = storage_of(owner.services).get_table_client("Principals")
    left = [row async for row in rows.list_entities() if who in str(row)]
    assert [] == [row["RowKey"] for row in left if not row["RowKey"].startswith("event~")]
    stored = await owner.services.stores.registrations.get(link.registration)
    assert stored is not None
    assert ["link_withdrawn"] == [mailbox.failure for mailbox in stored.value.mailboxes]


async def wait_for(reason: str, link: Link, visitor: Visitor, who: str, tenant: Tenant) -> None:
    """Sign in until the mailbox waits for access."""
    if reason == "graph_unavailable":
        tenant.do("outage", endpoint="graph", mode="503")
    await link.open()
    await link.proceed(link.services, visitor)
    outcome = await link.come_back(link.services, visitor, who)
    if isinstance(outcome, Completed) and outcome.keep is not None:
        assert link.page is not None
        outcome = await keep_checking(link.services, outcome.keep, link.page.cookie)
    assert isinstance(outcome, Completed)
    assert ["waitingForAccess"] == [result.state for result in outcome.results.values()]


@every_loss
@everywhere
async def test_webhook_of_a_caller_without_authority_gets_no_events(
    owner: Owner, at: At, receiver: Receiver, clock: MovedClock, loss: str, place: str
) -> None:
    path = await subscribe_for(owner, receiver)
    teller = Teller(owner.services)
    await teller.tell(owner.account, EventName.CONNECT_SUCCESS)
    await deliver(owner.services)
    assert 1 == len(receiver.took(path))
    await owner.loses(loss)
    clock.forward(seconds=31)
    await teller.tell(owner.account, EventName.CONNECT_SUCCESS)

    await deliver(at(place))

    assert 1 == len(receiver.took(path))


@every_loss
@everywhere
async def test_waiting_events_are_not_sent_after_lost_authority(
    owner: Owner, at: At, receiver: Receiver, clock: MovedClock, loss: str, place: str
) -> None:
    path = await subscribe_for(owner, receiver)
    await Teller(owner.services).tell(owner.account, EventName.CONNECT_SUCCESS)
    assert await fan_out(owner.services)
    await owner.loses(loss)
    clock.forward(seconds=31)

    await deliver(at(place))

    assert [] == receiver.took(path)
    webhooks = [
        one.id
        for one in await owner.services.stores.webhooks.all()
        if one.created_by == f"token:{fingerprint(owner.token)}"
    ]
    assert [[]] == [await owner.services.stores.deliveries.waiting(webhook, None, 10) for webhook in webhooks]


@every_loss
@everywhere
async def test_further_account_is_refused_to_a_cached_revoked_caller(
    owner: Owner, at: At, clock: MovedClock, loss: str, place: str
) -> None:
    further = FurtherAccount(owner.account, mailbox=MAILBOX, provider=APP_ID, through=owner.account)
    services = at(place)

    async def add() -> None:
        """As the route does."""
        caller = await identify_caller(services, Secret(owner.token), None)
        caller.require_scope(Scope.REGISTER)
        caller.require_scope(Scope.ACCOUNTS_WRITE)
        await add_account(services, further, {}, caller)

    with pytest.raises(InvalidInput):  # it may ask, and the OAuth app is one whose grants serve one account
        await add()
    await owner.loses(loss)
    clock.forward(seconds=31)

    with pytest.raises(InvalidToken if loss in {"revoked", "expired"} else Forbidden):
        await add()


@every_loss
async def test_bound_account_stays_after_lost_authority(
    owner: Owner, link: Link, visitor: Visitor, person: NewPerson, clock: MovedClock, loss: str, other: App
) -> None:
    """The person bound the account, and other callers use it."""
    await link.open()
    await link.proceed(owner.services, visitor)
    assert isinstance(await link.come_back(owner.services, visitor, person()), Completed)
    await owner.loses(loss)
    clock.forward(seconds=31)

    handed_out = await hand_out(other, owner.account)

    assert MAILBOX == handed_out.email


@every_loss
async def test_caller_without_authority_adds_no_account(owner: Owner, environment: Environment, loss: str) -> None:
    await owner.loses(loss)
    auth = {"delegatedUser": MAILBOX, "delegatedAccount": owner.account}
    body = {"account": owner.account, "oauth2": {"provider": APP_ID, "auth": auth}}

    async with httpx.AsyncClient(base_url=environment.base_url, headers=bearer(owner.token)) as client:
        answer = await client.post("/v1/account", json=body)

    assert (401 if loss in {"revoked", "expired"} else 403) == answer.status_code


@every_loss
async def test_list_says_why_a_webhook_gets_nothing(
    owner: Owner, api: httpx.Client, receiver: Receiver, instance: App, loss: str
) -> None:
    await subscribe_for(owner, receiver)
    mine = f"token:{fingerprint(owner.token)}"
    await owner.loses(loss)

    (told,) = [one for one in api.get("/v1/webhooks").json()["webhooks"] if one["createdBy"] == mine]

    words = {"scope": "lost the scope", "reach": "may no longer access", "revoked": "was revoked", "expired": "expired"}
    assert words[loss] in told["withdrawn"]
    assert 200 == api.delete(f"/v1/webhooks/{told['id']}").status_code
    assert await instance.stores.webhooks.get(told["id"]) is None


async def test_revoked_token_ends_its_links_at_once(owner: Owner, link: Link, instance: App) -> None:
    admin = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))
    await link.open()

    await revoke_token(instance, owner.token, admin)

    with pytest.raises(UnusableLink):
        await link.open()


async def test_checking_authority_does_not_count_as_token_use(instance: App) -> None:
    token = await api_token(instance, SCOPES)

    async def last_used() -> bool:
        await instance.callers.api_tokens.flush()
        stored = await instance.stores.api_tokens.get(fingerprint(token))
        return stored is not None and stored.value.last_used is not None

    assert await standing_caller(instance, f"token:{fingerprint(token)}") is not None
    assert not await last_used()
    await identify_caller(instance, Secret(token), None)
    assert await last_used()


async def test_caller_that_keeps_its_authority_gets_its_mailbox(
    owner: Owner, link: Link, visitor: Visitor, person: NewPerson, clock: MovedClock, other: App
) -> None:
    clock.forward(seconds=31)
    await link.open()
    await link.proceed(other, visitor)

    outcome = await link.come_back(other, visitor, person())

    assert isinstance(outcome, Completed)
    assert await find_account(owner.services, owner.account) is not None


async def subscribe_for(owner: Owner, receiver: Receiver) -> str:
    path = f"ok/{owner.account}"
    accounts = Binding.to([owner.account])
    asked = Subscription(Secret(receiver.url(path)), ("*",), accounts, Secret(SECRET), verify=False)
    await subscribe(owner.services, asked, {}, await owner.caller())
    return path


async def deliver(services: App) -> None:
    assert await deliver_events(services, services.clock() + timedelta(minutes=4))
