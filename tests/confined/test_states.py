"""Confined calls when something is not as it should be: the account, the person's token, Graph, or the sizes."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.confined.conftest import SUPPORT, TwoMailboxes
from tests.confined.test_calls import MESSAGES, draft, refused, to


@pytest.fixture
def paused(mailboxes: TwoMailboxes) -> Iterator[None]:
    mailboxes.api.put("/v1/account/support", json={"paused": True}).raise_for_status()
    yield
    mailboxes.api.put("/v1/account/support", json={"paused": False}).raise_for_status()


@pytest.mark.usefixtures("paused")
def test_no_call_begins_for_a_paused_account(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    before = len(mailboxes.tenant.events("graph called"))
    assert (403, "account_paused") == refused(caller.get(MESSAGES))
    assert (403, "account_paused") == refused(caller.post(f"users/{SUPPORT}/sendMail", json={"message": {}}))
    assert before == len(mailboxes.tenant.events("graph called"))


def test_a_token_that_graph_rejects_is_renewed_once(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    mailboxes.tenant.do("fail", endpoint="graph", failure="InvalidAuthenticationToken", times=1)
    assert 200 == caller.get(MESSAGES).status_code


def test_a_send_that_graph_rejects_for_its_token_is_sent_once(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    mailboxes.tenant.do("fail", endpoint="graph", failure="InvalidAuthenticationToken", times=1)
    message = {"message": {"subject": "x", "toRecipients": to("once@fabrikam.example")}}
    assert 202 == caller.post(f"users/{SUPPORT}/sendMail", json=message).status_code
    sent = [mail for mail in mailboxes.tenant.events("mail sent") if "once@fabrikam.example" in str(mail["to"])]
    assert 1 == len(sent)


@pytest.fixture
def outage(mailboxes: TwoMailboxes) -> Iterator[Callable[[str], None]]:
    def begin(kind: str) -> None:
        mailboxes.tenant.do("outage", endpoint="graph", mode=kind)

    yield begin
    mailboxes.tenant.do("outage", endpoint="graph", mode="none")


def test_a_throttled_call_says_when_to_come_back(mailboxes: TwoMailboxes, caller: httpx.Client) -> None:
    mailboxes.tenant.do("fail", endpoint="graph", failure="TooManyRequests", times=1, retryAfter=7)
    answer = caller.get(MESSAGES)
    assert (429, "7") == (answer.status_code, answer.headers["retry-after"])


def test_graph_down_is_503_for_a_read(caller: httpx.Client, outage: Callable[[str], None]) -> None:
    outage("reset")
    answer = caller.get(MESSAGES)
    assert (503, "graph_unavailable") == refused(answer)
    assert int(answer.headers["retry-after"]) > 0


def test_graph_that_breaks_off_a_send_leaves_its_outcome_unknown(
    caller: httpx.Client, outage: Callable[[str], None]
) -> None:
    one = draft(caller)
    outage("reset")
    message: dict[str, Any] = {"message": {"subject": "x", "toRecipients": to("lost@fabrikam.example")}}
    assert (409, "outcome_unknown") == refused(caller.post(f"users/{SUPPORT}/sendMail", json=message))
    assert (503, "graph_unavailable") == refused(caller.delete(f"{MESSAGES}/{one['id']}"))


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_that_answers_a_send_leaves_it_unknown(
    mailboxes: TwoMailboxes, caller: httpx.Client, status: int
) -> None:
    mailboxes.tenant.do("fail", endpoint="graph", failure=f"http-{status}", times=1)
    message = {"message": {"subject": "x", "toRecipients": to("gateway@fabrikam.example")}}
    assert (409, "outcome_unknown") == refused(caller.post(f"users/{SUPPORT}/sendMail", json=message))
    mailboxes.tenant.do("fail", endpoint="graph", failure=f"http-{status}", times=1)
    assert status == caller.get(MESSAGES).status_code


def test_a_body_over_four_mebibytes_is_413(caller: httpx.Client) -> None:
    content = b'{"subject": "' + b"x" * (4 * 2**20) + b'"}'
    answer = caller.post(MESSAGES, content=content, headers={"Content-Type": "application/json"})
    assert (413, "BodyTooLarge") == refused(answer)
