"""Request bodies: messages and attachments in Graph's JSON. Names of properties count in any case.

https://learn.microsoft.com/graph/api/user-post-messages
https://learn.microsoft.com/graph/api/message-update
https://learn.microsoft.com/graph/api/message-post-attachments
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.defaults import default_properties
from infra.local.tenant.mail.entities import Attachment, Message, Properties, graph_time
from infra.local.tenant.mail.mime import mime_of
from infra.local.tenant.mail.values import WRITABLE, items, moment, one_line, text

# "You can update ... only if isDraft = true": https://learn.microsoft.com/graph/api/message-update#request-body
DRAFT_ONLY = frozenset(
    {
        "bccRecipients",
        "body",
        "ccRecipients",
        "from",
        "internetMessageHeaders",
        "internetMessageId",
        "isDeliveryReceiptRequested",
        "isReadReceiptRequested",
        "replyTo",
        "sender",
        "subject",
        "toRecipients",
    }
)
# Properties of MAPI that make a message look received instead of a draft.
# https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtagmessageflags-canonical-property
FLAGS_PROPERTY, UNSENT_FLAG = "Integer 0x0E07", 8
DELIVERY_TIME_PROPERTY = "SystemTime 0x0E06"
# https://learn.microsoft.com/graph/api/resources/internetmessageheader
HEADER_PREFIX = "x-"
MAX_HEADERS = 5  # public reports of the live service


def read_message(body: Properties, now: float) -> Message:
    """A message in JSON, as clients write it; what they do not give is missing. `now` is in epoch seconds.

    Raises the Refusals BadRequest, InvalidInternetMessageHeader and InvalidInternetMessageHeaderCollection.
    """
    message = Message(properties=read_properties(body))
    message.extended_properties = read_extended_properties(body)
    with _readable("attachments"):
        message.attachments = [read_attachment(one, now) for one in items(_member(body, "attachments") or [])]
    headers = message.properties.get("internetMessageHeaders", [])
    for header in headers:
        if not header["name"].lower().startswith(HEADER_PREFIX):
            raise Refusal("InvalidInternetMessageHeader", header=header["name"])
    if len(headers) > MAX_HEADERS:
        raise Refusal("InvalidInternetMessageHeaderCollection")
    return message


def read_properties(body: Properties) -> Properties:
    """The properties of a message that clients can set; others are ignored. Raises the Refusal BadRequest."""
    properties: Properties = {}
    with _readable("message"):
        members = body.items()
    for name, value in members:
        if (found := WRITABLE.get(name.lower())) is None:
            continue
        canonical, read = found
        with _readable(canonical):
            properties[canonical] = read(value)
    return properties


def read_extended_properties(body: Properties) -> dict[str, str]:
    """The extended properties by id.

    https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-post-singlevalueextendedproperties
    """
    with _readable("singleValueExtendedProperties"):
        held = items(_member(body, "singlevalueextendedproperties") or [])
        return {text(one["id"]): text(one["value"]) for one in held}


def properties_from_mapi(extended_properties: dict[str, str]) -> Properties:
    """What extended properties say about Graph's properties. Raises the Refusal BadRequest."""
    properties: Properties = {}
    with _readable("singleValueExtendedProperties"):
        if flags := extended_properties.get(FLAGS_PROPERTY):
            properties["isDraft"] = bool(int(flags) & UNSENT_FLAG)
        if delivered := extended_properties.get(DELIVERY_TIME_PROPERTY):
            properties["receivedDateTime"] = moment(delivered)
    return properties


def read_attachment(body: Properties, now: float) -> Attachment:
    """An attachment in JSON. `now` is in epoch seconds. Raises the Refusal BadRequest."""
    kind = str(body.get("@odata.type", "")).rpartition(".")[2]
    with _readable("attachments"):
        attachment = Attachment(
            name=text(_member(body, "name")),
            content=b"",
            content_type=one_line(_member(body, "contenttype") or "") or None,
            content_id=one_line(_member(body, "contentid") or "") or None,
            is_inline=_member(body, "isinline") is True,
            modified=graph_time(now),
        )
    if kind == "referenceAttachment" and _member(body, "sourceurl"):
        attachment.is_link = True
    elif kind == "fileAttachment":
        attachment.content = _bytes(_member(body, "contentbytes"))
    elif kind == "itemAttachment":
        item = read_message(_member(body, "item") or {}, now)
        item.properties = default_properties(now) | item.properties
        attachment.item, attachment.content = item.properties, mime_of(item)
    else:
        raise Refusal("BadRequest", reason="The type of the attachment is missing or not supported.")
    return attachment


def _member(body: Properties, name: str) -> Any:  # noqa: ANN401 - a JSON value
    return next((value for key, value in body.items() if key.lower() == name), None)


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise Refusal("BadRequest", reason="Cannot convert the literal to the expected type 'Edm.Binary'.") from error


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise Refusal("BadRequest", reason=f"Cannot read the value of the property '{name}'.") from error
