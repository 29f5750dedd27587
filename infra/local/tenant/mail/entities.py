"""What a mailbox holds: folders, messages, attachments, and the changes that delta queries report."""

import html
import re
import secrets
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

ChangeKind = Literal["created", "updated", "deleted"]
Properties = dict[str, Any]

# `bodyPreview` is "the first 255 characters of the message body. It is in text format."
# https://learn.microsoft.com/graph/api/resources/message#properties
PREVIEW_CHARACTERS = 255
NOT_SHOWN = re.compile(r"<(head|style|script)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
LINE_BREAKS = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
TAGS = re.compile(r"<[^>]*>")
BLANK_LINES = re.compile(r"\n\s*\n+")


@dataclass(slots=True, kw_only=True)
class Attachment:
    """A file, an item (a message inside the message) if `item` has its Graph properties, or a link to a file elsewhere.

    `content` is the file, or the item as MIME. https://learn.microsoft.com/graph/api/resources/attachment
    """

    name: str
    content: bytes = field(repr=False)
    content_type: str | None = None
    content_id: str | None = None
    is_inline: bool = False
    item: Properties | None = None
    is_link: bool = False
    modified: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def kind(self) -> str:
        """Its type in Graph."""
        return "referenceAttachment" if self.is_link else "fileAttachment" if self.item is None else "itemAttachment"

    def id_in(self, message_id: str) -> str:
        """Its id, which begins like the id of its message and changes with it."""
        return f"{message_id.rstrip('=')}BEgAQA{self.key}="


@dataclass(slots=True, kw_only=True)
class Message:
    """A message. `properties` are Graph's, in Graph's JSON; those that follow from the rest are not stored.

    `extended_properties` are values by id. `mime` is the message as it arrived, if it arrived as MIME. The store sets
    `id`, `immutable_id`, `folder_id` and `uid`, which is IMAP's number of the message (RFC 3501 section 2.3.1.1).
    https://learn.microsoft.com/graph/api/resources/message
    """

    properties: Properties
    attachments: list[Attachment] = field(default_factory=list)
    extended_properties: dict[str, str] = field(default_factory=dict)
    mime: bytes | None = field(default=None, repr=False)
    id: str = ""
    immutable_id: str = ""
    folder_id: str = ""
    uid: int = 0

    @property
    def has_attachments(self) -> bool:
        """Inline attachments do not count.

        https://learn.microsoft.com/graph/api/resources/message#properties
        """
        return any(not attachment.is_inline for attachment in self.attachments)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.properties["body"]["content"]) + sum(len(one.content) for one in self.attachments)

    @property
    def body_text(self) -> str:
        """The body as text."""
        body = self.properties["body"]
        return text_of_html(body["content"]) if body["contentType"] == "html" else body["content"]

    @property
    def preview(self) -> str:
        """The beginning of the body as text."""
        return self.body_text.strip()[:PREVIEW_CHARACTERS]

    def duplicate(self) -> "Message":
        """The same message without ids, for another folder or mailbox."""
        attachments = [replace(attachment) for attachment in self.attachments]
        return Message(
            properties=deepcopy(self.properties),
            attachments=attachments,
            extended_properties=dict(self.extended_properties),
            mime=self.mime,
        )


@dataclass(slots=True, kw_only=True)
class Folder:
    """A mail folder. `well_known_name` is empty for folders that a client created.

    https://learn.microsoft.com/graph/api/resources/mailfolder
    """

    id: str
    display_name: str
    parent_id: str
    well_known_name: str = ""
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a folder's content, as delta queries see it. `number` counts the changes of the mailbox.

    `item_id` is the ordinary id that the item had in the folder. An item that was moved away counts as deleted.
    https://learn.microsoft.com/graph/delta-query-messages
    """

    number: int
    kind: ChangeKind
    item_id: str
    immutable_id: str


def graph_time(seconds: float) -> str:
    """Epoch seconds as Graph writes times of messages: UTC in whole seconds."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"


def text_of_html(content: str) -> str:
    """What a reader sees of an HTML body."""
    visible = LINE_BREAKS.sub("\n", NOT_SHOWN.sub("", content))
    return BLANK_LINES.sub("\n\n", html.unescape(TAGS.sub("", visible))).strip()
