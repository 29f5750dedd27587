"""Types of the operations that change many messages: which messages, and what happened to each."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import NOT_BLANK, Code, Count
from shared.api.mail.changing import AppliedChange, MessageUpdate, TargetPath
from shared.api.mail.message_fields import MESSAGE_ID, FolderPath, MessageId
from shared.api.mail.search_fields import SearchFields
from shared.http.decoding import Body
from shared.http.responses import Answer
from shared.usecases.mail.folders import MAX_PATH_CHARACTERS

EmailIds = Annotated[list[MessageId], Meta(description="The messages for which this was done.")]


class BulkQuery(Body, kw_only=True):
    """Where to look."""

    path: (
        Annotated[
            str,
            Meta(
                description="The folder to search: a path, a special use, or \\All. Required unless the search is"
                " emailIds, which are found wherever they are.",
                examples=["INBOX"],
                max_length=MAX_PATH_CHARACTERS,
                pattern=NOT_BLANK,
            ),
        ]
        | UnsetType
    ) = UNSET


class BulkDeletionQuery(BulkQuery, kw_only=True):
    """Where to look, and how to delete."""

    force: (
        Annotated[bool, Meta(description="Whether to delete them for good at once.", examples=[False])] | UnsetType
    ) = UNSET


class BulkUpdate(Body, kw_only=True):
    """Which messages, and what to change."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"unseen": True}, "update": {"flags": {"add": ["\\Seen"]}}}

    search: SearchFields
    update: MessageUpdate


class BulkMove(Body, kw_only=True):
    """Which messages, and where to move them."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"from": "news@fabrikam.example"}, "path": "Archive"}

    search: SearchFields
    path: TargetPath


class BulkDeletion(Body, kw_only=True):
    """Which messages."""

    example: ClassVar[Mapping[str, Any]] = {"search": {"before": "2026-01-01T00:00:00Z"}}

    search: SearchFields


class FailedMessage(Answer, kw_only=True):
    """A message for which it failed."""

    email_id: MessageId
    code: Code
    message: Annotated[str, Meta(description="What happened.", examples=["No such message in this mailbox"])]


class NotTried(Answer, kw_only=True):
    """The messages that had no turn, and why."""

    code: Annotated[str, Meta(description="A stable code for programs.", examples=["out_of_time"])]
    message: Annotated[str, Meta(description="Why.", examples=["The time of one request is up"])]
    retry_after: (
        Annotated[int, Meta(description="After how many seconds to try again.", examples=[10], ge=0)] | UnsetType
    ) = UNSET
    email_ids: Annotated[list[MessageId], Meta(description="The messages.", examples=[[MESSAGE_ID]])]


class Totals(Answer, kw_only=True):
    """How many messages."""

    done: Annotated[Count, Meta(description="Those for which it was done.")]
    unchanged: Annotated[Count, Meta(description="Those that were found, and already as they have to be.")]
    failed: Annotated[Count, Meta(description="Those for which it failed.")]
    not_tried: Annotated[Count, Meta(description="Those that had no turn.")]


class BulkAnswer(Answer, kw_only=True):
    """What happened to each message."""

    failed: Annotated[list[FailedMessage], Meta(description="The messages for which it failed.")]
    not_tried: NotTried | UnsetType = UNSET
    totals: Totals
    complete: Annotated[
        bool,
        Meta(description="Whether every message that matches had its turn. If not, send the same request again."),
    ]


class UpdatedMessages(BulkAnswer, kw_only=True):
    """The change, and what happened to each message."""

    flags: AppliedChange | UnsetType = UNSET
    labels: AppliedChange | UnsetType = UNSET
    email_ids: EmailIds


class MovedMessages(BulkAnswer, kw_only=True):
    """The folder, and what happened to each message."""

    path: FolderPath
    email_ids: EmailIds


class MessagesInTrash(Answer, kw_only=True):
    """Where the messages are now."""

    destination: Annotated[str, Meta(description="The path of Deleted Items.", examples=["Deleted Items"])]
    email_ids: EmailIds


class MessagesGone(Answer, kw_only=True):
    """The messages that were deleted for good."""

    email_ids: EmailIds


class DeletedMessages(BulkAnswer, kw_only=True):
    """What happened to each message."""

    deleted: Annotated[bool, Meta(description="Whether any message was deleted.", examples=[True])]
    moved: MessagesInTrash | UnsetType = UNSET
    deleted_messages: MessagesGone | UnsetType = UNSET
