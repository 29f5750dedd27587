"""Calls whose answer is lost, because Graph ends the connection or takes too long, are not sent again."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.graph_mail import HttpGraphMail
from shared.domain.confined.operations import OPERATIONS, BodyKind, MailOperation
from tests.confined.conftest import SUPPORT, TwoMailboxes
from tests.confined.instance import Answer, Instance, Sent, running_instance
from tests.confined.test_calls import to
from tests.patience import wait_until

JSON = {"content-type": "application/json"}
TIMEOUT_SECONDS = 0.5
BODIES: Mapping[BodyKind, dict[str, object]] = {
    BodyKind.DESTINATION: {"destinationId": "inbox"},
    BodyKind.SENT_MESSAGE: {"message": {}},
    BodyKind.ATTACHMENT: {"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": ""},
    BodyKind.CHANGES: {"isRead": True},
}


@pytest.fixture(scope="module")
def instance(mailboxes: TwoMailboxes) -> Iterator[Instance]:
    """An instance that waits half a second for Graph's mail."""
    ca_file = mailboxes.environment.tenant.ready["caFile"]
    with running_instance(mailboxes) as running:
        running.graph.send = HttpGraphMail(ca_file, ConnectionFaults(running.app.clock), TIMEOUT_SECONDS)
        yield running


@contextmanager
def outage(mailboxes: TwoMailboxes, mode: str) -> Iterator[None]:
    mailboxes.tenant.do("outage", endpoint="graph", mode=mode)
    try:
        yield
    finally:
        mailboxes.tenant.do("outage", endpoint="graph", mode="none")


async def make(instance: Instance, token: str, operation: MailOperation) -> tuple[int, str]:
    """Make a call of an operation with made-up ids; the status and the code of its refusal."""
    path = "/".join("AAMkAxAAA=" if part.startswith("{") else part for part in operation.shape.split("/"))
    has_body = operation.body is not BodyKind.NONE
    body = json.dumps(BODIES.get(operation.body, {})).encode() if has_body else b""
    sent = Sent(f"/v1.0/users/{SUPPORT}/{path}", operation.method, JSON if has_body else {}, body)
    return refusal(await instance.call(token, sent))


def refusal(answer: Answer | None) -> tuple[int, str]:
    assert answer is not None
    return answer.status, answer.json()["error"]["code"]


@pytest.mark.parametrize("mode", ["reset", "hang"])
@pytest.mark.parametrize(
    ("methods", "expected"),
    [({"POST"}, (409, "outcome_unknown")), ({"GET", "PATCH", "DELETE"}, (503, "graph_unavailable"))],
)
def test_no_call_without_an_answer_is_sent_again(
    mailboxes: TwoMailboxes, instance: Instance, mode: str, methods: set[str], expected: tuple[int, str]
) -> None:
    token = mailboxes.token()
    # A draft is read before it is sent.
    operations = [each for each in OPERATIONS if each.method in methods and each.name != "draft.send"]

    async def make_all() -> list[tuple[int, str]]:
        return await asyncio.gather(*(make(instance, token, operation) for operation in operations))

    before = len(mailboxes.tenant.events("failed"))
    with outage(mailboxes, mode):
        refusals = instance.run(make_all())
    assert {expected} == set(refusals)
    assert len(operations) == len(mailboxes.tenant.events("failed")) - before


def test_a_message_that_graph_sends_too_late_is_sent_once(mailboxes: TwoMailboxes, instance: Instance) -> None:
    address = "late@fabrikam.example"
    body = json.dumps({"message": {"subject": "x", "toRecipients": to(address)}}).encode()
    sent = Sent(f"/v1.0/users/{SUPPORT}/sendMail", "POST", JSON, body)
    mailboxes.tenant.do("latency", endpoint="graph", milliseconds=int(2000 * TIMEOUT_SECONDS))
    try:
        assert (409, "outcome_unknown") == refusal(instance.run(instance.call(mailboxes.token(), sent)))
        wait_until(lambda: deliveries(mailboxes, address))
    finally:
        mailboxes.tenant.do("latency", endpoint="graph", milliseconds=0)
    assert 1 == deliveries(mailboxes, address)


def deliveries(mailboxes: TwoMailboxes, address: str) -> int:
    """How often a message to this address was sent."""
    return sum(address in event["to"] for event in mailboxes.tenant.events("mail sent"))
