"""What the fields of a message say, as a composition."""

import base64
import binascii
import mimetypes
import re
from email.parser import BytesHeaderParser

from msgspec import UNSET, UnsetType

from shared.api.mail.submission_fields import (
    MAX_HEADERS,
    MAX_RECIPIENTS,
    MESSAGE_ID_PATTERN,
    MailAttachment,
    MailRecipient,
    MailReference,
    MessageFields,
)
from shared.domain.errors import NotFound
from shared.domain.mail.attachment_id import read_attachment_id
from shared.domain.mail.composition import Composition, File, Reference, ReferenceAction, StoredFile
from shared.domain.mail.message import Address
from shared.http.decoding import Faults

# Graph: "internetMessageHeader resource type".
HEADER_NAME = re.compile(r"x-[A-Za-z0-9-]{1,120}", re.IGNORECASE)
HEADER_VALUE = re.compile(r"[ -~]{1,850}")  # with its name in one line (RFC 5322 section 2.1.1)
HEADERS_FAULT = (
    f"must be an object with at most {MAX_HEADERS} texts in ASCII, whose names begin with x-: Microsoft Graph takes"
    " no others"
)
WHITE_SPACE = str.maketrans("", "", " \t\r\n")
BINARY = "application/octet-stream"
MAX_MIME_HEADER_BYTES = 256 * 1024
# What a whole message in MIME says itself, or cannot be said beside it.
NOT_WITH_RAW = ("headers", "reference")


def composition_of(fields: MessageFields, faults: Faults) -> Composition:
    """What to write. Faults are added for what the types cannot say."""
    mime = _decoded(fields.raw, "raw", faults) if fields.raw else None
    if mime is not None:
        for name in NOT_WITH_RAW:
            if getattr(fields, name):
                faults.add(name, "must be absent beside raw")
    recipients = [*(fields.to or []), *(fields.cc or []), *(fields.bcc or [])]
    if len(recipients) > MAX_RECIPIENTS:
        faults.add("to", f"must be at most {MAX_RECIPIENTS} recipients, with those of cc and bcc")
    return Composition(
        to=_addresses(fields.to),
        cc=_addresses(fields.cc),
        bcc=_addresses(fields.bcc),
        reply_to=_addresses(fields.reply_to),
        sender=Address(fields.from_.name or "", fields.from_.address or "") if fields.from_ else None,
        subject=_given(fields.subject),
        text=_given(fields.text),
        html=_given(fields.html),
        attachments=tuple(
            _attachment(each, f"attachments[{index}].", faults) for index, each in enumerate(fields.attachments or [])
        ),
        headers=_headers(fields, faults),
        importance=_given(fields.importance),
        mime=None if mime is None else base64.b64encode(mime),
        message_id=_given(fields.message_id) or (_message_id_in(mime) if mime else None),
        reference=_reference(fields.reference, faults) if fields.reference else None,
    )


def _given[T](value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _addresses(recipients: list[MailRecipient] | UnsetType) -> tuple[Address, ...] | None:
    """The recipients. One that has a fault is refused, and has no address until then."""
    if isinstance(recipients, UnsetType):
        return None
    return tuple(Address(each.name or "", each.address or "") for each in recipients)


def _attachment(field: MailAttachment, key: str, faults: Faults) -> File | StoredFile:
    """A file. One with a cid is inline, unless the disposition says otherwise."""
    cid = (field.cid or "").strip("<>") or None
    if field.content_disposition:
        is_inline: bool | None = field.content_disposition == "inline"
    else:
        is_inline = True if cid else None
    if field.reference:
        return _stored(field, field.reference, key, faults, cid, is_inline=is_inline)
    if field.content is UNSET:
        faults.add(f"{key}content", "is required")
    name = field.filename or "attachment"
    content = _decoded(field.content or "", f"{key}content", faults)
    content_type = field.content_type or mimetypes.guess_type(name)[0] or BINARY
    return File(name, content or b"", content_type, cid, bool(is_inline))


def _stored(
    field: MailAttachment, reference: str, key: str, faults: Faults, cid: str | None, *, is_inline: bool | None
) -> File | StoredFile:
    if field.content is not UNSET:
        faults.add(f"{key}content", "must be absent beside a reference")
    try:
        attachment = read_attachment_id(reference)
    except NotFound:
        faults.add(f"{key}reference", "must be the id of an attachment, as a message shows it")
        return File("", b"", BINARY)
    return StoredFile(attachment, _given(field.filename), _given(field.content_type), cid, is_inline)


def _headers(fields: MessageFields, faults: Faults) -> tuple[tuple[str, str], ...]:
    headers = fields.headers or {}
    is_possible = all(HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) for name, value in headers.items())
    if not is_possible or len({name.lower() for name in headers}) < len(headers):
        faults.add("headers", HEADERS_FAULT)
    return tuple(headers.items())


def _reference(field: MailReference, faults: Faults) -> Reference:
    action = field.action or ReferenceAction.REPLY
    if field.forward_attachments and action is not ReferenceAction.FORWARD:
        faults.add("reference.forwardAttachments", "must be absent or false unless the action is forward")
    return Reference(
        field.message or "",
        action,
        inline=bool(field.inline),
        forward_attachments=bool(field.forward_attachments),
        ignore_missing=bool(field.ignore_missing),
        message_id=_given(field.message_id),
    )


def _decoded(text: str, key: str, faults: Faults) -> bytes | None:
    try:
        return base64.b64decode(text.translate(WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError):
        faults.add(key, "must be base64")
        return None


def _message_id_in(mime: bytes) -> str | None:
    """The Message-ID of a message in MIME, if it is a usable one."""
    value = BytesHeaderParser().parsebytes(mime[:MAX_MIME_HEADER_BYTES])["Message-ID"]
    text = str(value or "").strip()
    return text if re.fullmatch(MESSAGE_ID_PATTERN, text) else None
