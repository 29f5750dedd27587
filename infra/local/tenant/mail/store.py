"""The mailboxes' content. Every change of it goes through here, is dated by the tenant's clock, and is logged."""

import base64
import secrets
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.defaults import default_properties
from infra.local.tenant.mail.entities import Attachment, Change, ChangeKind, Folder, Message, graph_time
from infra.local.tenant.mail.ids import (
    IMMUTABLE,
    ORDINARY,
    check_id,
    conversation_id,
    new_folder_id,
    new_item_id,
    well_known_folder_id,
)

# Names for requests, the names that people see, and what tells the ids apart. The root itself is not listed.
# https://learn.microsoft.com/graph/api/resources/mailfolder#well-known-folder-names
ROOT = "msgfolderroot"
WELL_KNOWN_FOLDERS = {
    ROOT: ("Top of Information Store", "I"),
    "archive": ("Archive", "f"),
    "deleteditems": ("Deleted Items", "K"),
    "drafts": ("Drafts", "P"),
    "inbox": ("Inbox", "M"),
    "junkemail": ("Junk Email", "a"),
    "outbox": ("Outbox", "L"),
    "sentitems": ("Sent Items", "J"),
}
FOLDERS_LOG = "folders"  # the change log of the folders themselves


class StoredMailbox:
    """One mailbox: its folders and messages. Lookups raise Refusals with Graph's error codes."""

    def __init__(self, oid: str, now: Callable[[], float]) -> None:
        self.oid = oid
        self._now = now
        self._ids = {name: well_known_folder_id(oid, code) for name, (_, code) in WELL_KNOWN_FOLDERS.items()}
        self.folders = {
            self._ids[name]: Folder(
                id=self._ids[name], display_name=shown, parent_id=self._ids[ROOT], well_known_name=name
            )
            for name, (shown, _) in WELL_KNOWN_FOLDERS.items()
        }
        self.messages: dict[str, Message] = {}  # by immutable id, oldest first
        self._by_ordinary_id: dict[str, Message] = {}
        self.uid_validity = int(now())  # a reset begins the numbers of messages again (RFC 3501 section 2.3.1.1)
        self.last_change = 0
        self._changes: dict[str, list[Change]] = defaultdict(list)

    # ---- Lookups ----

    def folder(self, name_or_id: str) -> Folder:
        """A folder by its well-known name, in any case, or its id."""
        folder_id = self._ids.get(name_or_id.lower(), name_or_id)
        if found := self.folders.get(folder_id):
            return found
        check_id(folder_id, self.oid)
        raise Refusal("ErrorItemNotFound")

    def children(self, folder: Folder) -> list[Folder]:
        """The folders directly inside a folder."""
        return [child for child in self.folders.values() if child.parent_id == folder.id != child.id]

    def message(self, message_id: str) -> Message:
        """A message by its ordinary or immutable id."""
        if found := self._by_ordinary_id.get(message_id) or self.messages.get(message_id):
            return found
        check_id(message_id, self.oid)
        raise Refusal("ErrorItemNotFound")

    def messages_in(self, folder: Folder | None) -> list[Message]:
        """The messages of a folder, or of all folders, oldest first."""
        return [message for message in self.messages.values() if folder is None or message.folder_id == folder.id]

    def attachment(self, message: Message, attachment_id: str) -> Attachment:
        """An attachment of a message, by the id that it has under either id of the message."""
        for found in message.attachments:
            if attachment_id in {found.id_in(message.id), found.id_in(message.immutable_id)}:
                return found
        check_id(attachment_id, self.oid)
        raise Refusal("ErrorItemNotFound")

    def changes_after(self, number: int, log: str) -> list[Change]:
        """The changes of a folder (by its id), or of the folders themselves (FOLDERS_LOG), oldest first."""
        return [change for change in self._changes[log] if change.number > number]

    # ---- Messages ----

    def add(self, message: Message, folder: Folder) -> Message:
        """Put a new message into a folder. Properties that it lacks get the values that Exchange gives new messages.

        Ids that it has already remain.
        """
        message.properties = default_properties(self._now()) | message.properties
        message.properties["conversationId"] = conversation_id(self.oid, message.properties["conversationIndex"])
        message.immutable_id = message.immutable_id or new_item_id(IMMUTABLE, self.oid)
        self.messages[message.immutable_id] = message
        self._put(message, folder, message.id)
        self._touch(message)
        return message

    def update(self, message: Message, **properties: Any) -> Message:  # noqa: ANN401 - JSON values
        """Set properties, named as in Graph; without any, note that something else of the message has changed."""
        message.properties |= properties
        self._touch(message)
        self._log("updated", message.folder_id, message.id, message.immutable_id)
        return message

    def move(self, message: Message, folder: Folder) -> Message:
        """Move a message. It gets another ordinary id, even if it is in that folder already.

        https://learn.microsoft.com/graph/api/message-move
        """
        self._take(message)
        self._put(message, folder)
        self._touch(message)
        return message

    def copy(self, message: Message, folder: Folder) -> Message:
        """Copy a message, with its times.

        https://learn.microsoft.com/graph/api/message-copy
        """
        return self.add(message.duplicate(), folder)

    def delete(self, message: Message) -> None:
        """Move a message to Deleted Items, or remove it if it is there already.

        https://learn.microsoft.com/graph/api/message-delete
        """
        trash = self.folder("deleteditems")
        if self._is_inside(self.folders[message.folder_id], trash):
            self.remove(message)
        else:
            self.move(message, trash)

    def remove(self, message: Message) -> None:
        """Remove a message for good."""
        self._take(message)
        del self.messages[message.immutable_id]

    # ---- Folders ----

    def create_folder(self, display_name: str, parent: Folder, *, is_hidden: bool = False) -> Folder:
        """Create a folder. Raises the Refusal ErrorFolderExists."""
        self._require_free_name(display_name, parent)
        folder = Folder(id=new_folder_id(self.oid), display_name=display_name, parent_id=parent.id, is_hidden=is_hidden)
        self.folders[folder.id] = folder
        self._log("created", FOLDERS_LOG, folder.id, folder.id)
        return folder

    def rename_folder(self, folder: Folder, display_name: str) -> Folder:
        """Rename a folder that is not a well-known one."""
        self._require_own(folder)
        self._require_free_name(display_name, self.folders[folder.parent_id])
        folder.display_name = display_name
        self._log("updated", FOLDERS_LOG, folder.id, folder.id)
        return folder

    def move_folder(self, folder: Folder, parent: Folder) -> Folder:
        """Move a folder with its content. Its id remains."""
        self._require_own(folder)
        if self._is_inside(parent, folder):
            raise Refusal("ErrorMoveCopyFailed")
        self._require_free_name(folder.display_name, parent)
        folder.parent_id = parent.id
        self._log("updated", FOLDERS_LOG, folder.id, folder.id)
        return folder

    def copy_folder(self, folder: Folder, parent: Folder) -> Folder:
        """Copy a folder with its content."""
        if self._is_inside(parent, folder):
            raise Refusal("ErrorMoveCopyFailed")
        children, messages = self.children(folder), self.messages_in(folder)
        duplicate = self.create_folder(folder.display_name, parent)
        for message in messages:
            self.copy(message, duplicate)
        for child in children:
            self.copy_folder(child, duplicate)
        return duplicate

    def delete_folder(self, folder: Folder) -> None:
        """Move a folder to Deleted Items, or remove it with its content if it is there already."""
        self._require_own(folder)
        trash = self.folder("deleteditems")
        if self._is_inside(folder, trash):
            self._remove_folder(folder)
        else:
            folder.parent_id = trash.id
            self._log("updated", FOLDERS_LOG, folder.id, folder.id)

    def _remove_folder(self, folder: Folder) -> None:
        for child in self.children(folder):
            self._remove_folder(child)
        for message in self.messages_in(folder):
            self.remove(message)
        del self.folders[folder.id]
        self._log("deleted", FOLDERS_LOG, folder.id, folder.id)

    # ---- Details ----

    def _put(self, message: Message, folder: Folder, item_id: str = "") -> None:
        message.id, message.folder_id = item_id or new_item_id(ORDINARY, self.oid), folder.id
        self._by_ordinary_id[message.id] = message
        self._log("created", folder.id, message.id, message.immutable_id)
        message.uid = self.last_change

    def _take(self, message: Message) -> None:
        del self._by_ordinary_id[message.id]
        self._log("deleted", message.folder_id, message.id, message.immutable_id)

    def _touch(self, message: Message) -> None:
        """Give the message a new version.

        https://learn.microsoft.com/graph/api/resources/message#properties
        """
        message.properties["lastModifiedDateTime"] = graph_time(self._now())
        message.properties["changeKey"] = base64.b64encode(b"\x09\0\0\0" + secrets.token_bytes(16)).decode()

    def _log(self, kind: ChangeKind, log: str, item_id: str, immutable_id: str) -> None:
        self.last_change += 1
        self._changes[log].append(Change(self.last_change, kind, item_id, immutable_id))

    def _require_own(self, folder: Folder) -> None:
        # https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode
        if folder.well_known_name:
            raise Refusal("ErrorDeleteDistinguishedFolder")

    def _require_free_name(self, display_name: str, parent: Folder) -> None:
        if any(child.display_name.lower() == display_name.lower() for child in self.children(parent)):
            raise Refusal("ErrorFolderExists", folder=display_name)

    def _is_inside(self, folder: Folder, ancestor: Folder) -> bool:
        while folder is not ancestor and folder.well_known_name != ROOT:
            folder = self.folders[folder.parent_id]
        return folder is ancestor


class MailStore:
    """The mailboxes by the object ids of their directory objects. A mailbox is created when it is first used."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._mailboxes: dict[str, StoredMailbox] = {}
        self.expire_delta_state()

    def mailbox(self, oid: str) -> StoredMailbox:
        """The content of a mailbox."""
        if oid not in self._mailboxes:
            self._mailboxes[oid] = StoredMailbox(oid, self._now)
        return self._mailboxes[oid]

    def expire_delta_state(self) -> None:
        """Make every token of delta queries invalid.

        https://learn.microsoft.com/graph/delta-query-overview#synchronization-reset
        """
        self.delta_generation = secrets.token_hex(4)

    def deliver(self, mailbox: StoredMailbox, message: Message) -> Message:
        """Put a copy of a sent message into an inbox, unread and without the Bcc recipients."""
        received = message.duplicate()
        received.properties |= {
            "createdDateTime": graph_time(self._now()),
            "receivedDateTime": graph_time(self._now()),
            "isRead": False,
            "isDraft": False,
            "bccRecipients": [],
            "flag": {"flagStatus": "notFlagged"},
            "categories": [],
        }
        return mailbox.add(received, mailbox.folder("inbox"))
