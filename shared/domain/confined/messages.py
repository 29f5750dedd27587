"""What is written: messages that are from the mailbox, and their attachments.

Exchange checks whether the *person* may send as another mailbox, so without these checks a caller of one mailbox could
send as every mailbox that the person may send as (Graph: "Send Outlook messages from another user").
"""

import re
from collections.abc import Callable
from typing import Any

from shared.domain.confined.json_bodies import (
    TYPE,
    Json,
    checked_destination,
    checked_folder,
    known_members,
    member,
)
from shared.domain.confined.operations import BodyKind
from shared.domain.confined.refused import BadMailRequest, NotConfined, WrongSender
from shared.domain.formats import same_address

# Graph: "message resource type". What Graph itself ignores in a body is left out.
WRITABLE = (
    "subject", "body", "toRecipients", "ccRecipients", "bccRecipients", "replyTo", "from", "sender", "importance",
    "isRead", "flag", "categories", "inferenceClassification", "internetMessageHeaders", "internetMessageId",
    "isDeliveryReceiptRequested", "isReadReceiptRequested", "attachments", "singleValueExtendedProperties",
    "multiValueExtendedProperties",
)  # fmt: skip
READ_ONLY = (
    "id", "changeKey", "createdDateTime", "lastModifiedDateTime", "receivedDateTime", "sentDateTime", "hasAttachments",
    "bodyPreview", "uniqueBody", "conversationId", "conversationIndex", "parentFolderId", "isDraft", "webLink",
)  # fmt: skip
ATTACHMENT_WRITABLE = (
    "name", "contentType", "contentBytes", "contentId", "contentLocation", "isInline", "item",
)  # fmt: skip
ATTACHMENT_READ_ONLY = ("id", "size", "lastModifiedDateTime")
ATTACHMENT_TYPES = ("#microsoft.graph.fileattachment", "#microsoft.graph.itemattachment")
# MAPI properties that apps set on drafts, by tag (MS-OXPROPS): flags, delivery time, message id, references, reply-to
# id, and deferred delivery. Other tags could name another sender (PidTagSentRepresenting…, PidTagSender…).
PROPERTY_TAGS = frozenset({0x0E07, 0x0E06, 0x1035, 0x1039, 0x1042, 0x3FEF})
TAGGED_PROPERTY = re.compile(r"(?:String|Integer|SystemTime|Boolean) 0x([0-9A-Fa-f]{1,4})", re.IGNORECASE)
# A named property of any set but two (MS-OXPROPS section 1.3.2): the names of PS_INTERNET_HEADERS are headers of the
# message, and an id in PS_MAPI is itself a tag, and can be any (MS-OXCPRPT, RopGetPropertyIdsFromNames).
NAMED_PROPERTY = re.compile(
    r"[A-Za-z]+ \{(?!000203(?:28|86)-)[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}\} (?:Name|Id) [^{}\x00-\x1f]{1,256}",
    re.IGNORECASE,
)
# Graph: internetMessageHeader resource type: own headers begin with x-.
HEADER_NAME = re.compile(r"x-[A-Za-z0-9-]{1,120}", re.IGNORECASE)


def checked_message(message: object, mailbox: str) -> Json:
    """A message in Graph's spelling that is from the mailbox, or from nobody yet.

    Raises BadMailRequest, NotConfined and WrongSender.
    """
    if not isinstance(message, dict):
        raise BadMailRequest("message has to be an object")
    checked = known_members(message, WRITABLE, ignored=READ_ONLY)
    for name in {"from", "sender"} & checked.keys():
        checked[name] = _checked_sender(checked[name], mailbox)
    for header in _list_of(checked, "internetMessageHeaders"):
        if not HEADER_NAME.fullmatch(str(member(header, "name"))):
            raise NotConfined("The names of internetMessageHeaders have to begin with x-")
    for name in ("singleValueExtendedProperties", "multiValueExtendedProperties"):
        for each in _list_of(checked, name):
            _check_property(member(each, "id"))
    if "attachments" in checked:
        checked["attachments"] = [checked_attachment(each) for each in _list_of(checked, "attachments")]
    return checked


def check_sender(sender: object, mailbox: str) -> None:
    """Raise WrongSender unless `sender`, a recipient of Graph, is the mailbox or absent."""
    if sender is None:
        return
    address = member(member(sender, "emailAddress"), "address")
    if not isinstance(address, str) or not same_address(address, mailbox):
        raise WrongSender(mailbox)


def _checked_sender(sender: object, mailbox: str) -> Json | None:
    """The sender in Graph's spelling, with nothing else that Graph could read as an address."""
    check_sender(sender, mailbox)
    if sender is None:
        return None
    return {"emailAddress": known_members(member(sender, "emailAddress"), ("name", "address"))}


def checked_attachment(attachment: object) -> Json:
    """An attachment with its content. Raises BadMailRequest and NotConfined for a link (referenceAttachment)."""
    if not isinstance(attachment, dict):
        raise BadMailRequest("An attachment has to be an object")
    checked = known_members(attachment, ATTACHMENT_WRITABLE, ignored=ATTACHMENT_READ_ONLY)
    if str(checked.get(TYPE, "")).casefold() not in ATTACHMENT_TYPES:
        raise NotConfined("@odata.type of an attachment has to be #microsoft.graph.fileAttachment or …itemAttachment")
    return checked


def checked_body(kind: BodyKind, body: Json, mailbox: str) -> Json:
    """The body of an operation in Graph's spelling. Raises BadMailRequest, NotConfined and WrongSender."""
    return CHECKS[kind](body, mailbox)


def _sent_message(body: Json, mailbox: str) -> Json:
    checked = known_members(body, ("message", "saveToSentItems"))
    return {**checked, "message": checked_message(checked.get("message"), mailbox)}


def _answer_to_message(body: Json, mailbox: str, *names: str) -> Json:
    checked = known_members(body, ("comment", "message", *names))
    if checked.get("message") is not None:
        checked["message"] = checked_message(checked["message"], mailbox)
    return checked


def _changes(body: Json, mailbox: str) -> Json:
    if member(body, "attachments") is not None:
        raise BadMailRequest("attachments cannot be changed with a message: use its attachments' own paths")
    return checked_message(body, mailbox)


CHECKS: dict[BodyKind, Callable[[Json, str], Json]] = {
    BodyKind.EMPTY: lambda body, _: known_members(body, ()),
    BodyKind.DRAFT: checked_message,
    BodyKind.CHANGES: _changes,
    BodyKind.FOLDER: lambda body, _: checked_folder(body),
    BodyKind.ATTACHMENT: lambda body, _: checked_attachment(body),
    BodyKind.DESTINATION: lambda body, _: checked_destination(body),
    BodyKind.SENT_MESSAGE: _sent_message,
    BodyKind.REPLY: _answer_to_message,
    BodyKind.FORWARD: lambda body, mailbox: _answer_to_message(body, mailbox, "toRecipients"),
}


def _list_of(checked: Json, name: str) -> list[Any]:
    value = checked.get(name)
    if value is not None and not isinstance(value, list):
        raise BadMailRequest(f"{name} has to be a list")
    return value or []


def _check_property(identity: object) -> None:
    tag = TAGGED_PROPERTY.fullmatch(str(identity))
    if tag is not None and int(tag[1], 16) in PROPERTY_TAGS:
        return
    if not NAMED_PROPERTY.fullmatch(str(identity)):
        raise NotConfined(
            "This extended property is not possible here: use a named one, or one of those that drafts need"
        )
