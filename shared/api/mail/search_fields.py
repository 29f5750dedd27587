"""What to look for, as EmailEngine names it."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from shared.api.field_types import NOT_BLANK, RequestTimestamp
from shared.api.mail.message_fields import MESSAGE_ID
from shared.domain.mail.search import Search
from shared.http.decoding import Body, Faults

MAX_TEXT_CHARACTERS = 256
MAX_ID_CHARACTERS = 1024
MAX_IDS = 1000
MAX_BYTES = 2**31 - 1
# An empty value must not count as an absent one: that would find, and in bulk change or delete, everything.
NOT_EMPTY = {"empty": "must not be empty; leave it out to mean any"}
NOT_AT_MICROSOFT = "must be absent: a Microsoft 365 mailbox has nothing like it"


def _text(about: str, example: str, max_length: int = MAX_TEXT_CHARACTERS) -> Meta:
    return Meta(description=about, examples=[example], max_length=max_length, pattern=NOT_BLANK, extra=NOT_EMPTY)


Words = Annotated[str, _text("Part of it.", "invoice")]
Person = Annotated[str, _text("An address or a name.", "ann@fabrikam.example")]
Id = Annotated[str, _text("An id.", MESSAGE_ID, MAX_ID_CHARACTERS)]
HeaderText = Annotated[str, _text("The Message-ID, in angle brackets.", "<test@example.com>", MAX_ID_CHARACTERS)]
Size = Annotated[int, Meta(description="A size in bytes.", examples=[100_000], ge=0, le=MAX_BYTES, extra=NOT_EMPTY)]
Is = Annotated[bool, Meta(description="Whether it is.", examples=[True], extra=NOT_EMPTY)]
When = Annotated[RequestTimestamp, Meta(extra=NOT_EMPTY)]


class SearchHeader(Body, kw_only=True):
    """Headers to look for. Graph knows one."""

    example: ClassVar[Mapping[str, Any]] = {"message-id": "<test@example.com>"}

    lower_case: HeaderText | UnsetType = field(default=UNSET, name="message-id")
    as_in_mail: HeaderText | UnsetType = field(default=UNSET, name="Message-ID")


class SearchFields(Body, kw_only=True):
    """What to look for. All of it has to match.

    Microsoft Graph answers two kinds of searches, which cannot be combined: `unseen`, `seen`, `draft`, `flagged`,
    `threadId` and `header` are of one, and `to`, `cc`, `bcc`, `body`, `larger` and `smaller` of the other.
    """

    # Not `answered`, because false would be accepted, and find more than what was asked for.
    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("seq", "uid", "modseq", "deleted", "gmailRaw", "labels", "paths"), NOT_AT_MICROSOFT
    )
    example: ClassVar[Mapping[str, Any]] = {"unseen": True, "subject": "invoice"}

    unseen: Annotated[Is, Meta(description="Whether it is unread.")] | UnsetType = UNSET
    seen: Annotated[Is, Meta(description="Whether it is read.")] | UnsetType = UNSET
    draft: Annotated[Is, Meta(description="Whether it is a draft.")] | UnsetType = UNSET
    flagged: Annotated[Is, Meta(description="Whether it is flagged.")] | UnsetType = UNSET
    has_attachments: Annotated[Is, Meta(description="Whether it has attachments besides inline ones.")] | UnsetType = (
        UNSET
    )
    from_: Annotated[Person, Meta(description="The sender: an address, or part of a name.")] | UnsetType = UNSET
    to: Annotated[Person, Meta(description="A recipient: an address or a name.")] | UnsetType = UNSET
    cc: Annotated[Person, Meta(description="A recipient of a copy.")] | UnsetType = UNSET
    bcc: Annotated[Person, Meta(description="A hidden recipient, of drafts and sent messages.")] | UnsetType = UNSET
    subject: Annotated[Words, Meta(description="Words of the subject.")] | UnsetType = UNSET
    body: Annotated[Words, Meta(description="Words of the text.")] | UnsetType = UNSET
    larger: Annotated[Size, Meta(description="Larger than this many bytes.")] | UnsetType = UNSET
    smaller: Annotated[Size, Meta(description="Smaller than this many bytes.")] | UnsetType = UNSET
    since: Annotated[When, Meta(description="Arrived at this time or later.")] | UnsetType = UNSET
    before: Annotated[When, Meta(description="Arrived before this time.")] | UnsetType = UNSET
    sent_since: Annotated[When, Meta(description="Sent at this time or later.")] | UnsetType = UNSET
    sent_before: Annotated[When, Meta(description="Sent before this time.")] | UnsetType = UNSET
    email_id: Annotated[Id, Meta(description="The id of one message.")] | UnsetType = UNSET
    email_ids: (
        Annotated[
            list[Id],
            Meta(
                description="The ids of messages; nothing else with them.",
                min_length=1,
                max_length=MAX_IDS,
                extra=NOT_EMPTY,
            ),
        ]
        | UnsetType
    ) = UNSET
    thread_id: Annotated[Id, Meta(description="The id of a conversation.")] | UnsetType = UNSET
    header: Annotated[SearchHeader, Meta(description="Headers.", extra=NOT_EMPTY)] | UnsetType = UNSET


def search_of(fields: SearchFields) -> Search:
    """The search of these fields. Raises InvalidInput for two that say the same thing."""
    faults = Faults()
    spellings = dict(zip(fields.__struct_fields__, fields.__struct_encode_fields__, strict=True))
    search = {spellings[name]: value for name, value in fields.given.items()}
    if fields.seen is not UNSET:
        if fields.unseen is not UNSET:
            faults.add("search.seen", "must be absent if unseen is there")
        search["unseen"] = not search.pop("seen")
    if fields.email_id:
        if fields.email_ids is not UNSET:
            faults.add("search.emailId", "must be absent if emailIds is there")
        search["emailIds"] = [search.pop("emailId")]
    if fields.header is not UNSET:
        search["header"] = fields.header.lower_case or fields.header.as_in_mail
        if not search["header"]:
            faults.add("search.header", 'must have "message-id"')
    faults.refuse()
    return search
