"""Calls that send a message: a new one, or a draft.

https://learn.microsoft.com/graph/api/user-sendmail
https://learn.microsoft.com/graph/api/message-send
"""

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer
from infra.local.tenant.mail.bodies import read_message
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.submission import submit
from infra.local.tenant.mail.writing import MIME, read_mime_body

ACCEPTED = Answer(status=202)


def send_mail(call: MailCall) -> Answer:
    """Send a new message, in JSON or MIME.

    MIME is from the signed-in person: "Microsoft Graph API ignores the From header in raw MIME messages and uses the
    authenticated user's address instead" (EmailEngine 2.79, lib/email-client/outlook-client.js; Microsoft's pages do
    not say it).
    """
    if call.request.content_type == MIME:
        submit(call, read_mime_body(call.request), author=call.caller.person)
        return ACCEPTED
    parameters = call.request.parameters()
    if "message" not in parameters:
        raise Refusal("BadRequest", reason="The parameter 'message' is missing.")
    # The page's own example has the text "false".
    save = str(parameters.get("savetosentitems", True)).lower() != "false"
    submit(call, read_message(parameters["message"], call.tenant.now()), save=save)
    return ACCEPTED


def send_draft(call: MailCall) -> Answer:
    """Send a draft. Clients send no body, or an empty object."""
    if not call.message.properties["isDraft"]:
        raise Refusal("ErrorInvalidRequest")
    submit(call, call.message)
    return ACCEPTED
