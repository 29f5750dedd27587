"""Whatever a caller sends, Graph sees one mailbox: thousands of requests, with the tenant's journal as the oracle."""

from collections import Counter
from collections.abc import Callable, Iterator
from http import HTTPStatus
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.audit import SAMPLED_CODES
from tests.confined.conftest import BOARD, SALES, SUPPORT, TwoMailboxes
from tests.confined.instance import Answer, Graph, Instance, Sent, graph_of, running_instance
from tests.confined.requests_of_attackers import Attacker, Known

HERE = f"/v1.0/users/{SUPPORT}/"
# The headers of a call to Graph: those that pass, Mailbind's own, and those of the connection.
PASSED_ON = {
    "accept", "accept-encoding", "authorization", "client-request-id", "consistencylevel", "content-length",
    "content-type", "host", "if-match", "prefer", "transfer-encoding", "user-agent",
}  # fmt: skip
PASSED_BACK = {
    "Cache-Control", "X-Content-Type-Options", "Content-Disposition", "Content-Security-Policy", "Retry-After",
    "WWW-Authenticate", "Content-Type", "etag", "preference-applied", "retry-after", "request-id",
}  # fmt: skip
FAULTS = {"InternalError", "graph_answer_unexpected", "UnknownError"}  # the last one is of a tenant that failed
EXAMPLES, REQUESTS_OF_EXAMPLE = 80, 50


@pytest.fixture(scope="module")
def instance(mailboxes: TwoMailboxes) -> Iterator[Instance]:
    with running_instance(mailboxes) as running:
        yield running


@pytest.fixture(scope="module")
def graph(mailboxes: TwoMailboxes) -> Iterator[Graph]:
    with graph_of(mailboxes) as client:
        yield client


@pytest.fixture(scope="module")
def token(mailboxes: TwoMailboxes) -> str:
    return mailboxes.token()


@pytest.fixture(scope="module")
def known(mailboxes: TwoMailboxes, instance: Instance, graph: Graph) -> Known:
    """Ids of both mailboxes, and links that Mailbind gave for the other one and that Graph gives."""
    ids = list[str]()
    for mailbox in (SUPPORT, SALES):
        graph.client.post(f"users/{mailbox}/messages", json={"subject": "A draft"}).raise_for_status()
        content = graph.content(mailbox).values()
        ids += [each["id"] for each in content][:30]
        ids += [attachment["id"] for each in content for attachment in each.get("attachments", [])]
    both = mailboxes.token(accounts=("sales",))
    links = list[str]()
    for target in (f"/v1.0/users/{SALES}/mailFolders/inbox/messages/delta", f"/v1.0/users/{SALES}/messages?$top=1"):
        answer = instance.run(instance.call(both, Sent(target)))
        assert answer is not None
        links += [link for name, link in answer.json().items() if name.endswith("Link")]
    here = [f"/{link.split('/', 3)[3]}" for link in links]
    return Known(tuple(ids), (*here, *(link.replace(SALES, SUPPORT) for link in here)))


def test_whatever_is_sent_stays_in_the_mailbox(
    mailboxes: TwoMailboxes,
    instance: Instance,
    graph: Graph,
    token: str,
    known: Known,
    record_property: Callable[[str, object], None],
) -> None:
    others = {mailbox: graph.content(mailbox) for mailbox in (SALES, BOARD)}
    tried = Counter[str]()
    mailboxes.tenant.client.delete("events").raise_for_status()
    instance.records.clear()

    @settings(max_examples=EXAMPLES)
    @given(st.randoms(use_true_random=True))
    def try_some(random: Random) -> None:
        attacker = Attacker(random, known)
        for _ in range(REQUESTS_OF_EXAMPLE):
            try_one(attacker.request())

    def try_one(sent: Sent) -> None:
        records = len(instance.records)
        answer = instance.run(instance.call(token, sent))
        if answer is None:
            return
        tried["requests"] += 1
        check_answer(mailboxes, answer)
        tried[str(answer.status)] += 1
        parts = check_parts(answer) if sent.target == "/v1.0/$batch" and answer.status == 200 else 0
        if code_of(answer) not in SAMPLED_CODES:
            assert 1 + parts == len(instance.records) - records
        tried["parts"] += parts

    try_some()

    reached = [call for call in mailboxes.tenant.events("graph called") if call["person"] == mailboxes.person]
    check_reached(reached)
    sent = mailboxes.tenant.events("mail sent")
    assert {SUPPORT} == {mail["from"] for mail in sent} | {SUPPORT}
    for mailbox, before in others.items():
        check_only_received(before, graph.content(mailbox))
    record_property("requests", dict(tried))
    record_property("reached Graph", len(reached))
    record_property("mails", len(sent))
    assert tried["requests"] >= 3000
    assert len(reached) >= 500


def check_answer(mailboxes: TwoMailboxes, answer: Answer) -> None:
    assert code_of(answer) not in FAULTS, answer
    assert set(answer.headers) <= PASSED_BACK, answer.headers
    assert mailboxes.environment.tenant.ready["url"].encode() not in answer.body
    assert b"outlook.office" not in answer.body


def code_of(answer: Answer) -> str | None:
    """The code of a refusal."""
    return str(answer.json()["error"]["code"]) if answer.status >= HTTPStatus.BAD_REQUEST else None


def check_parts(answer: Answer) -> int:
    parts = answer.json()["responses"]
    for part in parts:
        error = part["body"]["error"] if part["status"] >= HTTPStatus.BAD_REQUEST else {}
        assert error.get("code") not in FAULTS, part
        assert set(part["headers"]) <= PASSED_BACK, part
    return len(parts)


def check_reached(calls: list[dict[str, Any]]) -> None:
    for call in calls:
        assert call["path"].startswith(HERE), call
        assert call.get("mailbox") in {SUPPORT, None}, call
        assert set(call["headers"]) <= PASSED_ON, call


def check_only_received(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The other mailbox has what it had; mail that it received is no change of the caller's."""
    counts = {"totalItemCount", "unreadItemCount", "sizeInBytes"}
    for identity, had in before.items():
        has = after[identity]
        assert {name: had[name] for name in had if name not in counts} == {
            name: has[name] for name in has if name not in counts
        }
    for identity in after.keys() - before.keys():
        assert SUPPORT == after[identity]["from"]["emailAddress"]["address"], after[identity]
