"""GET …/message/{message}/source and …/attachment/{attachment}: unchanged bytes."""

import azure.functions as func

from shared.api.mail.resource import resource
from shared.domain.audit import Action
from shared.domain.caller import Scope
from shared.domain.mail.file_names import as_download
from shared.http.bounds import MAIL_ID_BOUNDS
from shared.http.responses import NO_STORE_HEADERS, reply
from shared.ports import App
from shared.usecases.mail.answers import BYTES, CONTENT_HEADERS
from shared.usecases.mail.contents import Content, attachment_content, message_source
from shared.usecases.mail.session import Identify, MailSession


@resource.get(
    "/v1/account/{account}/message/{message}/source",
    Action.USE_MAILBOX,
    Scope.MAIL_READ,
    bounds=MAIL_ID_BOUNDS,
    media_type=BYTES,
    refusals=[404],
)
async def get_message_source(app: App, identify: Identify, account_id: str, message_id: str) -> func.HttpResponse:
    """Get the source of a message.

    Returns the message in MIME format, byte for byte as Exchange has it.
    """
    return _download(await message_source(MailSession(app, identify, account_id, Scope.MAIL_READ), message_id))


@resource.get(
    "/v1/account/{account}/attachment/{attachment}",
    Action.USE_MAILBOX,
    Scope.MAIL_READ,
    bounds=MAIL_ID_BOUNDS,
    media_type=BYTES,
    refusals=[404, 409],
)
async def get_attachment(app: App, identify: Identify, account_id: str, attachment_id: str) -> func.HttpResponse:
    """Get an attachment.

    Returns the bytes of an attachment, with its type and its name; of an attached message, its source. An attachment
    that is a link to a file elsewhere is refused.
    """
    session = MailSession(app, identify, account_id, Scope.MAIL_READ)
    return _download(await attachment_content(session, attachment_id))


def _download(content: Content) -> func.HttpResponse:
    """What a browser saves and never shows: the type of a stranger's file may be that of a page or a script."""
    headers = {**NO_STORE_HEADERS, **CONTENT_HEADERS, "Content-Disposition": as_download(content.name)}
    # Without this header, the host would add a charset to the types of texts.
    return reply(content.body, 200, {**headers, "Content-Type": content.media_type}, content.media_type)
