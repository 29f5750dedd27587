"""POST …/submit and …/message/{message}/submit as callers see them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.visitor import Visitor
from shared.ports import App
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, bind, tick

MAIL = {"to": [{"address": "customer@elsewhere.example"}], "subject": "Your order", "text": "It is on its way."}


@pytest.fixture
def account(api: httpx.Client, visitor: Visitor, tenant: Tenant, person: Callable[..., str]) -> Iterator[str]:
    login = person()
    tenant.do("access", person=login, mailbox="support@contoso.example", sendAs=True)
    bound = bind(api, visitor, login)
    yield f"/v1/account/{bound}"
    api.delete(f"/v1/account/{bound}")


def sent(tenant: Tenant) -> int:
    return len(tenant.events("mail sent"))


def test_the_second_answer_to_a_key_is_a_hit(api: httpx.Client, account: str, tenant: Tenant) -> None:
    key = {"Idempotency-Key": "order-4711"}

    first = api.post(f"{account}/submit", json=MAIL, headers=key)
    second = api.post(f"{account}/submit", json=dict(reversed(MAIL.items())), headers=key)

    assert (200, 200) == (first.status_code, second.status_code), first.text + second.text
    assert {"key": "order-4711", "status": "MISS"} == first.json()["idempotency"]
    assert {**first.json(), "idempotency": {"key": "order-4711", "status": "HIT"}} == second.json()
    assert 1 == sent(tenant)
    other = api.post(f"{account}/submit", json={**MAIL, "text": "Another"}, headers=key)
    assert (409, "idempotency_key_reused") == (other.status_code, other.json()["code"])
    assert 1 == sent(tenant)


def test_without_a_key_each_request_sends(api: httpx.Client, account: str, tenant: Tenant) -> None:
    answers = [api.post(f"{account}/submit", json=MAIL) for _ in range(2)]

    assert 2 == sent(tenant)
    assert 2 == len({answer.json()["queueId"] for answer in answers})
    assert "idempotency" not in answers[0].json()


def test_a_stored_draft_is_sent(api: httpx.Client, account: str, tenant: Tenant) -> None:
    draft = api.post(f"{account}/message", json=MAIL).json()

    done = api.post(f"{account}/message/{draft['id']}/submit")
    again = api.post(f"{account}/message/{draft['id']}/submit", json={})

    assert (200, draft["messageId"]) == (done.status_code, done.json()["messageId"]), done.text
    assert (404, "draft_gone") == (again.status_code, again.json()["code"])
    assert 1 == sent(tenant)


@pytest.mark.parametrize(
    ("headers", "changes", "field"),
    [
        ({"Idempotency-Key": "with blank"}, {}, "Idempotency-Key"),
        ({"Idempotency-Key": "k" * 257}, {}, "Idempotency-Key"),
        ({}, {"sendAt": "2100-01-01T00:00:00Z"}, "sendAt"),
        ({}, {"sendAt": "tomorrow"}, "sendAt"),
        ({}, {"gateway": "smtp"}, "gateway"),
        ({}, {"copy": False}, "copy"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_sent(
    api: httpx.Client, account: str, tenant: Tenant, headers: dict[str, str], changes: dict[str, Any], field: str
) -> None:
    refused = api.post(f"{account}/submit", json={**MAIL, **changes}, headers=headers)

    assert 400 == refused.status_code
    assert [field] == [each["key"] for each in refused.json()["fields"]]
    assert 0 == sent(tenant)


async def test_a_message_for_later_waits(
    api: httpx.Client, account: str, tenant: Tenant, instance: App, clock: MovedClock
) -> None:
    at = (clock() + timedelta(minutes=20)).isoformat()

    answer = api.post(f"{account}/submit", json={**MAIL, "sendAt": at})

    assert 200 == answer.status_code, answer.text
    assert 0 == sent(tenant)
    clock.forward(minutes=21)
    await tick(instance)
    assert 1 == sent(tenant)
