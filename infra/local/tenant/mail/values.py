"""Values of a message's properties in the JSON that clients send.

Each reader returns what is stored, and raises TypeError, KeyError, AttributeError or ValueError for anything else.
https://learn.microsoft.com/graph/api/resources/message#properties
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from infra.local.tenant.mail.entities import Properties, graph_time

VISIBLE = re.compile(r"[!-~]+")
IMPORTANCES = ("low", "normal", "high")
CLASSIFICATIONS = ("focused", "other")
FLAG_STATUSES = ("notFlagged", "complete", "flagged")


def items(value: Any) -> list[Any]:  # noqa: ANN401 - a JSON value
    """A list."""
    if not isinstance(value, list):
        raise TypeError
    return value


def text(value: Any) -> str:  # noqa: ANN401 - a JSON value
    """A text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def one_line(value: Any) -> str:  # noqa: ANN401 - a JSON value
    """A text that can be the value of a header."""
    if not text(value).isprintable():
        raise ValueError
    return text(value)


def moment(value: Any) -> str:  # noqa: ANN401 - a JSON value
    """A time, as Graph writes it; in UTC if it names no zone."""
    found = datetime.fromisoformat(text(value))
    return graph_time((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _truth(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    if not isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - a JSON value
    return [text(one) for one in items(value)]


def _body(value: Any) -> Properties:  # noqa: ANN401 - a JSON value
    members = {name.lower(): one for name, one in value.items()}
    content_type = _one_of(("text", "html"))(members.get("contenttype", "text"))
    return {"contentType": content_type, "content": text(members.get("content", ""))}


def _recipient(value: Any) -> Properties | None:  # noqa: ANN401 - a JSON value
    if value is None:
        return None
    address = {name.lower(): one for name, one in _any_case(value, "emailaddress").items()}
    shown = text(address.get("address") or "")
    return {"emailAddress": {"name": text(address.get("name") or shown), "address": shown}}


def _recipients(value: Any) -> list[Properties]:  # noqa: ANN401 - a JSON value
    return [recipient for recipient in map(_recipient, items(value)) if recipient]


def _follow_up(value: Any) -> Properties:  # noqa: ANN401 - a JSON value
    """A flag.

    https://learn.microsoft.com/graph/api/resources/followupflag
    """
    return {**value, "flagStatus": _one_of(FLAG_STATUSES)(_any_case(value, "flagstatus"))}


def _headers(value: Any) -> list[Properties]:  # noqa: ANN401 - a JSON value
    return [{"name": _visible(one["name"]), "value": one_line(one["value"])} for one in items(value)]


def _any_case(value: Properties, name: str) -> Any:  # noqa: ANN401 - a JSON value
    return {key.lower(): one for key, one in value.items()}[name]


def _visible(value: Any) -> str:  # noqa: ANN401 - a JSON value
    if not VISIBLE.fullmatch(text(value)):
        raise ValueError
    return text(value)


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    """A reader of one of these, in any case: Graph's own examples have both `Low` and `low`."""
    return lambda value: {one.lower(): one for one in allowed}[text(value).lower()]


READERS: dict[str, Callable[[Any], Any]] = {
    "bccRecipients": _recipients,
    "body": _body,
    "categories": _texts,
    "ccRecipients": _recipients,
    "flag": _follow_up,
    "from": _recipient,
    "importance": _one_of(IMPORTANCES),
    "inferenceClassification": _one_of(CLASSIFICATIONS),
    "internetMessageHeaders": _headers,
    "internetMessageId": _visible,
    "isDeliveryReceiptRequested": _truth,
    "isRead": _truth,
    "isReadReceiptRequested": _truth,
    "replyTo": _recipients,
    "sender": _recipient,
    "subject": text,
    "toRecipients": _recipients,
}
WRITABLE = {name.lower(): (name, read) for name, read in READERS.items()}
