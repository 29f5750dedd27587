"""The table of operations: everything that confined access can do. The documentation and the tests are made of it.

The paths are those of Graph v1.0 (Graph: "message resource type", "mailFolder resource type", methods).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPMethod
from typing import TypedDict, Unpack

from shared.domain.caller import Scope


class BodyKind(StrEnum):
    """What a request carries, in words for the documentation."""

    NONE = "no body"
    EMPTY = "no body, or {}"
    DRAFT = "a message, as JSON, or as MIME in base64"
    CHANGES = "properties of a message"
    FOLDER = "a folder"
    ATTACHMENT = "an attachment of up to 3 MB"
    DESTINATION = "destinationId"
    SENT_MESSAGE = "message and saveToSentItems, or MIME in base64"
    REPLY = "comment or message, both optional"
    FORWARD = "toRecipients, comment and message"


class AnswerKind(StrEnum):
    """What Graph answers."""

    JSON = "JSON"
    BYTES = "bytes"
    NUMBER = "a number"
    NOTHING = "nothing"


LIST_OPTIONS = frozenset({"select", "filter", "search", "orderby", "top", "skip", "count", "expand", "skiptoken"})
READ_OPTIONS = frozenset({"select", "expand"})
COUNT_OPTIONS = frozenset({"filter", "search"})
DELTA_OPTIONS = frozenset({"select", "filter", "orderby", "top", "expand", "changetype", "skiptoken", "deltatoken"})
HIDDEN_FOLDERS = frozenset({"includehiddenfolders"})
EXTENDED_PROPERTIES = frozenset({"singlevalueextendedproperties", "multivalueextendedproperties"})
MESSAGE_PARTS = frozenset({"attachments"}) | EXTENDED_PROPERTIES
FOLDER_PARTS = frozenset({"childfolders"}) | EXTENDED_PROPERTIES
ATTACHMENT_PARTS = frozenset({"microsoft.graph.itemattachment/item"})

# Where paths of messages may begin: in the mailbox, or in a folder of it.
ROOTS = ("", "mailFolders/{folder}/", "mailFolders/{folder}/childFolders/{child}/")


@dataclass(frozen=True, slots=True)
class MailOperation:
    """One row of the table.

    `name` stands in audit records. `shape` is the path after the mailbox; a name in braces stands for an id. `options`
    are query options and `expands` what `$expand` may name, both in lower case and without `$`. A row that is
    `in_folders` may also follow the path of a folder.
    """

    name: str
    method: HTTPMethod
    shape: str
    scope: Scope
    about: str
    options: frozenset[str] = frozenset()
    expands: frozenset[str] = frozenset()
    body: BodyKind = BodyKind.NONE
    answer: AnswerKind = AnswerKind.JSON
    in_folders: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether a call may be made again when its outcome is unknown (RFC 9110 section 9.2.2)."""
        return self.method is not HTTPMethod.POST

    @property
    def shapes(self) -> tuple[str, ...]:
        """Every path of the row."""
        return tuple(f"{root}{self.shape}" for root in (ROOTS if self.in_folders else ROOTS[:1]))


class _Rest(TypedDict, total=False):
    """The fields of a row that have defaults."""

    options: frozenset[str]
    expands: frozenset[str]
    body: BodyKind
    answer: AnswerKind
    in_folders: bool


def _get(name: str, shape: str, about: str, **rest: Unpack[_Rest]) -> MailOperation:
    return MailOperation(name, HTTPMethod.GET, shape, Scope.MAIL_READ, about, **rest)


def _write(name: str, method: HTTPMethod, shape: str, about: str, **rest: Unpack[_Rest]) -> MailOperation:
    return MailOperation(name, method, shape, Scope.MAIL_WRITE, about, **rest)


def _send(name: str, shape: str, about: str, body: BodyKind, *, in_folders: bool = True) -> MailOperation:
    post, nothing = HTTPMethod.POST, AnswerKind.NOTHING
    return MailOperation(name, post, shape, Scope.MAIL_SEND, about, body=body, answer=nothing, in_folders=in_folders)


def _reading() -> Iterator[MailOperation]:
    message = partial(_get, expands=MESSAGE_PARTS, in_folders=True)
    attachment = partial(_get, expands=ATTACHMENT_PARTS, in_folders=True)
    folders = partial(_get, options=LIST_OPTIONS | HIDDEN_FOLDERS, expands=FOLDER_PARTS)
    folder = partial(_get, options=READ_OPTIONS | HIDDEN_FOLDERS, expands=FOLDER_PARTS)
    number = partial(_get, options=COUNT_OPTIONS, answer=AnswerKind.NUMBER)
    content = partial(_get, answer=AnswerKind.BYTES, in_folders=True)
    yield message("messages.list", "messages", "List messages", options=LIST_OPTIONS)
    yield number("messages.count", "messages/$count", "Count messages", in_folders=True)
    # Graph: "Get incremental changes to messages in a folder": there is no delta of a whole mailbox.
    path, about = "mailFolders/{folder}/messages/delta", "List what has changed in a folder"
    yield _get("messages.delta", path, about, options=DELTA_OPTIONS, expands=MESSAGE_PARTS)
    yield message("message.get", "messages/{message}", "Read a message", options=READ_OPTIONS)
    yield content("message.content", "messages/{message}/$value", "Read a message as MIME")
    path = "messages/{message}/attachments"
    yield attachment("attachments.list", path, "List the attachments of a message", options=LIST_OPTIONS)
    yield number("attachments.count", f"{path}/$count", "Count attachments", in_folders=True)
    yield attachment("attachment.get", f"{path}/{{attachment}}", "Read an attachment", options=READ_OPTIONS)
    yield content("attachment.content", f"{path}/{{attachment}}/$value", "Read the bytes of an attachment")
    yield folders("folders.list", "mailFolders", "List folders")
    yield number("folders.count", "mailFolders/$count", "Count folders")
    yield _get("folders.delta", "mailFolders/delta", "List folders that have changed", options=DELTA_OPTIONS)
    path = "mailFolders/{folder}"
    yield folder("folder.get", path, "Read a folder")
    yield folders("child-folders.list", f"{path}/childFolders", "List the folders in a folder")
    yield number("child-folders.count", f"{path}/childFolders/$count", "Count the folders in a folder")
    yield folder("child-folder.get", f"{path}/childFolders/{{child}}", "Read a folder in a folder")


def _writing() -> Iterator[MailOperation]:
    post, patch, delete, nothing = HTTPMethod.POST, HTTPMethod.PATCH, HTTPMethod.DELETE, AnswerKind.NOTHING
    one, body = "messages/{message}", BodyKind
    for name, method, path, about, kind in (
        ("draft.create", post, "messages", "Create a draft", body.DRAFT),
        ("message.change", patch, one, "Change a message: flags, categories, or a draft", body.CHANGES),
        ("message.move", post, f"{one}/move", "Move a message to another folder", body.DESTINATION),
        ("message.copy", post, f"{one}/copy", "Copy a message", body.DESTINATION),
        ("reply.create", post, f"{one}/createReply", "Create a draft that replies", body.REPLY),
        ("reply-all.create", post, f"{one}/createReplyAll", "Create a draft that replies to all", body.REPLY),
        ("forward.create", post, f"{one}/createForward", "Create a draft that forwards", body.FORWARD),
        ("attachment.add", post, f"{one}/attachments", "Attach a file to a draft", body.ATTACHMENT),
    ):
        yield _write(name, method, path, about, body=kind, in_folders=True)
    yield _write("message.delete", delete, one, "Delete a message", answer=nothing, in_folders=True)
    path = f"{one}/attachments/{{attachment}}"
    yield _write("attachment.delete", delete, path, "Delete an attachment", answer=nothing, in_folders=True)
    folder = "mailFolders/{folder}"
    yield _write("folder.create", post, "mailFolders", "Create a folder", body=body.FOLDER)
    yield _write("child-folder.create", post, f"{folder}/childFolders", "Create a folder in a folder", body=body.FOLDER)
    yield _write("folder.change", patch, folder, "Rename a folder", body=body.FOLDER)
    yield _write("folder.move", post, f"{folder}/move", "Move a folder", body=body.DESTINATION)
    yield _write("folder.copy", post, f"{folder}/copy", "Copy a folder", body=body.DESTINATION)
    yield _write("folder.delete", delete, folder, "Delete a folder", answer=nothing)


def _sending() -> Iterator[MailOperation]:
    message = "messages/{message}"
    yield _send("mail.send", "sendMail", "Send a message", BodyKind.SENT_MESSAGE, in_folders=False)
    yield _send("draft.send", f"{message}/send", "Send a draft", BodyKind.EMPTY)
    yield _send("reply.send", f"{message}/reply", "Reply", BodyKind.REPLY)
    yield _send("reply-all.send", f"{message}/replyAll", "Reply to all", BodyKind.REPLY)
    yield _send("forward.send", f"{message}/forward", "Forward a message", BodyKind.FORWARD)


OPERATIONS = (*_reading(), *_writing(), *_sending())
