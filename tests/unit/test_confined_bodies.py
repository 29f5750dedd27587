"""What confined access lets callers write: messages from the mailbox, and nothing that leads elsewhere."""

import base64
import json
from typing import Any

import pytest

from shared.domain.confined.json_bodies import read_json, write_json
from shared.domain.confined.messages import checked_body
from shared.domain.confined.mime import checked_mime
from shared.domain.confined.operations import BodyKind
from shared.domain.confined.refused import BadMailRequest, NotConfined, WrongSender
from shared.domain.errors import MailbindError

BOUND, OTHER = "support@contoso.example", "ceo@contoso.example"


def recipient(address: str) -> dict[str, object]:
    return {"emailAddress": {"address": address}}


def check(kind: BodyKind, body: object) -> dict[str, Any]:
    return checked_body(kind, read_json(json.dumps(body).encode()), BOUND)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (BodyKind.DRAFT, {"from": recipient(OTHER)}),
        (BodyKind.DRAFT, {"From": recipient(OTHER)}),
        (BodyKind.DRAFT, {"sender": recipient(OTHER)}),
        (BodyKind.DRAFT, {"from": {"EmailAddress": {"Address": OTHER}}}),
        (BodyKind.DRAFT, {"from": {}}),
        (BodyKind.DRAFT, {"from": "support@contoso.example"}),
        (BodyKind.CHANGES, {"from": recipient(OTHER)}),
        (BodyKind.SENT_MESSAGE, {"message": {"from": recipient(OTHER)}}),
        (BodyKind.SENT_MESSAGE, {"Message": {"From": recipient(OTHER)}}),
        (BodyKind.REPLY, {"message": {"from": recipient(OTHER)}}),
        (BodyKind.FORWARD, {"MESSAGE": {"SENDER": recipient(OTHER)}}),
    ],
)
def test_a_message_from_another_mailbox_is_refused_by_name(kind: BodyKind, body: object) -> None:
    with pytest.raises(WrongSender, match=BOUND):
        check(kind, body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (BodyKind.DRAFT, {"toRecipients@odata.bind": ["users/x"]}),
        (BodyKind.DRAFT, {"body": {"@odata.id": "https://graph.microsoft.com/v1.0/users/x"}}),
        (BodyKind.DRAFT, {"@odata.type": "#microsoft.graph.eventMessage"}),
        (BodyKind.DRAFT, {"unknown": 1}),
        (BodyKind.DRAFT, {"singleValueExtendedProperties": [{"id": "String 0x0065", "value": OTHER}]}),
        (BodyKind.DRAFT, {"singleValueExtendedProperties": [{"id": "string 0x5D01", "value": OTHER}]}),
        (
            BodyKind.DRAFT,
            {
                "singleValueExtendedProperties": [
                    {"id": "String {00020386-0000-0000-C000-000000000046} Name From", "value": OTHER}
                ]
            },
        ),
        (
            BodyKind.DRAFT,
            {
                "singleValueExtendedProperties": [
                    {"id": "String {00020328-0000-0000-C000-000000000046} Id 0x0065", "value": OTHER}
                ]
            },
        ),
        (BodyKind.DRAFT, {"from": {"emailAddress": {"address": BOUND, "ema\u0131lAddress": OTHER}}}),
        (BodyKind.DRAFT, {"internetMessageHeaders": [{"name": "From", "value": OTHER}]}),
        (BodyKind.DRAFT, {"attachments": [{"@odata.type": "#microsoft.graph.referenceAttachment", "name": "x"}]}),
        (BodyKind.ATTACHMENT, {"name": "a", "contentBytes": ""}),
        (BodyKind.FOLDER, {"@odata.type": "#microsoft.graph.mailSearchFolder", "displayName": "x"}),
        (BodyKind.DESTINATION, {"destinationId": "inbox", "mailbox": OTHER}),
        (BodyKind.EMPTY, {"message": {}}),
    ],
)
def test_what_could_lead_elsewhere_is_refused(kind: BodyKind, body: object) -> None:
    with pytest.raises(NotConfined):
        check(kind, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"from": null, "From": {"emailAddress": {"address": "ceo@contoso.example"}}}',
        b'{"subject": "a", "subject": "b"}',
        b'{"body": {"content": "a", "CONTENT": "b"}}',
        b"[]",
        b"\xff\xfe{\x00}\x00",
        b'{"subject": NaN}',
        b'{"importance": ' + b"1" * 5000 + b"}",
        b'{"a":' * 100_000,
        b'{"a":' * 15_000 + b"1" + b"}" * 15_000,
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(BadMailRequest):
        read_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join(b'"%d":0' % number for number in range(300_000)) + b"}",
        b'{"toRecipients":[' + b",".join([b"{}"] * 300_000) + b"]}",
        b'{"subject":[' + b"0," * 1_000_000 + b"0]}",
        b'{"subject":' + b"[" * 1_000_000,
        b'"\\"' * 1_000_000,
    ],
    ids=["members", "objects", "numbers", "levels", "strings"],
)
def test_a_body_that_would_take_seconds_is_not_parsed(body: bytes) -> None:
    with pytest.raises(BadMailRequest, match="too many values"):
        read_json(body)


@pytest.mark.parametrize("content", [",[{" * 1_000_000, '\\", [' * 100_000, "\\" * 10_001])
def test_a_long_text_is_one_value(content: str) -> None:
    body = {"body": {"content": content}}
    assert body == read_json(json.dumps(body).encode())


@pytest.mark.parametrize("value", [b"1e400", b"-1e400", rb'"\ud800"', rb'"\udc00\ud800"'])
def test_a_value_that_graph_could_read_differently_is_refused(value: bytes) -> None:
    with pytest.raises(BadMailRequest, match="not valid"):
        write_json(read_json(b'{"subject": %s}' % value))


def test_a_sender_has_nothing_but_a_name_and_the_address() -> None:
    sender = {"emailAddress": {"Name": "Support", "address": BOUND}, "other": recipient(OTHER)}
    assert {"emailAddress": {"name": "Support", "address": BOUND}} == check(BodyKind.DRAFT, {"from": sender})["from"]
    assert {"from": None} == check(BodyKind.CHANGES, {"from": None})


@pytest.mark.parametrize("destination", ["../x", "users('x')/mailFolders/inbox", "a/b", "", None, 5])
def test_a_destination_is_an_id_of_a_folder(destination: object) -> None:
    with pytest.raises(BadMailRequest, match="destinationId"):
        check(BodyKind.DESTINATION, {"destinationId": destination})


def test_names_reach_graph_in_its_own_spelling() -> None:
    sdk = {
        "Message": {
            "@odata.type": "#microsoft.graph.message",
            "Subject": "Your order",
            "From": {"emailAddress": {"address": "Support@Contoso.Example"}},
            "isDraft": True,
        },
        "SaveToSentItems": False,
    }
    checked = check(BodyKind.SENT_MESSAGE, sdk)
    assert {"message", "saveToSentItems"} == checked.keys()
    assert {"@odata.type", "subject", "from"} == checked["message"].keys()
    assert read_json(write_json(checked)) == checked


def mime(*lines: str) -> bytes:
    return base64.b64encode("\r\n".join([*lines, "", "Hello"]).encode())


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (mime("From: ceo@contoso.example", "To: a@b.example"), WrongSender),
        (mime("from:Support <support@contoso.example>, ceo@contoso.example"), WrongSender),
        (mime("From: support@contoso.example", "Sender: ceo@contoso.example"), WrongSender),
        (mime("From: support@contoso.example", "From: ceo@contoso.example"), WrongSender),
        (mime("Resent-From: ceo@contoso.example"), WrongSender),
        (mime("From:", " ceo@contoso.example"), WrongSender),
        (mime("From: support@contoso.example <ceo@contoso.example>"), WrongSender),
        (mime("From: =?utf-8?q?support=40contoso.example?="), WrongSender),
        (mime("Subject: x", "From : ceo@contoso.example"), BadMailRequest),
        (mime("Subject: x\rFrom: ceo@contoso.example"), BadMailRequest),
        (mime("Subject: x\x0bFrom: ceo@contoso.example"), BadMailRequest),
        (mime("Subject: x\x1eFrom: ceo@contoso.example"), BadMailRequest),
        (mime("Subject: x\x00", "From: support@contoso.example"), BadMailRequest),
        (mime(*["Resent-From: support@contoso.example"] * 2), WrongSender),
        (mime("From: " + ":" * 2000), WrongSender),
        (mime(*[f"X-{number}: x" for number in range(40_000)]), BadMailRequest),
        (b"From: support@contoso.example", BadMailRequest),
    ],
)
def test_a_mime_message_from_another_mailbox_is_refused(message: bytes, error: type[MailbindError]) -> None:
    with pytest.raises(error):
        checked_mime(message, BOUND)


@pytest.mark.parametrize(
    "message",
    [
        mime("From: Support <support@contoso.example>", "To: a@b.example", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?="),
        mime('From: "Contoso, Support" <SUPPORT@contoso.example>'),
        mime("To: a@b.example", "Subject: folded", " over two lines"),
    ],
)
def test_a_mime_message_from_the_mailbox_passes_unchanged(message: bytes) -> None:
    assert base64.b64decode(message) == base64.b64decode(checked_mime(message, BOUND))
