"""Calls that read folders, messages and attachments.

https://learn.microsoft.com/graph/api/user-list-mailfolders
https://learn.microsoft.com/graph/api/mailfolder-list-childfolders
https://learn.microsoft.com/graph/api/user-list-messages
https://learn.microsoft.com/graph/api/message-get
https://learn.microsoft.com/graph/api/attachment-get
"""

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.entities import Folder, Message
from infra.local.tenant.mail.filters import FOLDER_PROPERTIES, Filter
from infra.local.tenant.mail.lists import applied_preferences, found_messages, page
from infra.local.tenant.mail.mime import mime_of
from infra.local.tenant.mail.query import select
from infra.local.tenant.mail.rendering import attachment_json, attachments_json, folder_json, message_id, message_json
from infra.local.tenant.mail.store import ROOT

CREATED = 201


def list_folders(call: MailCall) -> Answer:
    """The folders at the top of the mailbox."""
    return _folder_page(call, "mailFolders", _folders(call, call.stored.folder(ROOT)))


def count_folders(call: MailCall) -> Answer:
    """How many folders there are at the top of the mailbox."""
    return _count(len(_folders(call, call.stored.folder(ROOT))))


def get_folder(call: MailCall) -> Answer:
    """One folder."""
    return folder_answer(call, call.folder)


def list_child_folders(call: MailCall) -> Answer:
    """The folders inside a folder."""
    return _folder_page(call, f"mailFolders('{call.folder.id}')/childFolders", _folders(call, call.folder))


def count_child_folders(call: MailCall) -> Answer:
    """How many folders there are inside a folder."""
    return _count(len(_folders(call, call.folder)))


def list_messages(call: MailCall) -> Answer:
    """The messages of a folder, or of the mailbox."""
    if call.is_basic and call.options.search is not None:
        raise Refusal("ErrorAccessDenied")
    path = f"mailFolders('{call.folder.id}')/messages" if call.target.folders else "messages"
    found = found_messages(call, _messages(call))
    return page(call, path, path, found, lambda message: message_json(call, message))


def count_messages(call: MailCall) -> Answer:
    """How many messages there are, or how many of them the filter finds.

    https://learn.microsoft.com/graph/query-parameters
    """
    return _count(len(found_messages(call, _messages(call))))


def get_message(call: MailCall) -> Answer:
    """One message."""
    return message_answer(call, call.message)


def get_message_mime(call: MailCall) -> Answer:
    """The message as MIME.

    https://learn.microsoft.com/graph/outlook-get-mime-message
    """
    return Answer(mime_of(call.message), headers={"Content-Type": "text/plain"})


def list_attachments(call: MailCall) -> Answer:
    """The attachments of a message."""
    shown = attachments_json(call, call.message, call.options.select)
    context = call.context(f"messages('{call.target.messages[0]}')/attachments")
    return Answer({"@odata.context": context, "value": shown})


def count_attachments(call: MailCall) -> Answer:
    """How many attachments a message has."""
    return _count(len(call.message.attachments))


def get_attachment(call: MailCall) -> Answer:
    """One attachment; the message in it if $expand asks for the item."""
    attachment, options = call.attachment, call.options
    content = select(attachment_json(call, call.message, attachment, with_content=True), options.select)
    if "item" in options.expand and attachment.item is not None:
        content["item"] = {"@odata.type": "#microsoft.graph.message", **attachment.item}
    context = call.context(f"messages('{call.target.messages[0]}')/attachments/$entity")
    return Answer({"@odata.context": context, **content})


def get_attachment_content(call: MailCall) -> Answer:
    """The bytes of a file, or an item as MIME: "Attempting to get the $value of a reference attachment returns 405"."""
    if call.attachment.is_link:
        raise Refusal("methodNotAllowed")
    content_type = call.attachment.content_type or "application/octet-stream"
    return Answer(call.attachment.content, headers={"Content-Type": content_type})


def refuse_settings(_call: MailCall) -> Answer:
    """Rules, categories and settings. Full Access does not open a shared mailbox's: OfficeDev/office-js issue 6057.

    The tenant does not have those of a person's own mailbox either.
    """
    raise Refusal("ErrorAccessDenied")


def folder_answer(call: MailCall, folder: Folder, status: int = 200) -> Answer:
    """The answer that shows a folder."""
    content = folder_json(call.stored, folder, call.options.select)
    headers = _location(call, f"mailFolders('{folder.id}')") if status == CREATED else {}
    return Answer({"@odata.context": call.context("mailFolders/$entity"), **content}, status, headers)


def message_answer(call: MailCall, message: Message, status: int = 200) -> Answer:
    """The answer that shows a message."""
    content = {"@odata.context": call.context("messages/$entity"), **message_json(call, message)}
    headers = _location(call, f"messages('{message_id(call, message)}')") if status == CREATED else {}
    return Answer(content, status, applied_preferences(call) | headers)


def _location(call: MailCall, path: str) -> dict[str, str]:
    """Where a created entity is (OData 4.01 part 1, section 8.3.3)."""
    return {"Location": f"{call.address}/{path}"}


def _folder_page(call: MailCall, path: str, folders: list[Folder]) -> Answer:
    return page(call, path, path, folders, lambda folder: folder_json(call.stored, folder, call.options.select))


def _folders(call: MailCall, parent: Folder) -> list[Folder]:
    """Hidden ones only if they are asked for.

    https://learn.microsoft.com/graph/api/user-list-mailfolders#include-hidden-folders
    """
    children = [one for one in call.stored.children(parent) if call.options.with_hidden_folders or not one.is_hidden]
    if not call.options.filter:
        return children
    chosen = Filter(call.options.filter, FOLDER_PROPERTIES)
    return [child for child in children if chosen.matches(folder_json(call.stored, child, None).get)]


def _messages(call: MailCall) -> list[Message]:
    return call.stored.messages_in(call.folder if call.target.folders else None)


def _count(number: int) -> Answer:
    return Answer(str(number).encode(), headers={"Content-Type": "text/plain"})
