"""One correlation id connects a caller's request with everything that follows from it."""

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.ports import App
from shared.usecases.events.delivery import deliver_events
from tests.environments import trust
from tests.events.conftest import SECRET, Receiver
from tests.faults.test_shared_backlog import run_timer
from tests.journey.conftest import Tenant, ask

CALLERS, MAILBOX = "onboarding-flow-0001", "support@contoso.example"


@pytest.fixture
def journal(environment: Environment, tenant: Tenant) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """The tenant's events, filtered by some fields."""
    ready = environment.tenant.ready
    tenant.client.delete(f"{ready['controlUrl']}/events")
    with httpx.Client(verify=trust(ready["caFile"])) as client:

        def noted(**facts: str) -> list[dict[str, Any]]:
            events = client.get(f"{ready['controlUrl']}/events").json()["events"]
            return [event for event in events if facts.items() <= event.items()]

        yield noted


async def test_correlation_id_is_in_logs_microsoft_calls_and_events(
    api: httpx.Client,
    visitor: Visitor,
    person: Callable[..., str],
    instance: App,
    receiver: Receiver,
    environment: Environment,
    journal: Callable[..., list[dict[str, Any]]],
) -> None:
    who, account = person(), "correlated"
    wish = {"url": receiver.url("ok/joined"), "account": account, "secret": SECRET}
    hook = api.post("/v1/webhooks", json=wish).json()
    form = {"redirectUrl": "https://myapp.example/", "account": account, "email": MAILBOX, "delegated": True}
    begun = len(environment.host.log.read_text())
    asked = api.post("/v1/authentication/form", json=form, headers={"X-Correlation-Id": CALLERS})
    assert 200 == visitor.follow(asked.json()["url"], who).status
    assert await deliver_events(instance, instance.clock() + timedelta(minutes=4))
    api.delete(f"/v1/webhooks/{hook['id']}")

    log = environment.host.log.read_text()[begun:]
    of_the_link = [line for line in log.splitlines() if asked.json()["registration"] in line]
    assert {CALLERS} == {found for line in of_the_link for found in re.findall(r"correlation\W+([\w-]+)", line)}
    assert {"registration started", "sign-in begun", "sign-in completed", "mailbox bound"} <= {
        event for line in of_the_link for event in re.findall(r" shared\.\S+ ([\w -]+?) \w+=", line)
    }
    by_name = str(uuid.uuid5(uuid.NAMESPACE_URL, CALLERS))
    assert {by_name} == {event["request_id"] for event in journal(person=who) if "request_id" in event}
    told = [delivery["body"] for delivery in receiver.took("ok/joined") if delivery["body"]["event"] != "ping"]
    assert [("accountAdded", CALLERS), ("accountInitialized", CALLERS)] == [
        (body["event"], body["correlation"]) for body in told
    ]


def test_trace_id_is_what_microsoft_is_told_as_it_is(
    api: httpx.Client, visitor: Visitor, person: Callable[..., str], journal: Callable[..., list[dict[str, Any]]]
) -> None:
    who, trace = person(), "0af7651916cd43dd8448eb211c80319d"
    asked = ask(api)
    visitor.follow(asked["url"], who)
    api.headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"
    api.put(f"/v1/account/{asked['account']}/reconnect")

    assert {str(uuid.UUID(trace))} == {event["request_id"] for event in journal(person=who)[-2:]}


def test_each_run_of_a_timer_has_an_id_of_its_own(environment: Environment) -> None:
    begun = len(environment.host.log.read_text())
    for _ in range(2):
        run_timer(environment)

    lines = [line for line in environment.host.log.read_text()[begun:].splitlines() if " tick done " in line]
    found = [match[1] for line in lines if (match := re.search(r"correlation=([0-9a-f]{32})", line))]
    assert 2 == len(set(found))
