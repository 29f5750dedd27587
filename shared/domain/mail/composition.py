"""A message that a caller writes, and Microsoft Graph's JSON of it.

It is written as a draft (`shared.usecases.mail.compose`) and sent afterwards, if at all. The draft of a message that is
to be sent later is created at once and known by its id, so a composition is never stored.

Graph keeps one body for each message: with an HTML body, the text is left out, and Exchange makes the text of it for
recipients who read text (Exchange: "Content conversion in Exchange Online", multipart/alternative).
"""

import base64
import html
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from shared.domain.confined.refused import WrongSender
from shared.domain.errors import MailbindError
from shared.domain.formats import normalize_address, same_address
from shared.domain.mail.attachment_id import AttachmentId
from shared.domain.mail.message import Address, addresses_of

type Json = dict[str, Any]

BODY, BODY_END = re.compile(r"<body\b", re.IGNORECASE), re.compile(r"</body\b", re.IGNORECASE)


class MessageTooLarge(MailbindError):
    """A message that Graph does not take (RFC 9110 section 15.5.14). Nothing was written."""

    code = "message_too_large"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. Attach smaller files, or a link. A caller with the scope oauth-token can send up to 35 MB by"
            " SMTP: GET /v1/account/{account}/oauth-token?resource=outlook&sasl=true"
        )


class Importance(StrEnum):
    """Graph: "message resource type", importance."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class ReferenceAction(StrEnum):
    """What the message is to the one that it refers to."""

    REPLY = "reply"
    REPLY_ALL = "reply-all"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Reference:
    """The message that this one answers or forwards.

    `inline` quotes it below the new text. `forward_attachments` keeps the attachments of a forwarded message. With
    `ignore_missing`, a message that is not there is no error. If `message_id` is given, it has to be its
    Internet-Message-ID.
    """

    message: str
    action: ReferenceAction = ReferenceAction.REPLY
    inline: bool = False
    forward_attachments: bool = False
    ignore_missing: bool = False
    message_id: str | None = None

    def keeps(self, *, is_inline: bool) -> bool:
        """Whether the draft keeps an attachment of the message. Inline ones belong to the quoted text."""
        return self.inline if is_inline else self.forward_attachments


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach. HTML refers to an inline file by its `content_id` (RFC 2392)."""

    name: str
    content: bytes
    content_type: str
    content_id: str | None = None
    is_inline: bool = False


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An attachment of a message of the mailbox, to attach again. What is None is as stored."""

    id: AttachmentId
    name: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    is_inline: bool | None = None

    def over(self, stored: File) -> File:
        """The stored file with what was given in place of what is stored."""
        return File(
            self.name or stored.name,
            stored.content,
            self.content_type or stored.content_type,
            self.content_id or stored.content_id,
            stored.is_inline if self.is_inline is None else self.is_inline,
        )


@dataclass(frozen=True, slots=True)
class Composition:
    """What to write. What is None was not given: then a reply, a forward or the `mime` decides.

    `sender` is the From that the caller gave: its address is empty, or has to be the mailbox's. `headers` are pairs of
    a name that begins with `x-` and a value. `mime` is a whole message in base64; what else is given takes the place of
    what it says. `message_id` is the Internet-Message-ID that the caller wants, or that the `mime` has.
    """

    to: tuple[Address, ...] | None = None
    cc: tuple[Address, ...] | None = None
    bcc: tuple[Address, ...] | None = None
    reply_to: tuple[Address, ...] | None = None
    sender: Address | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    attachments: tuple[File | StoredFile, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    importance: Importance | None = None
    mime: bytes | None = None
    message_id: str | None = None
    reference: Reference | None = None
    is_read: bool = True
    is_flagged: bool = False

    def check_sender(self, mailbox: str) -> None:
        """Raise WrongSender for another sender than the mailbox."""
        if self.sender is not None and self.sender.address and not same_address(self.sender.address, mailbox):
            raise WrongSender(mailbox)


def message_json(composition: Composition, mailbox: str) -> Json:
    """Graph's properties of what was given, from the mailbox, without attachments, headers and the Message-ID."""
    recipients = {
        "toRecipients": composition.to,
        "ccRecipients": composition.cc,
        "bccRecipients": composition.bcc,
        "replyTo": composition.reply_to,
    }
    given = {
        "subject": composition.subject,
        "body": _body_json(composition),
        "importance": composition.importance and composition.importance.value,
        **{name: None if group is None else _recipients_json(group) for name, group in recipients.items()},
        "isRead": None if composition.is_read else False,
        "flag": {"flagStatus": "flagged"} if composition.is_flagged else None,
    }
    sender = Address(composition.sender.name if composition.sender else "", mailbox)
    return {"from": _recipient_json(sender), **{name: value for name, value in given.items() if value is not None}}


def headers_json(composition: Composition) -> Json:
    """Graph's `internetMessageHeaders`, which can be set only when a message is created (Graph: "Update message")."""
    if not composition.headers:
        return {}
    return {"internetMessageHeaders": [{"name": name, "value": value} for name, value in composition.headers]}


def response_json(composition: Composition, reference: Reference, mailbox: str, draft: Json) -> Json:
    """Graph's properties of a reply or forward, of which Graph made the `draft`.

    A reply to all goes to the recipients of the message as well as to those that were given; otherwise those that were
    given take the place of the message's.
    """
    if reference.action is ReferenceAction.REPLY_ALL:
        composition = _with_recipients_of(composition, draft)
    properties = message_json(composition, mailbox)
    if reference.inline:
        new = composition.html if composition.html is not None else _html_of(composition.text or "")
        quoted = _content((draft.get("body") or {}).get("content") or "")
        properties["body"] = {"contentType": "html", "content": _with_quotation(new, quoted)}
    return {"body": {"contentType": "text", "content": ""}, **properties}


def attachment_json(file: File) -> Json:
    """Graph's `fileAttachment` (Graph: "fileAttachment resource type")."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": base64.b64encode(file.content).decode(),
        "isInline": file.is_inline,
        **({"contentId": file.content_id} if file.content_id else {}),
    }


def _body_json(composition: Composition) -> Json | None:
    if composition.html is not None:
        return {"contentType": "html", "content": composition.html}
    return None if composition.text is None else {"contentType": "text", "content": composition.text}


def _recipients_json(group: tuple[Address, ...]) -> list[Json]:
    return [_recipient_json(each) for each in group]


def _recipient_json(address: Address) -> Json:
    named = {"name": address.name} if address.name else {}
    return {"emailAddress": {**named, "address": address.address}}


def _with_recipients_of(composition: Composition, draft: Json) -> Composition:
    """The composition with the recipients of the draft before its own. An address is kept where it stands first."""
    seen = set[str]()

    def merged(given: tuple[Address, ...] | None, key: str) -> tuple[Address, ...]:
        kept = dict[str, Address]()
        for each in (*addresses_of(draft.get(key)), *(given or ())):
            kept.setdefault(normalize_address(each.address), each)
        new = tuple(each for address, each in kept.items() if address not in seen)
        seen.update(kept)
        return new

    to, cc = merged(composition.to, "toRecipients"), merged(composition.cc, "ccRecipients")
    return replace(composition, to=to, cc=cc, bcc=merged(composition.bcc, "bccRecipients"))


def _html_of(text: str) -> str:
    lines = html.escape(text, quote=False).replace("\r\n", "\n").split("\n")
    return f"<html><body><div>{'<br>'.join(lines)}</div></body></html>"


def _content(document: str) -> str:
    """What is inside the body of an HTML document; the whole text if it has no body."""
    begin = BODY.search(document)
    if begin is None:
        return document
    start = document.find(">", begin.end()) + 1
    *_, end = [len(document), *(each.start() for each in BODY_END.finditer(document, start))]
    return document[start:end]


def _with_quotation(document: str, quoted: str) -> str:
    """The HTML document with the quoted one at the end of its body."""
    *_, end = [len(document), *(each.start() for each in BODY_END.finditer(document))]
    return f"{document[:end]}<br>{quoted}{document[end:]}"
