"""One call on the mail of a mailbox that the caller may open: what operations work on."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from infra.local.tenant.bearer import Caller
from infra.local.tenant.entities import Mailbox
from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_paths import Target
from infra.local.tenant.graph_request import Answer, GraphRequest
from infra.local.tenant.mail.entities import Attachment, Folder, Message
from infra.local.tenant.mail.query import Options, read_options
from infra.local.tenant.mail.store import StoredMailbox
from infra.local.tenant.tenant import Tenant

# The permissions of each call are on the page of that call, under https://learn.microsoft.com/graph/api/. A permission
# to write includes reading. The .Shared permissions cover a person's own mailbox too.
# https://learn.microsoft.com/graph/permissions-reference#mailreadshared
Level = Literal["basic", "read", "write", "send", "settings"]
WRITE_SCOPES = frozenset({"Mail.ReadWrite", "Mail.ReadWrite.Shared"})
READ_SCOPES = WRITE_SCOPES | {"Mail.Read", "Mail.Read.Shared"}
SCOPES: dict[Level, frozenset[str]] = {
    "basic": READ_SCOPES | {"Mail.ReadBasic", "Mail.ReadBasic.Shared"},
    "read": READ_SCOPES,
    "write": WRITE_SCOPES,
    "send": frozenset({"Mail.Send", "Mail.Send.Shared"}),
    "settings": frozenset({"MailboxSettings.Read", "MailboxSettings.ReadWrite"}),  # neither has a .Shared variant
}
PREFERENCE = re.compile(r'([\w.-]+)\s*=\s*"?([^",;]*)"?')


@dataclass(kw_only=True)
class MailCall:
    """A call whose caller has the permission, and can open the mailbox."""

    tenant: Tenant
    caller: Caller
    owner: Mailbox
    stored: StoredMailbox
    request: GraphRequest
    target: Target

    @cached_property
    def folder(self) -> Folder:
        """The folder of the path: the innermost one, if the others contain it. Raises the Refusals of the store."""
        folder, *inner_folders = (self.stored.folder(name_or_id) for name_or_id in self.target.folders)
        for inner_folder in inner_folders:
            if inner_folder.parent_id != folder.id:
                raise Refusal("ErrorItemNotFound")
            folder = inner_folder
        return folder

    @cached_property
    def message(self) -> Message:
        """The message of the path. Raises the Refusals of the store."""
        message = self.stored.message(self.target.messages[0])
        if self.target.folders and message.folder_id != self.folder.id:
            raise Refusal("ErrorItemNotFound")
        return message

    @cached_property
    def attachment(self) -> Attachment:
        """The attachment of the path. Raises the Refusals of the store."""
        return self.stored.attachment(self.message, self.target.attachments[0])

    @cached_property
    def options(self) -> Options:
        """The query options. Raises the Refusal BadRequest."""
        return read_options(self.request.options)

    @cached_property
    def preferences(self) -> dict[str, str]:
        """The preferences of the Prefer header, with names in lower case (RFC 7240)."""
        return {name.lower(): value for name, value in PREFERENCE.findall(self.request.headers.get("prefer", ""))}

    @property
    def wants_immutable_ids(self) -> bool:
        """Whether ids are to be immutable.

        https://learn.microsoft.com/graph/outlook-immutable-id
        """
        return self.preferences.get("idtype", "").lower() == "immutableid"

    @property
    def wants_text(self) -> bool:
        """Whether bodies are to be text.

        https://learn.microsoft.com/graph/api/message-get#request-headers
        """
        return self.preferences.get("outlook.body-content-type", "").lower() == "text"

    @property
    def is_basic(self) -> bool:
        """Whether the caller may not see bodies and attachments.

        https://learn.microsoft.com/graph/permissions-reference#mailreadbasic
        """
        return not self.caller.scopes & READ_SCOPES

    @property
    def address(self) -> str:
        """The mailbox's address at Graph. Microsoft names a user by the object id in the links that it returns."""
        return f"{self.tenant.origin}/v1.0/users('{self.owner.oid}')"

    def context(self, rest: str) -> str:
        """`@odata.context` of something in the mailbox."""
        return f"{self.tenant.origin}/v1.0/$metadata#users('{self.owner.oid}')/{rest}"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of one path does, and the permission that it needs."""

    level: Level
    handle: Callable[[MailCall], Answer]
