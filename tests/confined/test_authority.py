"""When a call may begin, how often it is sent, and what it leaves behind in logs."""

import asyncio
import base64
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.visitor import Visitor
from shared.ports import App
from shared.telemetry import QUIET_LIBRARIES
from shared.usecases.accounts.change import AccountChange, change_account, remove_account
from shared.usecases.callers.api_tokens import revoke_token
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.tokens.probe import reconnect_account
from tests.confined.conftest import BOARD, SALES, SUPPORT, TwoMailboxes
from tests.confined.instance import Answer, Instance, Sent, running_instance
from tests.confined.test_calls import to
from tests.conftest import MovedClock
from tests.journey.conftest import bind
from tests.usecases.conftest import ask, end_of, sign_in

JSON = {"content-type": "application/json"}
MESSAGES = f"/v1.0/users/{SUPPORT}/messages"
READ = Sent(f"{MESSAGES}?$top=1")
SEND = Sent(
    f"/v1.0/users/{SUPPORT}/sendMail",
    "POST",
    JSON,
    json.dumps({"message": {"subject": "Confidential", "toRecipients": to("secret@fabrikam.example")}}).encode(),
)
SEND_MIME = Sent(
    f"/v1.0/users/{SUPPORT}/sendMail",
    "POST",
    {"content-type": "text/plain"},
    base64.b64encode(b"To: secret@fabrikam.example\r\nSubject: Confidential\r\n\r\nHello"),
)
CALLS_AT_ONCE = 4
REFUSED = {401, 403, 404}

type Change = Callable[[App, str, str], Awaitable[object]]


@pytest.fixture(scope="module")
def instance(mailboxes: TwoMailboxes) -> Iterator[Instance]:
    with running_instance(mailboxes) as running:
        yield running


@pytest.fixture
def account(mailboxes: TwoMailboxes) -> Iterator[str]:
    """One more account of support@, which a test may remove."""
    with Visitor(mailboxes.environment.tenant.ready["caFile"]) as visitor:
        yield bind(mailboxes.api, visitor, mailboxes.person, account="changing", email=SUPPORT)
    mailboxes.api.delete("/v1/account/changing")


async def pause(app: App, account: str, _: str) -> None:
    await change_account(app, account, AccountChange(paused=True), {})


async def remove(app: App, account: str, _: str) -> None:
    await remove_account(app, account)


async def revoke(app: App, _: str, token: str) -> None:
    await revoke_token(app, token, ADMINISTRATOR)


CHANGES = [pause, remove, revoke]


async def answers_around(
    instance: Instance, change: Change, account: str, token: str, *sent: Sent, begun: int
) -> list[Answer]:
    """The answers to calls of which so many had begun when the change was made; no other one has begun since."""
    assert (await instance.call(token, READ)) is not None  # so that nothing has to be read from storage
    calls = [asyncio.create_task(instance.call(token, each)) for each in sent]
    async with instance.graph.holding(begun):
        await change(instance.app, account, token)
    answers = [answer for answer in await asyncio.gather(*calls) if answer is not None]
    later = await instance.call(token, sent[0])
    assert later is not None
    assert later.status in REFUSED
    assert begun == len(instance.graph.begun)
    return answers


@pytest.mark.parametrize("change", CHANGES)
def test_no_waiting_call_begins_after_a_change(
    mailboxes: TwoMailboxes, instance: Instance, account: str, change: Change
) -> None:
    token = mailboxes.token(accounts=(account,))
    answers = instance.run(answers_around(instance, change, account, token, *[READ] * 10, begun=CALLS_AT_ONCE))
    statuses = [answer.status for answer in answers]
    assert CALLS_AT_ONCE == statuses.count(200)
    assert REFUSED >= set(statuses) - {200}


@pytest.mark.parametrize("change", [pause, remove])
def test_no_part_of_a_batch_begins_after_a_change(
    mailboxes: TwoMailboxes, instance: Instance, account: str, change: Change
) -> None:
    token = mailboxes.token(accounts=(account,))
    parts = [{"id": str(number), "method": "GET", "url": f"/users/{SUPPORT}/messages?$top=1"} for number in range(10)]
    batch = Sent("/v1.0/$batch", "POST", JSON, json.dumps({"requests": parts}).encode())

    async def change_and_revoke(app: App, account: str, token: str) -> None:
        await change(app, account, token)
        await revoke(app, account, token)

    around = answers_around(instance, change_and_revoke, account, token, batch, begun=CALLS_AT_ONCE)
    (answer,) = instance.run(around)
    statuses = [part["status"] for part in answer.json()["responses"]]
    assert (10, CALLS_AT_ONCE) == (len(statuses), statuses.count(200))


@pytest.mark.parametrize("sent", [READ, SEND], ids=["read", "send"])
@pytest.mark.parametrize("name", [SUPPORT, "changing"], ids=["address", "account"])
def test_no_waiting_call_begins_in_another_mailbox(
    mailboxes: TwoMailboxes, account: str, sent: Sent, name: str
) -> None:
    token = mailboxes.token(accounts=(account,))
    sent = replace(sent, target=sent.target.replace(SUPPORT, name))

    async def rebind_meanwhile(instance: Instance, visitor: Visitor) -> list[Answer | None]:
        assert (await instance.call(token, READ)) is not None  # so that nothing has to be read from storage
        calls = [asyncio.create_task(instance.call(token, each)) for each in [READ] * CALLS_AT_ONCE + [sent] * 4]
        async with instance.graph.holding(CALLS_AT_ONCE):
            link = await ask(instance.app, account=account, email=BOARD, change_mailbox=True)
            assert "existing" == end_of(await sign_in(instance.app, visitor, link, mailboxes.person))
        return await asyncio.gather(*calls)

    before = len(mailboxes.tenant.events("mail sent"))
    ca_file = mailboxes.environment.tenant.ready["caFile"]
    with running_instance(mailboxes) as instance, Visitor(ca_file) as visitor:
        answers = instance.run(rebind_meanwhile(instance, visitor))
    assert [200] * CALLS_AT_ONCE + [404] * 4 == [answer.status for answer in answers if answer is not None]
    assert CALLS_AT_ONCE == len(instance.graph.begun)
    assert before == len(mailboxes.tenant.events("mail sent"))


def test_no_waiting_call_begins_when_a_token_expires(mailboxes: TwoMailboxes, account: str) -> None:
    clock = MovedClock()
    expires = (clock() + timedelta(minutes=10)).isoformat()
    wish = {"description": "short", "scopes": ["mail:read"], "accounts": [account], "expires": expires}
    token = mailboxes.api.post("/v1/token", json=wish).raise_for_status().json()["token"]

    async def expire(*_: object) -> None:
        clock.forward(minutes=11)

    with running_instance(mailboxes, clock) as later:
        answers = later.run(answers_around(later, expire, account, token, *[READ] * 6, begun=CALLS_AT_ONCE))
    assert {200: CALLS_AT_ONCE, 401: 2} == Counter(answer.status for answer in answers)


@pytest.mark.parametrize("change", CHANGES)
def test_a_message_in_mime_is_not_sent_after_a_change(
    mailboxes: TwoMailboxes, instance: Instance, account: str, change: Change
) -> None:
    token = mailboxes.token(accounts=(account,))
    sent = len(mailboxes.tenant.events("mail sent"))
    (answer,) = instance.run(answers_around(instance, change, account, token, SEND_MIME, begun=1))
    assert answer.status in REFUSED
    assert sent == len(mailboxes.tenant.events("mail sent"))


def test_no_log_line_has_content(mailboxes: TwoMailboxes, instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    token = mailboxes.token()
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "shared")
    for library in QUIET_LIBRARIES:  # as the app does
        caplog.set_level(logging.WARNING, library)
    listed = instance.run(instance.call(token, Sent(f"{MESSAGES}?$select=subject,from")))
    assert listed is not None
    for sent in (
        SEND,
        SEND_MIME,
        Sent(f"{MESSAGES}/AAMkAxAAA="),
        Sent(f"/v1.0/users/{SALES}/messages"),
        Sent(MESSAGES, "PUT"),
    ):
        instance.run(instance.call(token, sent))
    records = str(instance.records) + caplog.text
    secrets = [each[name] for each in listed.json()["value"] for name in ("id", "subject")]
    for secret in (*secrets, token, SUPPORT, SALES, "Confidential", "secret@fabrikam.example", "AAMkA"):
        assert secret not in records


def test_address_of_another_mailbox_stops_confined_calls(mailboxes: TwoMailboxes, instance: Instance) -> None:
    with Visitor(mailboxes.environment.tenant.ready["caFile"]) as visitor:
        bind(mailboxes.api, visitor, mailboxes.person, account="board", email=BOARD)
    token, read = mailboxes.token(accounts=("board",)), Sent(f"/v1.0/users/{BOARD}/messages")
    answer = instance.run(instance.call(token, read))
    assert answer is not None
    assert 200 == answer.status
    mailboxes.tenant.do("address", mailbox=SALES, address=BOARD)
    instance.run(reconnect_account(instance.app, "board"))
    instance.graph.begun.clear()
    answer = instance.run(instance.call(token, read))
    assert answer is not None
    assert (403, "mailbox_replaced") == (answer.status, answer.json()["error"]["code"])
    assert [] == instance.graph.begun
