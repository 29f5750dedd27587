"""Messages as MIME, and back."""

import email.policy
from typing import Any

import pytest

from infra.local.tenant.mail.entities import Attachment, Message
from infra.local.tenant.mail.mime import mime_of, read_mime, recipient
from infra.local.tenant.mail.store import MailStore

SUPPORT_OID = "5a000000-0000-4000-8000-000000000011"
INNER = b"From: a@contoso.example\r\nSubject: inside\r\n\r\nhello\r\n"
FILES = [
    Attachment(name="Größe.pdf", content=b"%PDF\x00\xff" * 40, content_type="application/pdf"),
    Attachment(name="lamp.png", content=b"\x89PNG", content_type="image/png", content_id="l@x", is_inline=True),
    Attachment(name="inside", content=INNER, item=read_mime(INNER).properties),
    Attachment(name="unknown", content=b"?"),
]


def stored(properties: dict[str, Any], attachments: list[Attachment] | None = None) -> Message:
    """A message with the values that a store gives it."""
    mailbox = MailStore(lambda: 1_000_000.5).mailbox(SUPPORT_OID)
    return mailbox.add(Message(properties=properties, attachments=attachments or []), mailbox.folder("drafts"))


def reread(message: Message) -> Message:
    content = mime_of(message)
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    return read_mime(content)


def test_properties_survive() -> None:
    properties: dict[str, Any] = {
        "subject": "Grüße 世界 " + "and so on " * 20,
        "from": recipient("support@contoso.example", 'Jü "the" <x>, y'),
        "sender": recipient("alice@contoso.example"),
        "toRecipients": [recipient("a@contoso.example", "Baker, Bob"), recipient("b@contoso.example")],
        "ccRecipients": [recipient("佐藤@contoso.example", "佐藤 花子")],
        "bccRecipients": [recipient("c@contoso.example")],
        "replyTo": [recipient("d@contoso.example")],
        "importance": "high",
        "internetMessageId": "<1@contoso.example>",
        "internetMessageHeaders": [{"name": "X-Order", "value": "4711"}],
    }
    read = reread(stored(properties)).properties

    properties["subject"] = properties["subject"].strip()
    assert properties == {name: read[name] for name in properties}
    assert "1970-01-12T13:46:40Z" == read["sentDateTime"]


@pytest.mark.parametrize(("kind", "content"), [("text", "Hi ü\nthere\n"), ("html", "<p>Hi ü<br>there</p>\n")])
def test_body_and_attachments_survive(kind: str, content: str) -> None:
    read = reread(stored({"body": {"contentType": kind, "content": content}}, FILES))

    assert {"contentType": kind, "content": content} == read.properties["body"]
    assert {file.name: file.content for file in FILES} == {found.name: found.content for found in read.attachments}
    found = {attachment.name: attachment for attachment in read.attachments}
    assert ("l@x", True) == (found["lamp.png"].content_id, found["lamp.png"].is_inline)
    assert "inside" == (found["inside"].item or {})["subject"]
    assert "application/pdf" == found["Größe.pdf"].content_type


def test_html_has_a_text_alternative() -> None:
    message = stored({"body": {"contentType": "html", "content": "<style>p {}</style><p>Hi &amp; bye</p>"}})
    parsed = email.message_from_bytes(mime_of(message), policy=email.policy.SMTP)
    text = parsed.get_body(("plain",))

    assert "multipart/alternative" == parsed.get_content_type()
    assert text is not None
    assert "Hi & bye" == text.get_content().strip()


def test_header_cannot_add_another_one() -> None:
    injected = "1\r\nBcc: thief@contoso.example"
    headers = [{"name": "X-A", "value": injected}, {"name": "Content-Type", "value": "text/evil"}]
    message = stored({"subject": injected, "internetMessageHeaders": headers, "from": recipient(injected, injected)})
    read = reread(message).properties

    assert ([], [{"name": "X-A", "value": "1 Bcc: thief@contoso.example"}]) == (
        read["bccRecipients"],
        read["internetMessageHeaders"],
    )


def test_message_that_arrived_as_mime_is_unchanged() -> None:
    content = b"Subject: as it was\nX-Odd:   spaces\n\nbody"

    assert content == mime_of(read_mime(content))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"From: <<>>\r\nTo: ;;,\r\nDate: yesterday\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x",
        b"Content-Type: text/plain; charset=nope\r\n\r\nabc\xff",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nbody",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x\r\nContent-Type: x/y\r\n\r\nb\r\n--x",
    ],
)
def test_defects_are_tolerated(content: bytes) -> None:
    read = read_mime(content)
    read.mime = None

    assert reread(stored(read.properties, read.attachments))
