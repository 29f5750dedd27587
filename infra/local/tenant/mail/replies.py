"""Replies and forwards: sent at once, or created as drafts.

https://learn.microsoft.com/graph/api/message-reply
https://learn.microsoft.com/graph/api/message-replyall
https://learn.microsoft.com/graph/api/message-forward
https://learn.microsoft.com/graph/api/message-createreply
https://learn.microsoft.com/graph/api/message-createreplyall
https://learn.microsoft.com/graph/api/message-createforward
"""

import base64
import html
import re
import struct
from dataclasses import dataclass, replace
from typing import Any

from infra.local.tenant.failures import Refusal
from infra.local.tenant.graph_request import Answer
from infra.local.tenant.mail.bodies import read_message, read_properties
from infra.local.tenant.mail.call import MailCall
from infra.local.tenant.mail.entities import Message, Properties
from infra.local.tenant.mail.mime import mailbox_text
from infra.local.tenant.mail.reading import CREATED, message_answer
from infra.local.tenant.mail.rendering import body_json
from infra.local.tenant.mail.sending import ACCEPTED
from infra.local.tenant.mail.submission import submit
from infra.local.tenant.mail.writing import DRAFT, MIME, read_mime_body

# A prefix has one to three letters.
# https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtagnormalizedsubject-canonical-property
SUBJECT_PREFIX = re.compile(r"^[^\W\d_]{1,3}: ")


@dataclass(frozen=True, slots=True)
class Given:
    """What the client gives: a comment, or a message with properties that replace those of the response.

    `recipients` are those of the parameter, which only forwards have.
    """

    comment: str | None
    message: Message
    recipients: list[Properties] | None = None


def reply(call: MailCall) -> Answer:
    """Reply to the sender."""
    return _send(call, _reply(call, _given(call), to_all=False))


def reply_all(call: MailCall) -> Answer:
    """Reply to the sender and all recipients."""
    return _send(call, _reply(call, _given(call), to_all=True))


def forward(call: MailCall) -> Answer:
    """Forward the message with its attachments."""
    given = _given(call)
    if given.recipients is None and "toRecipients" not in given.message.properties:
        raise Refusal("BadRequest", reason="Specify toRecipients, as a parameter or as a property of the message.")
    return _send(call, _forward(call, given))


def create_reply(call: MailCall) -> Answer:
    """A draft that replies to the sender."""
    return _create(call, _reply(call, _given(call), to_all=False))


def create_reply_all(call: MailCall) -> Answer:
    """A draft that replies to the sender and all recipients."""
    return _create(call, _reply(call, _given(call), to_all=True))


def create_forward(call: MailCall) -> Answer:
    """A draft that forwards the message. The recipients can be added later."""
    return _create(call, _forward(call, _given(call)))


def _send(call: MailCall, message: Message) -> Answer:
    submit(call, message, author=call.caller.person if call.request.content_type == MIME else None)
    return ACCEPTED


def _create(call: MailCall, message: Message) -> Answer:
    message.properties |= DRAFT
    return message_answer(call, call.stored.add(message, call.stored.folder("drafts")), CREATED)


def _given(call: MailCall) -> Given:
    if call.request.content_type == MIME and call.request.body:
        message = read_mime_body(call.request)
        properties = {name: value for name, value in message.properties.items() if value}
        return Given(None, replace(message, properties=properties, mime=None))
    parameters = call.request.parameters()
    message = read_message(parameters.get("message") or {}, call.tenant.now())
    comment = parameters.get("comment")
    recipients = read_properties({"toRecipients": parameters["torecipients"]}) if parameters.get("torecipients") else {}
    if comment and "body" in message.properties:
        raise Refusal("BadRequest", reason="Specify either a comment or the body of the message, not both.")
    if recipients and "toRecipients" in message.properties:
        raise Refusal("BadRequest", reason="Specify toRecipients once: as a parameter, or in the message.")
    return Given(comment, message, recipients.get("toRecipients"))


def _reply(call: MailCall, given: Given, *, to_all: bool) -> Message:
    """The recipients of `replyTo` take the place of the sender (RFC 2822, as the pages say)."""
    original = call.message.properties
    answered = original["replyTo"] or ([original["from"]] if original["from"] else [])
    own_names = {name.lower() for name in call.owner.names}
    recipients = {
        "toRecipients": answered + (_others(original["toRecipients"], own_names) if to_all else []),
        "ccRecipients": _others(original["ccRecipients"], own_names) if to_all else [],
    }
    inline = [attachment for attachment in call.message.attachments if attachment.is_inline]
    return _response(call, given, "RE", recipients, replace(call.message, attachments=inline))


def _forward(call: MailCall, given: Given) -> Message:
    return _response(call, given, "FW", {"toRecipients": given.recipients or []}, call.message)


def _response(call: MailCall, given: Given, prefix: str, recipients: Properties, quoted: Message) -> Message:
    """The response, which quotes the message and repeats its attachments; the client's properties go before."""
    original = call.message.properties
    response = quoted.duplicate()
    own_headers = given.message.properties.get("internetMessageHeaders", [])
    response.properties = {
        "subject": f"{prefix}: {SUBJECT_PREFIX.sub('', original['subject'])}",
        "body": {"contentType": "html", "content": _quotation(call, given.comment)},
        "conversationIndex": _next_conversation_index(call),
        **recipients,
        **given.message.properties,
        "internetMessageHeaders": [*_threading_headers(original), *own_headers],
    }
    response.mime = None
    response.attachments += given.message.attachments
    response.extended_properties = dict(given.message.extended_properties)
    return response


def _quotation(call: MailCall, comment: str | None) -> str:
    """The comment above the original message, in HTML."""
    original = call.message.properties
    rows = {
        "From": mailbox_text(original["from"]) if original["from"] else "",
        "Sent": original["sentDateTime"],
        "To": "; ".join(map(mailbox_text, original["toRecipients"])),
        "Subject": original["subject"],
    }
    header = "<br>\n".join(f"<b>{name}:</b> {html.escape(value)}" for name, value in rows.items())
    above = html.escape(comment or "", quote=False).replace("\n", "<br>\n")
    body = body_json(call.message, as_text=False)["content"]
    return f'<html><body><div>{above}</div><hr><div id="divRplyFwdMsg">{header}</div><br>\n{body}</body></html>'


def _threading_headers(original: Properties) -> list[Properties]:
    """RFC 5322 section 3.6.4."""
    known = {header["name"].lower(): header["value"] for header in original["internetMessageHeaders"]}
    earlier = known.get("references") or known.get("in-reply-to") or ""
    message_id = original["internetMessageId"]
    return [
        {"name": "In-Reply-To", "value": message_id},
        {"name": "References", "value": f"{earlier} {message_id}".strip()},
    ]


def _next_conversation_index(call: MailCall) -> str:
    """Five bytes more than the original's, made of the time.

    https://learn.microsoft.com/office/client-developer/outlook/mapi/tracking-conversations
    """
    index = base64.b64decode(call.message.properties["conversationIndex"])
    return base64.b64encode(index + struct.pack(">IB", int(call.tenant.now()) & 0xFFFFFFFF, 0)).decode()


def _others(recipients: list[Any], own_names: set[str]) -> list[Any]:
    return [one for one in recipients if one["emailAddress"]["address"].lower() not in own_names]
