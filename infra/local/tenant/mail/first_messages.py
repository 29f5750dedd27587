"""Fills the mailboxes of a new tenant with the messages of first_messages.toml."""

import base64
import hashlib
import tomllib
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.tenant.directory import Directory
from infra.local.tenant.mail.entities import Attachment, Message, Properties, graph_time
from infra.local.tenant.mail.ids import CONVERSATION_INDEX_BYTES, IMMUTABLE, ORDINARY, constant_item_id
from infra.local.tenant.mail.mime import recipient
from infra.local.tenant.mail.store import MailStore

SOURCE = Path(__file__).with_suffix(".toml")
SECONDS_OF_TRANSPORT = 4
SECONDS_PER_HOUR = 3600


def add_first_messages(store: MailStore, directory: Directory, now: float) -> None:
    """Put every message into the inbox that it is addressed to. `now` is in epoch seconds."""
    for row in _rows():
        mailbox = store.mailbox(_oid(directory, row["to"]))
        mailbox.add(_message(row, directory, mailbox.oid, now), mailbox.folder("inbox"))


@cache
def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads(SOURCE.read_text(encoding="utf-8"))["messages"]
    return rows


def _message(row: dict[str, Any], directory: Directory, oid: str, now: float) -> Message:
    key, author = row["key"], recipient(row["from"]["address"], row["from"]["name"])
    received = now - row["hours_ago"] * SECONDS_PER_HOUR
    properties: Properties = {
        "createdDateTime": graph_time(received),
        "receivedDateTime": graph_time(received),
        "sentDateTime": graph_time(received - SECONDS_OF_TRANSPORT),
        "subject": row["subject"],
        "body": _body(row),
        "importance": row.get("importance", "normal"),
        "isRead": row.get("read", False),
        "flag": {"flagStatus": "flagged" if row.get("flagged") else "notFlagged"},
        "from": author,
        "sender": author,
        "toRecipients": [_recipient(directory, row["to"])],
        "ccRecipients": [_recipient(directory, address) for address in row.get("cc", [])],
        "conversationIndex": _conversation_index(row),
        "internetMessageId": _message_id(row["from"]["address"], key),
        "internetMessageHeaders": [{"name": name, "value": value} for name, value in _headers(row).items()],
    }
    return Message(
        properties=properties,
        attachments=[_attachment(attachment, key) for attachment in row.get("attachments", [])],
        id=constant_item_id(ORDINARY, oid, key),
        immutable_id=constant_item_id(IMMUTABLE, oid, key),
    )


def _body(row: dict[str, Any]) -> Properties:
    if "html" in row:
        return {"contentType": "html", "content": row["html"]}
    return {"contentType": "text", "content": row["text"]}


def _headers(row: dict[str, Any]) -> dict[str, str]:
    answered = _message_id(row["from"]["address"], row["answers"]) if "answers" in row else None
    threading = {"In-Reply-To": answered, "References": answered} if answered else {}
    return {**row.get("headers", {}), **threading}


def _conversation_index(row: dict[str, Any]) -> str:
    """The index of a message; an answer appends five bytes to it. It depends on no time, so that it is constant."""
    beginning = hashlib.shake_256(row.get("answers", row["key"]).encode()).digest(CONVERSATION_INDEX_BYTES - 1)
    return base64.b64encode(b"\x01" + beginning + bytes(5 if "answers" in row else 0)).decode()


def _message_id(address: str, key: str) -> str:
    return f"<{key}@{address.partition('@')[2]}>"


def _attachment(row: dict[str, Any], message_key: str) -> Attachment:
    content = base64.b64decode(row["content"]) if "content" in row else f"{row['line']}\r\n".encode() * row["lines"]
    return Attachment(
        name=row["name"],
        content=content,
        content_type=row["content_type"],
        content_id=row.get("content_id"),
        is_inline="content_id" in row,
        key=uuid.uuid5(uuid.NAMESPACE_OID, f"{message_key}/{row['name']}").hex,
    )


def _recipient(directory: Directory, address: str) -> Properties:
    mailbox = directory.mailbox(address)
    return recipient(address, mailbox.name if mailbox else "")


def _oid(directory: Directory, address: str) -> str:
    mailbox = directory.mailbox(address)
    if mailbox is None:
        raise ValueError(f"{SOURCE.name}: there is no mailbox {address!r}")
    return mailbox.oid
