"""Types of messages in answers, as EmailEngine names their fields."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import Count, Timestamp
from shared.domain.mail.attachment_id import attachment_id
from shared.domain.mail.message import Address, Attachment, Message
from shared.http.responses import Answer, moment

MESSAGE_ID = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0AHvbZL4LhK0uLlUb3xQ-9vwAAAgEJAAAA"

MessageId = Annotated[
    str,
    Meta(description="Microsoft Graph's immutable id: it stays when the message is moved.", examples=[MESSAGE_ID]),
]
ThreadId = Annotated[str, Meta(description="Graph's id of the conversation.", examples=["AAQkAGI2TG93AAA="])]
FolderPath = Annotated[
    str, Meta(description="The folder: display names joined by /, in which % and / are escaped.", examples=["Inbox"])
]
AttachmentId = Annotated[
    str, Meta(description="The id for GET …/attachment/{attachment}.", examples=["kqhBQWtBTGdBQapBQWtBTGdBQUE9"])
]


class MailAddress(Answer, kw_only=True):
    """A name and an address."""

    name: Annotated[str, Meta(description="The display name; may be empty.", examples=["Andris Reinman"])]
    address: Annotated[str, Meta(description="The address.", examples=["andris@example.com"])]


class ListedAttachment(Answer, kw_only=True):
    """An attachment without its content."""

    id: AttachmentId
    content_type: Annotated[str, Meta(description="The media type.", examples=["image/gif"])]
    encoded_size: Annotated[Count, Meta(description="The size in bytes, as Exchange counts it.", examples=[48])]
    inline: Annotated[bool, Meta(description="Whether it belongs into the text.", examples=[True])]
    embedded: Annotated[bool, Meta(description="Whether it is inline and has a content id.", examples=[True])]
    filename: Annotated[str, Meta(description="The file name.", examples=["approved.gif"])] | UnsetType = UNSET
    content_id: (
        Annotated[str, Meta(description="The content id in angle brackets.", examples=["<approved@local>"])] | UnsetType
    ) = UNSET


class TextSize(Answer, kw_only=True):
    """Sizes of the text in bytes. Lists do not read bodies, so there they are left out."""

    plain: Annotated[Count, Meta(description="The plain text.", examples=[1013])] | UnsetType = UNSET
    html: Annotated[Count, Meta(description="The HTML.", examples=[1013])] | UnsetType = UNSET


class ListedText(Answer, kw_only=True):
    """Where the text is."""

    id: Annotated[str, Meta(description="The id for GET …/text/{text}: the message's.", examples=[MESSAGE_ID])]
    encoded_size: TextSize


class ListedMessage(Answer, kw_only=True):
    """A message in a list."""

    id: MessageId
    email_id: MessageId
    thread_id: ThreadId
    path: FolderPath | UnsetType = UNSET
    date: Annotated[Timestamp, Meta(description="When the message arrived.")]
    draft: Annotated[bool, Meta(description="Whether it is a draft.", examples=[False])]
    unseen: Annotated[bool, Meta(description="Whether it is unread.", examples=[True])]
    flagged: Annotated[bool, Meta(description="Whether it is flagged.", examples=[False])]
    subject: Annotated[str, Meta(description="The subject; may be empty.", examples=["What a wonderful message"])]
    from_: MailAddress | UnsetType = UNSET
    reply_to: Annotated[list[MailAddress], Meta(description="Where to reply.")]
    to: Annotated[list[MailAddress], Meta(description="The recipients.")]
    cc: Annotated[list[MailAddress], Meta(description="The recipients of copies.")]
    bcc: Annotated[list[MailAddress], Meta(description="The hidden recipients, of drafts and sent messages.")]
    message_id: (
        Annotated[str, Meta(description="The Message-ID header.", examples=["<test@example.com>"])] | UnsetType
    ) = UNSET
    flags: Annotated[list[str], Meta(description="\\Seen, \\Flagged and \\Draft.", examples=[["\\Seen"]])]
    labels: Annotated[list[str], Meta(description="The categories.", examples=[["Red category"]])]
    attachments: Annotated[list[ListedAttachment], Meta(description="The attachments.")]
    text: ListedText
    preview: Annotated[str, Meta(description="The beginning of the text.", examples=["Hi, this is the report"])]


def listed_message(message: Message, path: str | None = None) -> ListedMessage:
    """A list's entry. `path` is the folder's, where the request does not name it."""
    return ListedMessage(
        id=message.id,
        email_id=message.id,
        thread_id=message.thread_id,
        path=path or UNSET,
        date=date_of(message),
        draft=message.is_draft,
        unseen=not message.is_read,
        flagged=message.is_flagged,
        subject=message.subject,
        from_=mail_address(message.sender) if message.sender else UNSET,
        reply_to=_each(mail_address, message.reply_to),
        to=_each(mail_address, message.to),
        cc=_each(mail_address, message.cc),
        bcc=_each(mail_address, message.bcc),
        message_id=message.message_id or UNSET,
        flags=list(message.flags),
        labels=list(message.categories),
        attachments=[listed_attachment(message.id, each) for each in message.attachments],
        text=ListedText(id=message.id, encoded_size=TextSize()),
        preview=message.preview,
    )


def date_of(message: Message) -> str:
    """When it arrived, as every timestamp of the API is written."""
    return moment(datetime.fromisoformat(message.received))


def mail_address(each: Address) -> MailAddress:
    """A name and an address."""
    return MailAddress(name=each.name, address=each.address)


def listed_attachment(message_id: str, each: Attachment) -> ListedAttachment:
    """An attachment without its content."""
    return ListedAttachment(
        id=attachment_id(message_id, each.id),
        content_type=each.content_type,
        encoded_size=each.size,
        inline=each.is_inline,
        embedded=each.is_inline and each.content_id is not None,
        filename=each.name or UNSET,
        content_id=f"<{each.content_id.strip('<>')}>" if each.content_id else UNSET,
    )


def _each[T, A](show: Callable[[T], A], values: Sequence[T]) -> list[A]:
    return [show(value) for value in values]
