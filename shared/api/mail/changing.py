"""PUT and DELETE /v1/account/{account}/message/{message}, and its move: change, move and delete a message."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from shared.api.field_types import NOT_BLANK, AccountId
from shared.api.mail.message_fields import FolderPath, MessageId
from shared.api.mail.resource import resource
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.mail import changes
from shared.domain.mail.folders import SpecialUse
from shared.http.bounds import MAIL_ID_BOUNDS
from shared.http.decoding import Body, Faults
from shared.http.responses import Answer
from shared.ports import App
from shared.usecases.mail import change
from shared.usecases.mail.folders import MAX_PATH_CHARACTERS, resolve_destination, resolve_folder
from shared.usecases.mail.session import Identify, MailSession

ROUTE = "/v1/account/{account}/message/{message}"
MAX_VALUES = 100
MAX_CATEGORY_CHARACTERS = 255  # Graph: "outlookCategory resource type", displayName

Flag = Annotated[str, Meta(description="A flag.", examples=["\\Seen"], max_length=64, pattern=NOT_BLANK)]
Label = Annotated[
    str,
    Meta(description="A category.", examples=["Red category"], max_length=MAX_CATEGORY_CHARACTERS, pattern=NOT_BLANK),
]
TargetPath = Annotated[
    str,
    Meta(
        description="The path of a folder, or a special use such as \\Archive.",
        examples=["Archive"],
        max_length=MAX_PATH_CHARACTERS,
        pattern=NOT_BLANK,
    ),
]
Flags = Annotated[list[Flag], Meta(examples=[["\\Seen"]], max_length=MAX_VALUES)]
Labels = Annotated[list[Label], Meta(examples=[["Red category"]], max_length=MAX_VALUES)]


class FlagChange(Body, kw_only=True):
    r"""A change of flags: \Seen and \Flagged, which are all that Exchange has."""

    add: Annotated[Flags, Meta(description="Flags to add.")] | UnsetType = UNSET
    delete: Annotated[Flags, Meta(description="Flags to remove.")] | UnsetType = UNSET
    set: Annotated[Flags, Meta(description="All flags that are to remain.")] | UnsetType = UNSET


class LabelChange(Body, kw_only=True):
    """A change of labels, which are Outlook's categories."""

    add: Annotated[Labels, Meta(description="Labels to add.")] | UnsetType = UNSET
    delete: Annotated[Labels, Meta(description="Labels to remove.")] | UnsetType = UNSET
    set: Annotated[Labels, Meta(description="All labels that are to remain.")] | UnsetType = UNSET


class MessageUpdate(Body, kw_only=True):
    """What to change. `set` replaces all, and must not stand beside `add` and `delete`."""

    example: ClassVar[Mapping[str, Any]] = {"flags": {"add": ["\\Seen"]}}

    flags: FlagChange | UnsetType = UNSET
    labels: LabelChange | UnsetType = UNSET


class AppliedChange(Answer, kw_only=True):
    """The change as it was asked for, and the values afterwards."""

    add: Annotated[list[str], Meta(description="What was added.")] | UnsetType = UNSET
    delete: Annotated[list[str], Meta(description="What was removed.")] | UnsetType = UNSET
    set: Annotated[list[str], Meta(description="What replaced all.")] | UnsetType = UNSET
    result: Annotated[list[str], Meta(description="All values afterwards.")] | UnsetType = UNSET


class UpdatedMessage(Answer, kw_only=True):
    """The message's flags and labels, as far as they were to be changed."""

    flags: AppliedChange | UnsetType = UNSET
    labels: AppliedChange | UnsetType = UNSET


class MoveTarget(Body, kw_only=True):
    """Where to move it."""

    path: TargetPath


class MovedMessage(Answer, kw_only=True):
    """The folder, and the id that the message has there."""

    path: FolderPath
    id: MessageId


class DeletionQuery(Body, kw_only=True):
    """How to delete it."""

    force: Annotated[bool, Meta(description="Whether to delete it for good at once.", examples=[False])] | UnsetType = (
        UNSET
    )


class MovedToTrash(Answer, kw_only=True):
    """Where the message is now."""

    destination: Annotated[str, Meta(description="The path of Deleted Items.", examples=["Deleted Items"])]
    message: MessageId


class DeletedMessage(Answer, kw_only=True):
    """The deleted message. Without `moved` it was deleted for good."""

    deleted: Annotated[bool, Meta(description="Always true.", examples=[True])]
    moved: MovedToTrash | UnsetType = UNSET


@resource.put(ROUTE, Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=MAIL_ID_BOUNDS, refusals=[400, 404, 409])
async def change_message(
    app: App, identify: Identify, account_id: AccountId, message_id: str, body: MessageUpdate, faults: Faults
) -> UpdatedMessage:
    r"""Change the flags and labels of a message.

    \Seen and \Flagged are all flags that Exchange has. Labels are Outlook's categories. Labels that are added or
    removed leave those alone that somebody else changes at the same time.
    """
    wanted = message_change(body, faults)
    session = MailSession(app, identify, account_id, Scope.MAIL_WRITE)
    message = await change.change_message(session, message_id, wanted)
    return UpdatedMessage(flags=applied(body.flags, message.flags), labels=applied(body.labels, message.categories))


@resource.put(f"{ROUTE}/move", Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=MAIL_ID_BOUNDS, refusals=[400, 404, 409])
async def move_message(
    app: App, identify: Identify, account_id: AccountId, message_id: str, body: MoveTarget
) -> MovedMessage:
    r"""Move a message to another folder.

    `path` is the folder's, or a special use such as \Archive. The message keeps its id.
    """
    session = MailSession(app, identify, account_id, Scope.MAIL_WRITE)
    folder = await resolve_destination(session, body.path)
    return MovedMessage(path=folder.path, id=await change.move_message(session, message_id, folder))


@resource.delete(ROUTE, Action.USE_MAILBOX, Scope.MAIL_WRITE, bounds=MAIL_ID_BOUNDS, refusals=[400, 404, 409])
async def delete_message(
    app: App, identify: Identify, account_id: AccountId, message_id: str, query: DeletionQuery
) -> DeletedMessage:
    """Delete a message.

    Moves the message to Deleted Items. With `force`, or if it is there already, it is deleted for good.
    """
    session = MailSession(app, identify, account_id, Scope.MAIL_WRITE)
    if query.force is True:
        await change.delete_for_good(session, message_id)
        return DeletedMessage(deleted=True)
    trash = await resolve_folder(session, SpecialUse.TRASH)
    if await change.delete_message(session, message_id, trash):
        return DeletedMessage(deleted=True)
    return DeletedMessage(deleted=True, moved=MovedToTrash(destination=trash.path, message=message_id))


def message_change(body: MessageUpdate, faults: Faults, prefix: str = "") -> changes.MessageChange:
    """The change that a request asks for. Raises InvalidInput, with the faults that are already known."""
    flags, labels = _set_change(body.flags, changes.flag_named), _set_change(body.labels, str)
    wanted = changes.MessageChange(flags, labels)
    if not any(f"{name}.".startswith(prefix) for name in faults):
        for name, fault in changes.change_faults(wanted):
            faults.add(prefix + name, fault)
    faults.refuse()
    return wanted


def applied(
    part: FlagChange | LabelChange | UnsetType, result: tuple[str, ...] | None = None
) -> AppliedChange | UnsetType:
    """The part of the change in the answer, with the values afterwards if they are known."""
    if part is UNSET:
        return UNSET
    return AppliedChange(**part.given, result=UNSET if result is None else list(result))


def _set_change(part: FlagChange | LabelChange | UnsetType, spell: Callable[[str], str]) -> changes.SetChange:
    given = {} if part is UNSET else part.given
    return changes.SetChange(**{name: tuple(map(spell, values)) for name, values in given.items()})
