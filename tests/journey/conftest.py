"""The whole system for journeys: the app on the local host, the tenant, and a caller's view of both."""

import imaplib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Page, Visitor
from shared.bootstrap import build
from shared.domain.work import REAP_SHARD, Tick
from shared.ports import App
from shared.usecases.accounts.read import find_account
from shared.usecases.apps.circuit_breaker import refused_apps
from shared.usecases.upkeep.agenda import Limits
from shared.usecases.upkeep.tick import run_tick, work_agenda
from tests.conftest import MovedClock
from tests.described import as_described
from tests.environments import trust
from tests.events.conftest import receiver  # noqa: F401 - a fixture

numbers = itertools.count(1)


@dataclass
class Tenant:
    """The tenant's control endpoint."""

    client: httpx.Client

    def do(self, action: str, **body: Any) -> Any:
        answer = self.client.post(action, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def events(self, what: str) -> list[dict[str, Any]]:
        return [event for event in self.client.get("events").json()["events"] if event["what"] == what]


@pytest.fixture
def tenant(environment: Environment) -> Iterator[Tenant]:
    ready = environment.tenant.ready
    with httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as client:
        control = Tenant(client)
        yield control
        control.do("reset")


@pytest.fixture
def api(environment: Environment) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    hooks = {"response": [as_described]}
    with httpx.Client(base_url=environment.base_url, headers=headers, timeout=30, event_hooks=hooks) as client:
        yield client


@pytest.fixture
def person(tenant: Tenant) -> Callable[..., str]:
    """A new person in the tenant, with Full Access to support@ by default."""

    def make(*, access: bool = True) -> str:
        name: str = tenant.do("person", create=1, first=next(numbers))["people"][0]
        tenant.do("access", person=name, mailbox="support@contoso.example", fullAccess=access)
        return name

    return make


@pytest.fixture
def visitor(environment: Environment) -> Iterator[Visitor]:
    with Visitor(environment.tenant.ready["caFile"]) as browser:
        yield browser


@pytest.fixture
def other_visitor(environment: Environment) -> Iterator[Visitor]:
    with Visitor(environment.tenant.ready["caFile"]) as browser:
        yield browser


@pytest.fixture
async def instance(environment: Environment, clock: MovedClock) -> AsyncIterator[App]:
    """Another instance of the app on the same storage, whose clock the test moves. Its breakers end with the test."""
    built = build(environment.settings, clock)
    yield built
    for refused in await refused_apps(built):
        stored = await built.stores.breakers.get(refused.app.id)
        if stored is not None:
            await built.stores.breakers.remove(stored)
    await built.close()


@pytest.fixture
async def other(environment: Environment, clock: MovedClock) -> AsyncIterator[App]:
    """A second instance on the same storage, with the same clock."""
    built = build(environment.settings, clock)
    yield built
    await built.close()


async def tick(instance: App) -> Tick:
    """Run the timers once on that instance."""
    tick = await run_tick(instance)
    await work_agenda(instance, {REAP_SHARD: None}, Limits(instance.clock() + timedelta(minutes=4)))
    return tick


def ask(api: httpx.Client, **changes: Any) -> dict[str, Any]:
    """Ask for a link to a shared mailbox; `None` leaves a field out."""
    body = {
        "account": f"account-{next(numbers)}",
        "email": "support@contoso.example",
        "delegated": True,
        "redirectUrl": "https://myapp.example/done?x=1#frag",
        **changes,
    }
    answer = api.post(
        "/v1/authentication/form", json={name: value for name, value in body.items() if value is not None}
    )
    assert 200 == answer.status_code, answer.text
    return {**answer.json(), "account": body["account"]}


def bind(api: httpx.Client, visitor: Visitor, login: str, **changes: Any) -> str:
    """A bound account's id."""
    asked = ask(api, **changes)
    page = visitor.follow(asked["url"], login)
    assert 200 == page.status, page.text
    return str(asked["account"])


def status(api: httpx.Client, asked: dict[str, Any]) -> dict[str, Any]:
    return dict(api.get(f"/v1/authentication/form/{asked['registration']}").json())


def code_of(page: Page) -> str:
    """The code that the page shows."""
    return page.html.rpartition("mention: <strong>")[2].partition("<")[0]


def graph_opens(environment: Environment, token: str, mailbox: str) -> bool:
    """Whether Graph opens the mailbox with this token."""
    ready = environment.tenant.ready
    answer = httpx.get(
        f"{ready['url']}/v1.0/users/{mailbox}/mailFolders/inbox",
        headers={"Authorization": f"Bearer {token}"},
        verify=trust(ready["caFile"]),
    )
    return answer.status_code == HTTPStatus.OK


def imap_opens(environment: Environment, response: bytes) -> bool:
    """Whether Python's own IMAP client gets the inbox with this response of XOAUTH2, before its base64."""
    host, _, port = environment.tenant.ready["imapServer"].rpartition(":")
    with imaplib.IMAP4_SSL(host, int(port), ssl_context=trust(environment.tenant.ready["caFile"])) as client:
        client.authenticate("XOAUTH2", lambda _: response)
        return client.select("INBOX", readonly=True)[0] == "OK"


def xoauth2_of(mailbox: str, token: str) -> bytes:
    """The response that a mail program makes of a token."""
    return f"user={mailbox}\x01auth=Bearer {token}\x01\x01".encode()


async def principal_id(instance: App, account: str) -> str:
    """The id of the principal that authorizes an account."""
    found = await find_account(instance, account)
    assert found is not None
    return found.account.value.principal_id
