"""The messages that the tenant's mailboxes begin with."""

from collections import Counter

import pytest

from infra.local.tenant.directory import Directory
from infra.local.tenant.mail.entities import Message
from infra.local.tenant.mail.first_messages import add_first_messages
from infra.local.tenant.mail.store import MailStore
from infra.local.tenant.tenant import SOURCE

START = 1_800_000_000.0
KIBIBYTE = 1024


def first_mail(start: float) -> dict[str, list[Message]]:
    """The messages of each mailbox, by its address."""
    directory, store = Directory(SOURCE), MailStore(lambda: start)
    add_first_messages(store, directory, start)
    mailboxes = [*directory.people.values(), *directory.shared.values()]
    return {mailbox.address: list(store.mailbox(mailbox.oid).messages.values()) for mailbox in mailboxes}


@pytest.fixture(scope="module")
def support() -> list[Message]:
    return first_mail(START)["support@contoso.example"]


def test_support_and_alice_have_mail_and_nobody_else() -> None:
    counts = {address: len(messages) for address, messages in first_mail(START).items() if messages}

    assert {"support@contoso.example": 10, "alice@contoso.example": 2} == counts


def test_messages_are_of_the_days_before_the_start(support: list[Message]) -> None:
    received = [message.properties["receivedDateTime"] for message in support]

    assert sorted(received) == received
    assert "2027-01-09" == received[0][:10]
    assert received[-1] < "2027-01-15T08:00:00Z"
    assert all(message.properties["sentDateTime"] < message.properties["receivedDateTime"] for message in support)


def test_ids_stay_the_same(support: list[Message]) -> None:
    def ids(messages: list[Message]) -> list[tuple[str, ...]]:
        return [
            (
                message.id,
                message.immutable_id,
                message.properties["conversationId"],
                message.properties["internetMessageId"],
                *(attachment.id_in(message.id) for attachment in message.attachments),
            )
            for message in messages
        ]

    again = ids(first_mail(START + 99)["support@contoso.example"])
    assert ids(support) == again
    assert len({message_id for found in again for message_id in found[:2]}) == 20


def test_there_is_one_of_each_kind(support: list[Message]) -> None:
    properties = [message.properties for message in support]
    conversations = Counter(found["conversationId"] for found in properties)
    first, reply = (found for found in properties if 2 == conversations[found["conversationId"]])
    assert {"name": "In-Reply-To", "value": first["internetMessageId"]} in reply["internetMessageHeaders"]
    assert ["high"] == [found["importance"] for found in properties if found["importance"] != "normal"]
    assert ["flagged"] == [
        found["flag"]["flagStatus"] for found in properties if "notFlagged" != found["flag"]["flagStatus"]
    ]
    assert [True] * 6 + [False] * 4 == [found["isRead"] for found in properties]
    attachments = [attachment for message in support for attachment in message.attachments]
    assert [False, True, False] == [attachment.is_inline for attachment in attachments]
    assert b"%PDF-" == attachments[0].content[:5]
    assert 60 * KIBIBYTE < len(attachments[2].content) < 64 * KIBIBYTE
