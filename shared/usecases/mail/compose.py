"""Write a message as a draft of the mailbox, so that it can be looked for and sent once.

A draft gets the Internet-Message-ID that it was composed under when it is whole: with the one call that creates it, or
with the last one (Graph: "Update message", internetMessageId is updatable if isDraft). So a draft that is found by this
id can be sent, and one that was left half written by a crash is never found.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPMethod

from shared.domain.confined.headers import MIME
from shared.domain.confined.json_bodies import write_json
from shared.domain.confined.mime import checked_mime
from shared.domain.confined.refused import OutcomeUnknown
from shared.domain.errors import MailbindError, NotFound, Unavailable
from shared.domain.failure import GRAPH_UNAVAILABLE
from shared.domain.mail.composition import (
    Composition,
    File,
    Json,
    MessageTooLarge,
    Reference,
    ReferenceAction,
    attachment_json,
    headers_json,
    message_json,
    response_json,
)
from shared.domain.mail.folders import WELL_KNOWN_NAMES, SpecialUse
from shared.domain.mail.search import with_message_id
from shared.usecases.mail.answers import decoded
from shared.usecases.mail.attached_files import MAX_ATTACHMENT_BYTES, files_of
from shared.usecases.mail.session import MailCall, MailSession, checked_id

DRAFTS = WELL_KNOWN_NAMES[SpecialUse.DRAFTS]
# Of a request (Graph: "Attach large files to Outlook messages").
MAX_REQUEST_BYTES = 4_000_000
NOT_WHOLE = "Microsoft Graph did not answer while the draft was written. Nothing was sent. Try again in a moment"
ACTIONS = {
    ReferenceAction.REPLY: "createReply",
    ReferenceAction.REPLY_ALL: "createReplyAll",
    ReferenceAction.FORWARD: "createForward",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft of the mailbox: its immutable id, its Internet-Message-ID, and its conversation.

    `is_reference_missing`: the message that it should answer or forward was not there, which the caller allowed.
    """

    id: str
    internet_message_id: str
    thread_id: str
    is_reference_missing: bool = False


async def compose(session: MailSession, composition: Composition, message_id: str, folder_id: str = DRAFTS) -> Draft:
    """Write the message as a draft from the mailbox, with this Internet-Message-ID.

    Raises WrongSender, BadMailRequest, MessageTooLarge and NotFound (an attachment or message that is referred to)
    before anything is written; and what `MailSession.call` raises. If a later step fails, the draft is deleted, except
    where the right to do so was lost. OutcomeUnknown means that a draft may be there, which was not sent;
    `find_drafts` finds it if it is whole.
    """
    mailbox = (await session.account()).email
    composition.check_sender(mailbox)
    if composition.mime is not None:
        composition = replace(composition, mime=checked_mime(composition.mime, mailbox))
    if composition.reference and not await _is_there(session, composition.reference):
        composition = replace(composition, reference=None)
        return replace(await compose(session, composition, message_id, folder_id), is_reference_missing=True)
    files = await files_of(session, composition.attachments)
    if composition.mime is None and composition.reference is None:
        whole = {**message_json(composition, mailbox), **headers_json(composition), "internetMessageId": message_id}
        whole["attachments"] = [attachment_json(each) for each in files]
        if len(write_json(whole)) <= MAX_REQUEST_BYTES:
            return await _create_whole(session, whole, folder_id, may_find=composition.message_id is None)
    if any(len(each.content) >= MAX_ATTACHMENT_BYTES for each in files):
        raise MessageTooLarge("An attachment is 3 MB or larger, and with it the message is too large for Graph")
    return await _compose_in_steps(session, composition, files, message_id, folder_id)


async def find_drafts(session: MailSession, message_id: str, folder_id: str = DRAFTS) -> Sequence[Draft]:
    """The messages of the folder with this Internet-Message-ID. Exchange may take moments to find one that is new."""
    query = {"$filter": with_message_id(message_id), "$select": "id,internetMessageId,conversationId"}
    found = await session.get("mailFolders", folder_id, "messages", query=query)
    return [_draft_of(each) for each in found["value"]]


async def _is_there(session: MailSession, reference: Reference) -> bool:
    """Whether the message that is referred to is in the mailbox. Raises NotFound unless it may be missing."""
    try:
        path = ("messages", checked_id(reference.message))
        message_id = (await session.get(*path, query={"$select": "internetMessageId"})).get("internetMessageId")
    except NotFound:
        if reference.ignore_missing:
            return False
        raise
    if reference.message_id in {None, message_id}:
        return True
    if reference.ignore_missing:
        return False
    raise NotFound("reference.message has another Message-ID than reference.messageId says")


async def _create_whole(session: MailSession, whole: Json, folder_id: str, *, may_find: bool) -> Draft:
    """Create the draft. If no answer comes, it is found by its id, unless other messages may have that one, too."""
    try:
        answer = await session.call(MailCall(HTTPMethod.POST, ("mailFolders", folder_id, "messages"), content=whole))
    except OutcomeUnknown:
        if may_find and (found := await find_drafts(session, whole["internetMessageId"], folder_id)):
            return found[0]
        raise
    return _draft_of(decoded(answer.body))


async def _compose_in_steps(
    session: MailSession, composition: Composition, files: Sequence[File], message_id: str, folder_id: str
) -> Draft:
    begun = decoded((await session.call(_beginning(composition, folder_id))).body)
    path, reference = ("messages", begun["id"]), composition.reference
    async with _deleted_on_failure(session, path):
        if reference:
            await _delete_attachments(session, path, reference)
        for each in files:
            await session.call(MailCall(HTTPMethod.POST, (*path, "attachments"), content=attachment_json(each)))
        mailbox = (await session.account()).email
        if reference:
            properties = response_json(composition, reference, mailbox, begun)
        else:
            properties = message_json(composition, mailbox)
        properties["internetMessageId"] = message_id
        whole = await session.call(MailCall(HTTPMethod.PATCH, path, content=properties))
        if reference and folder_id != DRAFTS:
            whole = await session.call(MailCall(HTTPMethod.POST, (*path, "move"), content={"destinationId": folder_id}))
    return _draft_of(decoded(whole.body))


def _beginning(composition: Composition, folder_id: str) -> MailCall:
    """The call that creates the draft of a message that takes several calls."""
    if reference := composition.reference:
        # Graph: "message: createReply", its message parameter. Recipients and text follow when the draft is known.
        path, headers = ("messages", reference.message, ACTIONS[reference.action]), headers_json(composition)
        return MailCall(HTTPMethod.POST, path, content={"message": headers} if headers else {})
    path = ("mailFolders", folder_id, "messages")
    if composition.mime is not None:
        return MailCall(HTTPMethod.POST, path, content=composition.mime, content_type=MIME)
    return MailCall(HTTPMethod.POST, path, content=headers_json(composition))


async def _delete_attachments(session: MailSession, path: tuple[str, ...], reference: Reference) -> None:
    """Delete what the draft has of the attachments of the message and should not keep."""
    kinds = (True, False) if reference.action is ReferenceAction.FORWARD else (True,)
    if all(reference.keeps(is_inline=kind) for kind in kinds):
        return
    attachments = await session.get(*path, "attachments", query={"$select": "id,isInline"})
    for each in attachments["value"]:
        if not reference.keeps(is_inline=each["isInline"]):
            await session.call(MailCall(HTTPMethod.DELETE, (*path, "attachments", each["id"])))


@asynccontextmanager
async def _deleted_on_failure(session: MailSession, path: tuple[str, ...]) -> AsyncIterator[None]:
    """Delete the draft if the block fails."""
    try:
        yield
    except MailbindError as error:
        with suppress(MailbindError):
            await session.call(MailCall(HTTPMethod.DELETE, path))
        if isinstance(error, OutcomeUnknown):  # of an attachment, in a draft that was not sent
            raise Unavailable(GRAPH_UNAVAILABLE, NOT_WHOLE) from None
        raise


def _draft_of(json: Json) -> Draft:
    return Draft(json["id"], json.get("internetMessageId") or "", json.get("conversationId") or "")
