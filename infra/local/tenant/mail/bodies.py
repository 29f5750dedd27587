"""Request bodies: messages and attachments in Graph's JSON. Names of properties count in any case.

https://learn.microsoft.com/graph/api/user-post-messages
https://learn.microsoft.com/graph/api/message-update
https://learn.microsoft.com/graph/api/message-post-attachments
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from infra.local.tenant.failures import Refusal
from infra.local.tenant.mail.defaults import default_properties
from infra.local.tenant.mail.entities import Attachment, Message, Properties, graph_time
from infra.local.tenant.mail.mime import mime_of

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
    message.attachments = [read_attachment(one, now) for one in _member(body, "attachments") or []]
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
    for name, value in body.items():
        if (found := WRITABLE.get(name.lower())) is None:
            continue
        canonical, read = found
        try:
            properties[canonical] = read(value)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise Refusal("BadRequest", reason=f"Cannot read the value of the property '{canonical}'.") from error
    return properties


def read_extended_properties(body: Properties) -> dict[str, str]:
    """The extended properties by id.

    https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-post-singlevalueextendedproperties
    """
    return {one["id"]: one["value"] for one in _member(body, "singlevalueextendedproperties") or []}


def properties_from_mapi(extended_properties: dict[str, str]) -> Properties:
    """What extended properties say about Graph's properties."""
    properties: Properties = {}
    if FLAGS_PROPERTY in extended_properties:
        properties["isDraft"] = bool(int(extended_properties[FLAGS_PROPERTY]) & UNSENT_FLAG)
    if DELIVERY_TIME_PROPERTY in extended_properties:
        properties["receivedDateTime"] = extended_properties[DELIVERY_TIME_PROPERTY]
    return properties


def read_attachment(body: Properties, now: float) -> Attachment:
    """An attachment in JSON. `now` is in epoch seconds. Raises the Refusal BadRequest."""
    kind = str(body.get("@odata.type", "")).rpartition(".")[2]
    name = _member(body, "name")
    if not isinstance(name, str):
        raise Refusal("BadRequest", reason="The attachment has no name.")
    attachment = Attachment(
        name=name,
        content=b"",
        content_type=_member(body, "contenttype"),
        content_id=_member(body, "contentid"),
        is_inline=_member(body, "isinline") is True,
        modified=graph_time(now),
    )
    if kind == "fileAttachment":
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


def _text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    if not isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - a JSON value
    return [_text(one) for one in value]


def _body(value: Any) -> Properties:  # noqa: ANN401 - a JSON value
    members = {name.lower(): one for name, one in value.items()}
    return {"contentType": members.get("contenttype", "text").lower(), "content": _text(members.get("content", ""))}


def _recipient(value: Any) -> Properties | None:  # noqa: ANN401 - a JSON value
    if value is None:
        return None
    address = {name.lower(): one for name, one in _any_case(value, "emailaddress").items()}
    text = _text(address.get("address", ""))
    return {"emailAddress": {"name": _text(address.get("name") or text), "address": text}}


def _recipients(value: Any) -> list[Properties]:  # noqa: ANN401 - a JSON value
    return [recipient for recipient in map(_recipient, value) if recipient]


def _follow_up(value: Any) -> Properties:  # noqa: ANN401 - a JSON value
    """A flag.

    https://learn.microsoft.com/graph/api/resources/followupflag
    """
    return {"flagStatus": _text(_any_case(value, "flagstatus")), **value}


def _headers(value: Any) -> list[Properties]:  # noqa: ANN401 - a JSON value
    return [{"name": _text(one["name"]), "value": _text(one["value"])} for one in value]


def _any_case(value: Properties, name: str) -> Any:  # noqa: ANN401 - a JSON value
    return {key.lower(): one for key, one in value.items()}[name]


READERS: dict[str, Callable[[Any], Any]] = {
    "bccRecipients": _recipients,
    "body": _body,
    "categories": _texts,
    "ccRecipients": _recipients,
    "flag": _follow_up,
    "from": _recipient,
    "importance": _text,
    "inferenceClassification": _text,
    "internetMessageHeaders": _headers,
    "internetMessageId": _text,
    "isDeliveryReceiptRequested": _flag,
    "isRead": _flag,
    "isReadReceiptRequested": _flag,
    "replyTo": _recipients,
    "sender": _recipient,
    "subject": _text,
    "toRecipients": _recipients,
}
WRITABLE = {name.lower(): (name, read) for name, read in READERS.items()}
