"""Folders, messages and attachments as Graph shows them.

https://learn.microsoft.com/graph/api/resources/message
https://learn.microsoft.com/graph/api/resources/mailfolder
https://learn.microsoft.com/graph/api/resources/fileattachment
https://learn.microsoft.com/graph/api/resources/itemattachment
"""

import base64
import html
from typing import Any
from urllib.parse import quote

from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.entities import Attachment, Folder, Message, Properties
from infra.local.tenant.mail.query import Options, extended_property_ids, nested_select, select
from infra.local.tenant.mail.store import StoredMailbox

OUTLOOK = "https://outlook.office365.com/owa/?ItemID={id}&exvsurl=1&viewmodel=ReadMessageItem"
# Returned only if $select names them.
HIDDEN = frozenset({"internetMessageHeaders", "uniqueBody"})
# https://learn.microsoft.com/graph/permissions-reference#mailreadbasic
NOT_BASIC = frozenset({"body", "bodyPreview", "uniqueBody"})
NOT_COUNTED = {"id", "displayName", "parentFolderId", "childFolderCount", "isHidden"}
EXPANDABLE = {"attachments", "singleValueExtendedProperties"}


def folder_json(stored: StoredMailbox, folder: Folder, names: tuple[str, ...] | None) -> Properties:
    """The selected properties of a folder. Messages are counted only if a property needs it."""
    messages = stored.messages_in(folder) if names is None or not set(names) <= NOT_COUNTED else []
    content = {
        "id": folder.id,
        "displayName": folder.display_name,
        "parentFolderId": folder.parent_id,
        "childFolderCount": len(stored.children(folder)),
        "unreadItemCount": sum(not message.properties["isRead"] for message in messages),
        "totalItemCount": len(messages),
        "sizeInBytes": sum(message.size for message in messages),
        "isHidden": folder.is_hidden,
    }
    return select(content, names)


def message_id(call: MailCall, message: Message) -> str:
    """The id that the caller prefers."""
    return message.immutable_id if call.wants_immutable_ids else message.id


def message_json(call: MailCall, message: Message, options: Options | None = None) -> Properties:
    """A message with what the options select and expand; by default those of the call."""
    options = options or call.options
    shown_id = message_id(call, message)
    stored = message.properties
    content = {
        "@odata.etag": etag(message),
        "id": shown_id,
        **stored,
        "hasAttachments": message.has_attachments,
        "parentFolderId": message.folder_id,
        "webLink": OUTLOOK.format(id=quote(shown_id, safe="")),
        **_bodies(call, message, options.select),
    }
    if call.is_basic:
        content = {name: value for name, value in content.items() if name not in NOT_BASIC}
    return {**select(content, options.select, HIDDEN), **_expanded(call, message, options)}


def _bodies(call: MailCall, message: Message, names: tuple[str, ...] | None) -> Properties:
    """The properties that show the body; those that are not selected are left empty, because they take time."""
    if names is not None and not set(names) & {"*", "body", "bodyPreview", "uniqueBody"}:
        return dict.fromkeys(("bodyPreview", "body", "uniqueBody"))
    body = body_json(message, as_text=call.wants_text)
    return {"bodyPreview": message.preview, "body": body, "uniqueBody": body}


def body_json(message: Message, *, as_text: bool) -> Properties:
    """The body in the preferred format: "If the header is not specified, the body is returned in HTML format".

    https://learn.microsoft.com/graph/api/message-get#request-headers
    """
    body = message.properties["body"]
    if as_text:
        return {"contentType": "text", "content": message.body_text}
    if body["contentType"] == "html":
        return dict(body)
    text = html.escape(body["content"], quote=False).replace("\n", "<br>\n")
    return {"contentType": "html", "content": f'<html><body><div class="PlainText">{text}</div></body></html>'}


def etag(message: Message) -> str:
    """The version of a message."""
    return f'W/"{message.properties["changeKey"]}"'


def attachment_json(call: MailCall, message: Message, attachment: Attachment, *, with_content: bool) -> Properties:
    """An attachment; the bytes of a file are left out in lists that do not select them."""
    content: Properties = {
        "@odata.type": f"#microsoft.graph.{attachment.kind}",
        "id": attachment.id_in(message_id(call, message)),
        "lastModifiedDateTime": attachment.modified,
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": len(attachment.content),
        "isInline": attachment.is_inline,
    }
    if attachment.kind == "fileAttachment":
        content |= {
            "@odata.mediaContentType": attachment.content_type,
            "contentId": attachment.content_id,
            "contentLocation": None,
        }
        if with_content:
            content["contentBytes"] = base64.b64encode(attachment.content).decode()
    return content


def attachments_json(call: MailCall, message: Message, names: tuple[str, ...] | None) -> list[Properties]:
    """The attachments of a message with the selected properties."""
    shown = [attachment_json(call, message, attachment, with_content=True) for attachment in message.attachments]
    # A property of one kind of attachment can be selected for a list of all kinds.
    return [{name: value for name, value in one.items() if _is_selected(name, names)} for one in shown]


def property_of(call: MailCall, message: Message, path: str) -> Any:  # noqa: ANN401 - a JSON value
    """The property at a path like `from/emailAddress/address`, for filters and sort orders."""
    first, *inner = path.split("/")
    match first:
        case "id":
            return message_id(call, message)
        case "hasAttachments":
            return message.has_attachments
        case "bodyPreview":
            return message.preview
        case "parentFolderId":
            return message.folder_id
    value = message.properties.get(first)
    for name in inner:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_selected(name: str, names: tuple[str, ...] | None) -> bool:
    return names is None or name in names or name == "id" or name.startswith("@")


def _expanded(call: MailCall, message: Message, options: Options) -> Properties:
    content: Properties = {}
    for name, inner in options.expand.items():
        if name not in EXPANDABLE or call.is_basic:
            reason = f"Parsing OData Select and Expand failed: Could not find a property named '{name}'."
            raise Refusal("BadRequest", reason=reason)
        if name == "attachments":
            content[name] = attachments_json(call, message, nested_select(inner))
            continue
        wanted = [key for key in extended_property_ids(inner) if key in message.extended_properties]
        if wanted:  # a message without the properties comes without the collection
            content[name] = [{"id": key, "value": message.extended_properties[key]} for key in wanted]
    return content
