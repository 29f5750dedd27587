"""The fields of a message that a caller writes, as EmailEngine names them, for drafts and for sending."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import IGNORED, PLAIN, IgnoredBoolean, IgnoredText
from shared.api.mail.message_fields import MESSAGE_ID
from shared.domain.mail.composition import Importance, ReferenceAction
from shared.http.decoding import Body

# Exchange: "Exchange Online limits", message limits and recipient limits (the default of a mailbox).
MAX_RECIPIENTS = 500
MAX_SUBJECT_CHARACTERS = 255
MAX_ATTACHMENTS = 250
# Of text or HTML in UTF-8, so that a request to Graph takes it with everything else (4 MB).
MAX_TEXT_BYTES = 3_000_000
# Graph: "internetMessageHeader resource type": names begin with x-. Graph takes five (EmailEngine, outlook-client.js).
MAX_HEADERS = 5
MESSAGE_ID_PATTERN = r"^<[!-;=?A-~]{1,450}@[!-;=?A-~]{1,450}>$"  # RFC 5322 section 3.6.4, loosely
MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}$"  # RFC 6838 section 4.2


def recipient_fault(text: str) -> str | None:
    """What is wrong with an address. Exchange decides what it accepts; this keeps out what cannot be one."""
    local, _, domain = text.rpartition("@")
    if not local or not domain or not text.isprintable() or set(text) & set(' <>,;"'):
        return "must be an e-mail address"
    return None


MailName = Annotated[str, Meta(description="The display name.", examples=["Andris"], max_length=256, pattern=PLAIN)]
MailAddressText = Annotated[
    str,
    Meta(
        description="The e-mail address.",
        examples=["andris@example.com"],
        extra_json_schema={"format": "email"},
        max_length=320,
        extra={"check": recipient_fault},
    ),
]
InternetMessageId = Annotated[
    str,
    Meta(
        description="A Message-ID.",
        examples=["<test@example.com>"],
        max_length=900,
        pattern=MESSAGE_ID_PATTERN,
        extra={"must": "be a Message-ID such as <id@example.com>"},
    ),
]
BodyText = {"any_text": True, "exact": True, "max_bytes": MAX_TEXT_BYTES}
Base64 = {"any_text": True, "empty": True}
IgnoredNumber = Annotated[int, Meta(description=IGNORED, ge=0, le=1_000_000)]


class MailRecipient(Body, kw_only=True):
    """A recipient."""

    name: MailName | UnsetType = UNSET
    address: MailAddressText


class MailSender(Body, kw_only=True):
    """Whom the message is from: always the mailbox, under any name. Exchange may show the mailbox's own name."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Help Desk"}

    name: MailName | UnsetType = UNSET
    address: (
        Annotated[
            str,
            Meta(
                description="The mailbox's address, or nothing.",
                examples=["support@contoso.example"],
                extra_json_schema={"format": "email"},
                max_length=320,
                extra={"check": recipient_fault},
            ),
        ]
        | UnsetType
    ) = UNSET


def _recipients(about: str) -> Meta:
    return Meta(description=about, max_length=MAX_RECIPIENTS, extra={"items": "objects", "single": True})


class MailAttachment(Body, kw_only=True):
    """A file to attach: its `content`, or a `reference` to a stored attachment."""

    example: ClassVar[Mapping[str, Any]] = {"filename": "hello.txt", "content": "SGVsbG8="}

    filename: (
        Annotated[str, Meta(description="The file name.", examples=["map.png"], max_length=255, pattern=PLAIN)]
        | UnsetType
    ) = UNSET
    content: (
        Annotated[str, Meta(description="The bytes in base64.", examples=["SGVsbG8="], extra=Base64)] | UnsetType
    ) = UNSET
    content_type: (
        Annotated[
            str,
            Meta(
                description="The media type. Without it, the file name decides.",
                examples=["image/png"],
                pattern=MEDIA_TYPE,
                extra={"must": "be a media type such as image/png"},
            ),
        ]
        | UnsetType
    ) = UNSET
    content_disposition: (
        Annotated[Literal["inline", "attachment"], Meta(description="inline for images of the text.")] | UnsetType
    ) = UNSET
    cid: (
        Annotated[
            str,
            Meta(
                description="The content id by which HTML refers to the file. With it, the file is inline.",
                examples=["map@local"],
                max_length=255,
                pattern="^<?[!-;=?-~]+>?$",
                extra={"must": "be a content id without blanks"},
            ),
        ]
        | UnsetType
    ) = UNSET
    encoding: Annotated[Literal["base64"], Meta(description="Always base64.")] | UnsetType = UNSET
    reference: (
        Annotated[
            str,
            Meta(
                description="The id of an attachment of a stored message of the mailbox.",
                max_length=2048,
                pattern=PLAIN,
            ),
        ]
        | UnsetType
    ) = UNSET


class MailReference(Body, kw_only=True):
    """The message that this one answers or forwards. It keeps the conversation."""

    example: ClassVar[Mapping[str, Any]] = {"message": MESSAGE_ID, "action": "reply"}

    message: Annotated[
        str,
        Meta(description="The id of the message.", examples=[MESSAGE_ID], max_length=1024, pattern="^[A-Za-z0-9_=-]+$"),
    ]
    action: Annotated[ReferenceAction, Meta(description="reply by default.", examples=["reply"])] | UnsetType = UNSET
    inline: Annotated[bool, Meta(description="Whether to quote the message below the text.")] | UnsetType = UNSET
    forward_attachments: (
        Annotated[bool, Meta(description="Whether a forward keeps the attachments of the message.")] | UnsetType
    ) = UNSET
    ignore_missing: (
        Annotated[bool, Meta(description="Whether to go on without the message if it is not there.")] | UnsetType
    ) = UNSET
    message_id: (
        Annotated[InternetMessageId, Meta(description="The Message-ID that the message must have.")] | UnsetType
    ) = UNSET
    document_store: IgnoredBoolean | UnsetType = UNSET


# What EmailEngine takes and a mailbox of Exchange cannot do, or must not be told that it does.
NO_TEMPLATES = "must be absent: there are no templates; send the finished text or html"
NO_TRACKING = "must be absent or false: readers are not tracked"
REFUSED = {
    **dict.fromkeys(("template", "render", "mailMerge", "previewText"), NO_TEMPLATES),
    **dict.fromkeys(("trackOpens", "trackClicks", "trackingEnabled"), NO_TRACKING),
    "gateway": "must be absent: messages are sent by the mailbox itself",
    "envelope": "must be absent: Exchange makes the envelope of the recipients",
    "dsn": "must be absent: Microsoft Graph sends no delivery status notifications",
    "sentMailPath": "must be absent: the sent copy is in Sent Items",
    "listId": "must be absent: there are no mailing lists",
    "dryRun": "must be absent or false: the message would be written",
    "internalDate": "must be absent: a draft has the time at which it is written",
}


class MessageFields(Body, kw_only=True):
    """What to write. Fields that a reply, a forward or `raw` gives too are replaced by those that are given here."""

    refused: ClassVar[Mapping[str, str]] = REFUSED
    example: ClassVar[Mapping[str, Any]] = {
        "to": [{"name": "Andris", "address": "andris@example.com"}],
        "subject": "What a wonderful message!",
        "text": "Hello from myself!",
    }

    from_: MailSender | UnsetType = UNSET
    to: Annotated[list[MailRecipient], _recipients("The recipients.")] | UnsetType = UNSET
    cc: Annotated[list[MailRecipient], _recipients("The recipients of copies.")] | UnsetType = UNSET
    bcc: Annotated[list[MailRecipient], _recipients("The hidden recipients.")] | UnsetType = UNSET
    reply_to: Annotated[list[MailRecipient], _recipients("Where answers go.")] | UnsetType = UNSET
    subject: (
        Annotated[
            str,
            Meta(description="The subject.", examples=["Hello"], max_length=MAX_SUBJECT_CHARACTERS, pattern=PLAIN),
        ]
        | UnsetType
    ) = UNSET
    text: (
        Annotated[str, Meta(description="The plain text. With html, Exchange makes the text of that.", extra=BodyText)]
        | UnsetType
    ) = UNSET
    html: Annotated[str, Meta(description="The HTML.", extra=BodyText)] | UnsetType = UNSET
    attachments: (
        Annotated[
            list[MailAttachment],
            Meta(
                description="Files to attach, each of less than 3 MB.",
                max_length=MAX_ATTACHMENTS,
                extra={"items": "objects"},
            ),
        ]
        | UnsetType
    ) = UNSET
    headers: (
        Annotated[
            dict[str, Annotated[str, Meta(max_length=900, pattern=PLAIN)]],
            Meta(
                description="Headers whose names begin with x-, five at most.",
                examples=[{"x-ticket": "4711"}],
                max_length=MAX_HEADERS,
                extra={"items": "texts"},
            ),
        ]
        | UnsetType
    ) = UNSET
    importance: Annotated[Importance, Meta(description="The importance.", examples=["high"])] | UnsetType = UNSET
    message_id: InternetMessageId | UnsetType = UNSET
    raw: (
        Annotated[str, Meta(description="A whole message in MIME, in base64.", extra={"any_text": True})] | UnsetType
    ) = UNSET
    reference: MailReference | UnsetType = UNSET
    locale: IgnoredText | UnsetType = UNSET
    tz: IgnoredText | UnsetType = UNSET
    base_url: IgnoredText | UnsetType = UNSET
    proxy: IgnoredText | UnsetType = UNSET
    local_address: IgnoredText | UnsetType = UNSET
    delivery_attempts: IgnoredNumber | UnsetType = UNSET
    document_store: IgnoredBoolean | UnsetType = UNSET
