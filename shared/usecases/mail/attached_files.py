"""The files of a message: those that come with it, and those that are read from other messages of the mailbox."""

from collections.abc import Iterable
from http import HTTPMethod

from shared.domain.mail.composition import File, MessageTooLarge, StoredFile
from shared.usecases.mail.session import MailCall, MailSession

# Of one that is added to a draft (Graph: "Attach large files to Outlook messages").
MAX_ATTACHMENT_BYTES = 3_000_000
# Of all together, so that the message in base64 stays below Exchange's 35 MB ("Exchange Online limits", message size).
MAX_ATTACHMENTS_BYTES = 24_000_000
STORED_PROPERTIES = "name,contentType,size,isInline,microsoft.graph.fileAttachment/contentId"
ITEM = "#microsoft.graph.itemAttachment"
UNNAMED = "attachment"


async def files_of(session: MailSession, attachments: Iterable[File | StoredFile]) -> list[File]:
    """The files with their content. Raises NotFound and MessageTooLarge."""
    files = list[File]()
    for each in attachments:
        files.append(each if isinstance(each, File) else await _read(session, each))
        if sum(len(file.content) for file in files) > MAX_ATTACHMENTS_BYTES:
            raise MessageTooLarge("The attachments are larger than 24 MB together")
    return files


async def _read(session: MailSession, attachment: StoredFile) -> File:
    """Read an attachment. A message that is attached becomes a file, as it is sent (RFC 2046 section 5.2.1)."""
    path = ("messages", attachment.id.message, "attachments", attachment.id.attachment)
    json = await session.get(*path, query={"$select": STORED_PROPERTIES})
    if json["size"] >= MAX_ATTACHMENT_BYTES:
        raise MessageTooLarge("A stored attachment is 3 MB or larger")
    content = (await session.call(MailCall(HTTPMethod.GET, (*path, "$value")))).body
    name, content_type = json.get("name") or UNNAMED, json.get("contentType") or "application/octet-stream"
    if json.get("@odata.type") == ITEM:
        name, content_type = f"{name}.eml", "message/rfc822"
    return attachment.over(File(name, content, content_type, json.get("contentId"), json["isInline"]))
