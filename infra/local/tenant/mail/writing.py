"""Calls that change folders, messages and attachments, without sending anything.

https://learn.microsoft.com/graph/api/user-post-messages
https://learn.microsoft.com/graph/api/message-update
https://learn.microsoft.com/graph/api/message-delete
https://learn.microsoft.com/graph/api/message-permanentdelete
https://learn.microsoft.com/graph/api/message-move
https://learn.microsoft.com/graph/api/message-copy
https://learn.microsoft.com/graph/api/message-post-attachments
https://learn.microsoft.com/graph/api/mailfolder-post-childfolders
https://learn.microsoft.com/graph/api/mailfolder-update
https://learn.microsoft.com/graph/api/mailfolder-move
"""

import base64
import binascii

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer, GraphRequest
from infra.local.tenant.mail.bodies import (
    DRAFT_ONLY,
    properties_from_mapi,
    read_attachment,
    read_extended_properties,
    read_message,
    read_properties,
)
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.entities import Folder, Message
from infra.local.tenant.mail.mime import read_mime
from infra.local.tenant.mail.reading import CREATED, folder_answer, message_answer
from infra.local.tenant.mail.rendering import attachment_json, etag
from infra.local.tenant.mail.store import ROOT

NO_CONTENT = 204
MIME = "text/plain"  # in base64: https://learn.microsoft.com/graph/outlook-send-mime-message
DRAFT = {"isDraft": True, "isRead": True}


def create_draft(call: MailCall) -> Answer:
    """A new draft in the folder, or in Drafts, from JSON or from MIME."""
    folder = call.folder if call.target.folders else call.stored.folder("drafts")
    message = _draft(call)
    message.properties = DRAFT | message.properties | properties_from_mapi(message.extended_properties)
    return message_answer(call, call.stored.add(message, folder), CREATED)


def update_message(call: MailCall) -> Answer:
    """Change properties of a message; most of them only of a draft."""
    message, body = call.message, call.request.json()
    # The page does not name If-Match. Public reports have this refusal (msgraph-sdk-dotnet issue 1201).
    # https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode
    if call.request.headers.get("if-match", "*") not in {"*", etag(message)}:
        raise Refusal("ErrorIrresolvableConflict")
    properties = read_properties(body)
    if not message.properties["isDraft"] and properties.keys() & DRAFT_ONLY:
        raise Refusal("ErrorInvalidPropertySet")
    message.extended_properties |= read_extended_properties(body)
    if properties.keys() & DRAFT_ONLY:
        message.mime = None
    call.stored.update(message, **properties)
    return message_answer(call, message)


def delete_message(call: MailCall) -> Answer:
    """Move a message to Deleted Items, or remove it from there.

    Microsoft does not say where it goes (microsoft-graph-docs-contrib issue 285).
    """
    call.stored.delete(call.message)
    return Answer(status=NO_CONTENT)


def delete_permanently(call: MailCall) -> Answer:
    """Remove a message for good: it goes to the folder Purges, which no client can read."""
    call.stored.remove(call.message)
    return Answer(status=NO_CONTENT)


def move_message(call: MailCall) -> Answer:
    """Move a message within the mailbox."""
    return message_answer(call, call.stored.move(call.message, _destination(call)), CREATED)


def copy_message(call: MailCall) -> Answer:
    """Copy a message within the mailbox."""
    return message_answer(call, call.stored.copy(call.message, _destination(call)), CREATED)


def add_attachment(call: MailCall) -> Answer:
    """Add an attachment of less than 3 MB, which is what a request can carry."""
    attachment = read_attachment(call.request.json(), call.tenant.now())
    call.message.mime = None
    call.message.attachments.append(attachment)
    call.stored.update(call.message)
    context = call.context(f"messages('{call.target.messages[0]}')/attachments/$entity")
    content = attachment_json(call, call.message, attachment, with_content=True)
    return Answer({"@odata.context": context, **content}, CREATED)


def delete_attachment(call: MailCall) -> Answer:
    """Remove an attachment."""
    call.message.attachments.remove(call.attachment)
    call.message.mime = None
    call.stored.update(call.message)
    return Answer(status=NO_CONTENT)


def create_upload_session(call: MailCall) -> Answer:
    """Refused: with delegated permissions it "succeeds only if the message is in the signed-in user's mailbox".

    The tenant takes no large files, so that it has no upload sessions for other mailboxes either.
    https://learn.microsoft.com/graph/known-issues (issue 13644)
    """
    _ = call.message
    if call.owner.oid != call.caller.person.oid:
        raise Refusal("ErrorAccessDenied")
    raise Refusal("BadRequest", reason="The local tenant has no upload sessions.")


def create_folder(call: MailCall) -> Answer:
    """Create a folder at the top, or inside a folder."""
    parent = call.folder if call.target.folders else call.stored.folder(ROOT)
    is_hidden = call.request.parameters().get("ishidden") is True
    return folder_answer(call, call.stored.create_folder(_display_name(call), parent, is_hidden=is_hidden), CREATED)


def rename_folder(call: MailCall) -> Answer:
    """Rename a folder."""
    return folder_answer(call, call.stored.rename_folder(call.folder, _display_name(call)))


def delete_folder(call: MailCall) -> Answer:
    """Move a folder to Deleted Items, or remove it from there."""
    call.stored.delete_folder(call.folder)
    return Answer(status=NO_CONTENT)


def move_folder(call: MailCall) -> Answer:
    """Move a folder within the mailbox."""
    return folder_answer(call, call.stored.move_folder(call.folder, _destination(call)), CREATED)


def copy_folder(call: MailCall) -> Answer:
    """Copy a folder within the mailbox."""
    return folder_answer(call, call.stored.copy_folder(call.folder, _destination(call)), CREATED)


def read_mime_body(request: GraphRequest) -> Message:
    """The message of a body that is MIME. Raises the Refusal ErrorMimeContentInvalidBase64String."""
    try:
        return read_mime(base64.b64decode(b"".join(request.body.split()), validate=True))
    except binascii.Error as error:
        raise Refusal("ErrorMimeContentInvalidBase64String") from error


def _draft(call: MailCall) -> Message:
    if call.request.content_type == MIME:
        return read_mime_body(call.request)
    return read_message(call.request.json(), call.tenant.now())


def _destination(call: MailCall) -> Folder:
    destination: str | None = call.request.parameters().get("destinationid")
    if destination is None:
        raise Refusal("BadRequest", reason="The parameter 'DestinationId' is missing.")
    return call.stored.folder(destination)


def _display_name(call: MailCall) -> str:
    name: str | None = call.request.parameters().get("displayname")
    if not name:
        raise Refusal("BadRequest", reason="The property 'displayName' is missing.")
    return name
