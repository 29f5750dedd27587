"""GET /v1/account/{account}/mailboxes: list the folders."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import AccountId, Count
from shared.api.mail.message_fields import FolderPath
from shared.api.mail.resource import resource
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.mail.folders import DELIMITER, Folder, SpecialUse
from shared.http.decoding import Body
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.mail.folders import list_folders
from shared.usecases.mail.session import Identify, MailSession


class MailboxesQuery(Body, kw_only=True):
    """What to return."""

    counters: (
        Annotated[bool, Meta(description="Whether to return the numbers of messages.", examples=[True])] | UnsetType
    ) = UNSET


class FolderStatus(Answer, kw_only=True):
    """How many messages a folder has."""

    messages: Annotated[Count, Meta(description="The number of messages.")]
    unseen: Annotated[Count, Meta(description="The number of unread ones.")]


class MailFolder(Answer, kw_only=True):
    """A folder."""

    id: (
        Annotated[str, Meta(description="Microsoft Graph's id; `\\All` has none.", examples=["AAMkAGI2TG93AAA="])]
        | UnsetType
    ) = UNSET
    path: FolderPath
    delimiter: Annotated[str, Meta(description="Always /.", examples=["/"])]
    parent_path: FolderPath | UnsetType = UNSET
    name: Annotated[str, Meta(description="The display name.", examples=["Inbox"])]
    listed: Annotated[bool, Meta(description="Whether Outlook shows it; false for hidden folders.", examples=[True])]
    subscribed: Annotated[bool, Meta(description="The same as `listed`.", examples=[True])]
    special_use: Annotated[SpecialUse, Meta(description="What it is for.", examples=["\\Inbox"])] | UnsetType = UNSET
    special_use_source: Annotated[str, Meta(description="Always extension.", examples=["extension"])] | UnsetType = (
        UNSET
    )
    status: FolderStatus | UnsetType = UNSET


class MailFolders(Answer, kw_only=True):
    """The folders of a mailbox."""

    mailboxes: Annotated[list[MailFolder], Meta(description="`\\All`, the inbox, special ones, and the others.")]


@resource.get("/v1/account/{account}/mailboxes", Action.USE_MAILBOX, Scope.MAIL_READ, refusals=[400, 404])
async def list_mailboxes(app: App, identify: Identify, account_id: AccountId, query: MailboxesQuery) -> MailFolders:
    r"""List folders.

    Lists all folders of the mailbox, also nested and hidden ones. `path` is what other operations take. `\All` stands
    for all messages of the mailbox.
    """
    folders = await list_folders(MailSession(app, identify, account_id, Scope.MAIL_READ))
    return MailFolders(mailboxes=[_shown(each, with_status=query.counters is True) for each in folders])


def _shown(folder: Folder, *, with_status: bool) -> MailFolder:
    return MailFolder(
        id=folder.id or UNSET,
        path=folder.path,
        delimiter=DELIMITER,
        parent_path=folder.parent_path or UNSET,
        name=folder.name,
        listed=not folder.is_hidden,
        subscribed=not folder.is_hidden,
        special_use=folder.special_use or UNSET,
        special_use_source="extension" if folder.special_use else UNSET,
        status=FolderStatus(messages=folder.messages, unseen=folder.unseen) if with_status else UNSET,
    )
