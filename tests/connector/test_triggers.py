"""Both triggers against the running app, with a flow that behaves as Power Automate documents it.

It posts to the path of the policy with the definition's default values, takes the URL to unsubscribe from `Location`,
and subscribes again when the flow is saved.
https://learn.microsoft.com/connectors/custom-connectors/create-webhook-trigger
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.connector.__main__ import HERE
from infra.connector.definition import TRIGGERS, definition
from infra.local.visitor import Visitor
from shared.ports import App
from shared.usecases.events.delivery import deliver_events
from tests.described import DOCUMENT, hold_event
from tests.events.conftest import Receiver
from tests.journey.conftest import Tenant, bind

DEFINITION = definition("https://mailbind.example")
POLICY = json.loads((HERE / "apiProperties.json").read_text())["properties"]["policyTemplateInstances"][0]["parameters"]


@dataclass
class Flow:
    """A flow with one trigger, as the platform runs it."""

    api: httpx.Client
    trigger: str
    url: str
    unsubscribe: str | None = None

    def save(self, **chosen: Any) -> dict[str, Any]:
        """Subscribe with the person's choices and the connector's default values."""
        post = DEFINITION["paths"][TRIGGERS[self.trigger][0]]["post"]
        fields = post["parameters"][0]["schema"]["properties"]
        defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
        (callback,) = (name for name, field in fields.items() if field.get("x-ms-notification-url"))
        assert post["operationId"] in POLICY["x-ms-apimTemplate-operationName"]
        path = POLICY["x-ms-apimTemplateParameter.newPath"]
        response = self.api.post(path, json={callback: self.url, **defaults, **chosen})
        assert 201 == response.status_code, response.text
        self.unsubscribe = response.headers["location"]
        return dict(response.json())

    def delete(self) -> int:
        assert self.unsubscribe is not None
        return self.api.delete(self.unsubscribe).status_code


async def deliver(instance: App) -> None:
    assert await deliver_events(instance, instance.clock() + timedelta(minutes=4))


def received_events(receiver: Receiver, path: str, account: str) -> list[str]:
    """The names of an account's events that started the flow. Each has the documented schema."""
    bodies = [record["body"] for record in receiver.took(path)]
    for body in bodies:
        hold_event(body)
    assert DOCUMENT["webhooks"]["event"]
    return [body["event"] for body in bodies if body["account"] == account]


@pytest.mark.usefixtures("tenant")
async def test_flow_starts_when_a_mailbox_is_bound(
    api: httpx.Client, visitor: Visitor, person: Callable[..., str], instance: App, receiver: Receiver
) -> None:
    flow = Flow(api, "WhenMailboxBound", receiver.url("ok/flow-bound?sig=of-a-flow"))

    first = flow.save()
    assert [] == receiver.took("ok/flow-bound")  # a ping would have started the flow
    account = bind(api, visitor, person())
    await deliver(instance)
    assert ["accountAdded"] == received_events(receiver, "ok/flow-bound", account)

    again = flow.save()
    assert (first["id"], "new", "existing") == (again["id"], first["state"], again["state"])

    assert 200 == flow.delete()
    assert 404 == api.get(f"/v1/webhooks/{first['id']}").status_code
    visitor.cookies.clear()
    later = bind(api, visitor, person())
    await deliver_events(instance, instance.clock() + timedelta(minutes=4))
    assert [] == received_events(receiver, "ok/flow-bound", later)


async def test_flow_starts_when_a_mailbox_needs_attention(
    api: httpx.Client,
    visitor: Visitor,
    person: Callable[..., str],
    instance: App,
    receiver: Receiver,
    tenant: Tenant,
) -> None:
    login = person()
    account = bind(api, visitor, login)
    visitor.cookies.clear()
    other = bind(api, visitor, person())
    flow = Flow(api, "WhenMailboxNeedsAttention", receiver.url("ok/flow-attention?sig=of-a-flow"))
    subscribed = flow.save(account=account)
    assert [account] == subscribed["accounts"]

    tenant.do("access", person=login, mailbox="support@contoso.example", fullAccess=False)
    assert "connectError" == api.put(f"/v1/account/{account}/reconnect", json={}).json()["state"]
    await deliver(instance)

    assert ["connectError"] == received_events(receiver, "ok/flow-attention", account)
    assert [] == received_events(receiver, "ok/flow-attention", other)

    edited = Flow(api, flow.trigger, flow.url)
    edited.save()  # now for all accounts: a new subscription, after which the platform ends the first
    assert 200 == flow.delete()
    assert 200 == edited.delete()
    assert [] == [
        webhook for webhook in api.get("/v1/webhooks").json()["webhooks"] if "flow-attention" in webhook["url"]
    ]
