"""Messages as MIME, and back.

A message has one body in Graph, and MIME has two alternatives of an HTML body. Attachments are parts: files, inline
files that HTML refers to by their Content-ID (RFC 2392), and messages (message/rfc822).
https://learn.microsoft.com/graph/outlook-get-mime-message
https://learn.microsoft.com/graph/outlook-send-mime-message
"""

import email.message
import email.policy
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast

from infra.local.tenant.mail.entities import Attachment, Message, Properties, graph_time

if TYPE_CHECKING:
    from email.headerregistry import AddressHeader, DateHeader

# Lines end with CRLF, and everything is ASCII (RFC 5322, RFC 2045, RFC 2047).
POLICY = email.policy.SMTP.clone(cte_type="7bit")
BINARY = "application/octet-stream"
RECIPIENT_HEADERS = {
    "To": "toRecipients",
    "Cc": "ccRecipients",
    "Bcc": "bccRecipients",
    "Reply-To": "replyTo",
}
# Headers that are written from other properties. A message's further headers are in `internetMessageHeaders`.
OWN_HEADERS = {
    *(name.lower() for name in RECIPIENT_HEADERS),
    *("from", "sender", "subject", "date", "message-id", "importance", "mime-version"),
}


def mime_of(message: Message) -> bytes:
    """The message in MIME format, as `$value` returns it."""
    return message.mime or _built(message).as_bytes()


def read_mime(content: bytes) -> Message:
    """The message that MIME content describes. Defects are tolerated, as by mail programs."""
    parsed = email.message_from_bytes(content, policy=POLICY)
    message = Message(properties=_properties(parsed), mime=content)
    body = parsed.get_body(("html", "plain"))
    alternatives = {id(part) for part in (parsed.get_body(("plain",)), body) if part is not None}
    message.properties["body"] = {
        "contentType": "html" if body is not None and body.get_content_subtype() == "html" else "text",
        "content": _text(body) if body is not None else "",
    }
    message.attachments = [_attachment(part) for part in _leaves(parsed) if id(part) not in alternatives]
    return message


def _built(message: Message) -> EmailMessage:
    properties = message.properties
    built = EmailMessage(policy=POLICY)
    for name, value in _headers(properties):
        built[name] = value
    built.set_content(message.body_text)
    if properties["body"]["contentType"] == "html":
        built.add_alternative(properties["body"]["content"], subtype="html")
    for attachment in message.attachments:
        _attach(built, attachment)
    return built


def _headers(properties: Properties) -> Iterator[tuple[str, str]]:
    sender, author = properties["sender"], properties["from"]
    if author:
        yield "From", mailbox_text(author)
    if sender and author and _address(sender) != _address(author):
        yield "Sender", mailbox_text(sender)  # RFC 5322 section 3.6.2
    for name, key in RECIPIENT_HEADERS.items():
        if properties[key]:
            yield name, ", ".join(map(mailbox_text, properties[key]))
    yield "Subject", _one_line(properties["subject"])
    yield "Date", format_datetime(datetime.fromisoformat(properties["sentDateTime"]))
    yield "Message-ID", _one_line(properties["internetMessageId"])
    if properties["importance"] != "normal":
        yield "Importance", properties["importance"]
    for header in properties["internetMessageHeaders"]:
        if _is_further_header(header["name"]):
            yield header["name"], _one_line(header["value"])


def _attach(built: EmailMessage, attachment: Attachment) -> None:
    if attachment.item is not None:
        built.add_attachment(email.message_from_bytes(attachment.content, policy=POLICY), filename=attachment.name)
        return
    maintype, _, subtype = (attachment.content_type or BINARY).partition("/")
    if maintype in {"multipart", "message"} or not subtype:
        maintype, subtype = BINARY.split("/")
    options: dict[str, Any] = {
        "maintype": maintype,
        "subtype": subtype,
        "filename": attachment.name,
        "disposition": "inline" if attachment.is_inline else "attachment",
        "cid": f"<{attachment.content_id}>" if attachment.content_id else None,
    }
    html = built.get_body(("html",))
    if attachment.is_inline and html is not None:
        html.add_related(attachment.content, **options)
    else:
        built.add_attachment(attachment.content, **options)


def _properties(parsed: EmailMessage) -> Properties:
    properties: Properties = {
        "subject": str(parsed["Subject"] or ""),
        "importance": str(parsed["Importance"] or "normal").lower(),
        "internetMessageHeaders": [
            {"name": name, "value": str(value)} for name, value in parsed.items() if _is_further_header(name)
        ],
        **{key: _recipients(parsed, name) for name, key in RECIPIENT_HEADERS.items()},
    }
    for name in ("From", "Sender"):
        if mailboxes := _recipients(parsed, name):
            properties[name.lower()] = mailboxes[0]
    if parsed["Message-ID"]:
        properties["internetMessageId"] = str(parsed["Message-ID"]).strip()
    date = cast("DateHeader | None", parsed["Date"])
    if date is not None and date.datetime is not None:
        sent = date.datetime if date.datetime.tzinfo else date.datetime.replace(tzinfo=UTC)
        properties["sentDateTime"] = graph_time(sent.timestamp())
    return properties


def _is_further_header(name: str) -> bool:
    return name.lower() not in OWN_HEADERS and not name.lower().startswith("content-")


def _leaves(part: EmailMessage) -> Iterator[EmailMessage]:
    """The parts that contain no others. A message in a message is one part."""
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for child in part.iter_parts():
        yield from _leaves(cast("EmailMessage", child))


def _attachment(part: EmailMessage) -> Attachment:
    content_id = str(part["Content-ID"] or "").strip("<> ") or None
    if part.get_content_type() == "message/rfc822":
        content = cast("email.message.Message", part.get_content()).as_bytes(policy=POLICY)
        item = read_mime(content)
        name = part.get_filename() or item.properties["subject"]
        return Attachment(name=name, content=content, item=item.properties)
    payload = part.get_payload(decode=True)
    return Attachment(
        name=part.get_filename() or "attachment",
        content=payload if isinstance(payload, bytes) else b"",
        content_type=part.get_content_type(),
        content_id=content_id,
        is_inline=part.get_content_disposition() == "inline",
    )


def _text(part: email.message.Message) -> str:
    """The text of a part, with line feeds. Unknown charsets are read as UTF-8."""
    payload = part.get_payload(decode=True)
    charset = part.get_content_charset() or "utf-8"
    if not isinstance(payload, bytes):
        return ""
    try:
        text = payload.decode(charset, errors="replace")
    except LookupError:
        text = payload.decode(errors="replace")
    return text.replace("\r\n", "\n")


def _recipients(parsed: EmailMessage, name: str) -> list[Properties]:
    header = cast("AddressHeader | None", parsed[name])
    addresses = header.addresses if header is not None else ()
    return [recipient(address.addr_spec, address.display_name) for address in addresses]


def recipient(address: str, name: str = "") -> Properties:
    """A recipient as in Graph. Without a name, the address is shown.

    https://learn.microsoft.com/graph/api/resources/recipient
    """
    return {"emailAddress": {"name": name or address, "address": address}}


def mailbox_text(recipient: Properties) -> str:
    """A recipient as in a header (RFC 5322 section 3.4)."""
    name, address = recipient["emailAddress"].get("name") or "", _address(recipient)
    quoted = _one_line(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if quoted and name != address else address


def _address(recipient: Properties) -> str:
    return _one_line(recipient["emailAddress"].get("address") or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
