"""What messages and attachments consist of: their bytes, as Microsoft Graph has them."""

import re
from dataclasses import dataclass
from http import HTTPMethod

from shared.domain.confined.refused import AnswerNotUnderstood, AnswerOverLimit
from shared.domain.mail.attachment_id import read_attachment_id
from shared.domain.mail.refused import AttachmentIsLink, ContentOverLimit
from shared.usecases.mail.answers import BYTES
from shared.usecases.mail.session import MailCall, MailSession, checked_id

# RFC 6838 section 4.2. Parameters are left out: a charset or a name of the sender's says nothing here.
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
VALUE = "$value"
LINK = "#microsoft.graph.referenceAttachment"


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are to be saved as a file. The name is the sender's, as it is."""

    body: bytes
    media_type: str
    name: str


async def message_source(session: MailSession, message: str) -> Content:
    """A message in MIME format. Raises NotFound, ContentOverLimit, and what `MailSession.call` raises."""
    body = await _content(session, "messages", checked_id(message))
    return Content(body, BYTES, "message.eml")


async def attachment_content(session: MailSession, attachment: str) -> Content:
    """An attachment: a file, or an item in its MIME format (Graph: "Get attachment", raw contents).

    Raises NotFound, AttachmentIsLink, ContentOverLimit, and what `MailSession.call` raises.
    """
    named = read_attachment_id(attachment)
    path = ("messages", named.message, "attachments", named.attachment)
    described = await session.get(*path, query={"$select": "name,contentType"})
    if not isinstance(described, dict):
        raise AnswerNotUnderstood
    if described.get("@odata.type") == LINK:
        raise AttachmentIsLink
    body = await _content(session, *path)
    return Content(body, _media_type(described.get("contentType")), str(described.get("name") or ""))


async def _content(session: MailSession, *path: str) -> bytes:
    try:
        return (await session.call(MailCall(HTTPMethod.GET, (*path, VALUE)))).body
    except AnswerOverLimit:
        raise ContentOverLimit(session.app.config.max_answer_bytes) from None


def _media_type(given: object) -> str:
    plain = given.partition(";")[0].strip().lower() if isinstance(given, str) else ""
    return plain if MEDIA_TYPE.fullmatch(plain) else BYTES
