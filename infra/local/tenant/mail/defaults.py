"""What a new message has before anybody says anything about it."""

import base64
import struct
import uuid

from infra.local.tenant.mail.entities import Properties, graph_time


def default_properties(now: float) -> Properties:
    """What Exchange gives a message that says nothing else. `now` is in epoch seconds."""
    text_now = graph_time(now)
    return {
        "createdDateTime": text_now,
        "receivedDateTime": text_now,
        "sentDateTime": text_now,
        "subject": "",
        "body": {"contentType": "text", "content": ""},
        "importance": "normal",
        "conversationIndex": first_conversation_index(now),
        "internetMessageId": f"<{uuid.uuid4().hex.upper()}@mail.contoso.example>",
        "internetMessageHeaders": [],
        "isRead": False,
        "isDraft": False,
        "isDeliveryReceiptRequested": None,
        "isReadReceiptRequested": False,
        "inferenceClassification": "focused",
        "categories": [],
        "flag": {"flagStatus": "notFlagged"},
        "sender": None,
        "from": None,
        "toRecipients": [],
        "ccRecipients": [],
        "bccRecipients": [],
        "replyTo": [],
    }


def first_conversation_index(seconds: float) -> str:
    """The index of a message that begins a conversation: a reserved byte, the time, and an id, in 22 bytes.

    https://learn.microsoft.com/office/client-developer/outlook/mapi/tracking-conversations
    """
    file_time = int((seconds + 11_644_473_600) * 10_000_000)  # since 1601, in units of 100 ns
    return base64.b64encode(b"\x01" + struct.pack(">Q", file_time)[1:6] + uuid.uuid4().bytes).decode()
