"""Messages as lists show them, read from Microsoft Graph's JSON (Graph: "message resource type")."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

# The $select of lists: no bodies.
LISTED_PROPERTIES = (
    "id,conversationId,parentFolderId,receivedDateTime,isDraft,isRead,flag,subject,from,replyTo,toRecipients,"
    "ccRecipients,bccRecipients,internetMessageId,hasAttachments,categories,bodyPreview"
)
# The $expand of lists: attachments without their content. Also of messages whose hasAttachments is false, because
# inline attachments do not count there.
LISTED_ATTACHMENTS = "attachments($select=id,name,contentType,size,isInline,microsoft.graph.fileAttachment/contentId)"
LISTED = {"$select": LISTED_PROPERTIES, "$expand": LISTED_ATTACHMENTS}


class Address(NamedTuple):
    """A person or mailbox. Either text may be empty."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a list says of an attachment. `size` is in bytes, as Exchange stores it."""

    id: str
    name: str
    content_type: str
    size: int
    is_inline: bool
    content_id: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message without its body. `received` is Graph's text, in UTC. `attachments` are those that were expanded."""

    id: str
    thread_id: str
    folder_id: str
    received: str
    is_draft: bool
    is_read: bool
    is_flagged: bool
    subject: str
    sender: Address | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    message_id: str
    categories: tuple[str, ...]
    preview: str
    attachments: tuple[Attachment, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """IMAP's flags of what Graph knows (RFC 9051 section 2.3.2). It does not know which messages were answered."""
        flags = {"\\Seen": self.is_read, "\\Flagged": self.is_flagged, "\\Draft": self.is_draft}
        return tuple(flag for flag, is_set in flags.items() if is_set)


def message_of(json: dict[str, Any]) -> Message:
    """A message of Graph. What was not selected, or is null, is empty."""
    return Message(
        id=json["id"],
        thread_id=_text(json, "conversationId"),
        folder_id=_text(json, "parentFolderId"),
        received=_text(json, "receivedDateTime"),
        is_draft=bool(json.get("isDraft")),
        is_read=bool(json.get("isRead")),
        is_flagged=_text(json.get("flag") or {}, "flagStatus") == "flagged",
        subject=_text(json, "subject"),
        sender=next(iter(addresses_of([json.get("from")])), None),
        reply_to=addresses_of(json.get("replyTo")),
        to=addresses_of(json.get("toRecipients")),
        cc=addresses_of(json.get("ccRecipients")),
        bcc=addresses_of(json.get("bccRecipients")),
        message_id=_text(json, "internetMessageId"),
        categories=tuple(json.get("categories") or ()),
        preview=_text(json, "bodyPreview"),
        attachments=tuple(attachment_of(each) for each in json.get("attachments") or ()),
    )


def addresses_of(recipients: Iterable[dict[str, Any] | None] | None) -> tuple[Address, ...]:
    """Graph's recipients; those without an address and a name are left out."""
    inner = [(each or {}).get("emailAddress") or {} for each in recipients or ()]
    found = [Address(_text(each, "name"), _text(each, "address")) for each in inner]
    return tuple(each for each in found if any(each))


def attachment_of(json: dict[str, Any]) -> Attachment:
    """An attachment of Graph (Graph: "attachment resource type")."""
    return Attachment(
        id=json["id"],
        name=_text(json, "name"),
        content_type=_text(json, "contentType"),
        size=int(json.get("size") or 0),
        is_inline=bool(json.get("isInline")),
        content_id=json.get("contentId") or None,
    )


def _text(json: dict[str, Any], name: str) -> str:
    return str(json.get(name) or "")
