"""Change, move and delete a message."""

from http import HTTPMethod

from shared.domain.clouds import GLOBAL, cloud_name
from shared.domain.confined.refused import OutcomeUnknown
from shared.domain.errors import Conflict
from shared.domain.mail.changes import MessageChange
from shared.domain.mail.folders import Folder
from shared.domain.mail.message import Message, message_of
from shared.domain.mail.refused import ChangeUnknown
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.session import MailCall, MailSession, checked_id

MAX_ATTEMPTS = 5


async def change_message(session: MailSession, message_id: str, change: MessageChange) -> Message:
    """Change flags and labels, without undoing what somebody else changes meanwhile. Returns the message afterwards.

    Labels that are added or deleted are written with the ETag with which they were read. Microsoft does not document
    If-Match for messages, but Exchange has a refusal for it (Exchange: ResponseCode, ErrorIrresolvableConflict).
    Raises what `MailSession.call` raises, and Conflict.
    """
    path = ("messages", checked_id(message_id))
    if not change.needs_labels:
        return await _changed(session, MailCall(HTTPMethod.PATCH, path, content=change.properties()))
    for _ in range(MAX_ATTEMPTS):
        message = await session.get(*path, query={"$select": "categories"})
        properties = change.properties(message.get("categories") or ())
        headers = {"If-Match": message["@odata.etag"]} if "@odata.etag" in message else None
        try:
            return await _changed(session, MailCall(HTTPMethod.PATCH, path, content=properties, headers=headers))
        except Conflict:
            continue
    raise Conflict


async def move_message(session: MailSession, message_id: str, folder: Folder) -> str:
    """Move a message to another folder of the mailbox. Returns its id there. Raises what `MailSession.call` raises."""
    path = ("messages", checked_id(message_id), "move")
    call = MailCall(HTTPMethod.POST, path, content={"destinationId": folder.id}, is_repeatable=True)
    answer = await session.call(call)
    return str(decoded(answer.body)["id"])


async def delete_message(session: MailSession, message_id: str, trash: Folder) -> bool:
    """Move a message to `trash`, which is Deleted Items; if it is there already, delete it for good.

    Returns whether it was deleted for good. Raises what `MailSession.call` raises.
    """
    message = await session.get("messages", checked_id(message_id), query={"$select": "parentFolderId"})
    if message.get("parentFolderId") == trash.id:
        await delete_for_good(session, message_id, trash)
        return True
    await move_message(session, message_id, trash)
    return False


async def delete_for_good(session: MailSession, message_id: str, folder: Folder | None = None) -> None:
    """Delete a message so that mail programs cannot restore it; with `folder`, only if it is there.

    Graph documents the action permanentDelete for the global cloud only. In the others this is a DELETE, and Microsoft
    does not say whether the message can be restored (Graph: "message: permanentDelete", "Delete message"). Raises what
    `MailSession.call` raises, and ChangeUnknown.
    """
    path = (*(("mailFolders", folder.id) if folder else ()), "messages", checked_id(message_id))
    has_action = cloud_name(await session.cloud()) == GLOBAL
    action, delete = MailCall(HTTPMethod.POST, (*path, "permanentDelete")), MailCall(HTTPMethod.DELETE, path)
    try:
        await session.call(action if has_action else delete)
    except OutcomeUnknown:
        raise ChangeUnknown from None


async def _changed(session: MailSession, call: MailCall) -> Message:
    return message_of(decoded((await session.call(call)).body))
