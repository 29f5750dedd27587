"""Ids of mail items: made, and checked before they are looked up.

An id is of one mailbox, and case matters. Ordinary ids change when an item is moved, immutable ones do not.
https://learn.microsoft.com/graph/outlook-immutable-id

The lengths and alphabets resemble Exchange's; apart from the prefixes, nothing in an id means anything to a client.
"""

import base64
import hashlib
import re
import secrets

from infra.local.tenant.failures import Refusal

ORDINARY, IMMUTABLE, CONVERSATION = "AAMkA", "AAkALgA", "AAQkA"
CONVERSATION_INDEX_BYTES = 22  # of the message that begins a conversation; each reply appends five
RANDOM_BYTES = 72  # makes ids of about 150 characters, as Exchange's are
FOLDER_RANDOM_BYTES = 30
WELL_FORMED = re.compile(r"AA(?:Mk|kA)[A-Za-z0-9_-]{30,}={0,2}")
OWNER = re.compile(f"(?:{ORDINARY}|{IMMUTABLE})" + "-?".join(f"([0-9a-f]{{{length}}})" for length in (8, 4, 4, 4, 12)))


def new_item_id(prefix: str, oid: str) -> str:
    """A new id of a message in the mailbox `oid`."""
    return _item_id(prefix, oid, secrets.token_bytes(RANDOM_BYTES))


def constant_item_id(prefix: str, oid: str, key: str) -> str:
    """The id of a message that the mailbox `oid` begins with. It is the same after a restart and a reset."""
    return _item_id(prefix, oid, hashlib.shake_256(key.encode()).digest(RANDOM_BYTES))


def _item_id(prefix: str, oid: str, distinction: bytes) -> str:
    return f"{prefix}{oid.replace('-', '')}{base64.urlsafe_b64encode(distinction).decode()}AAAAAAEMAAA="


def new_folder_id(oid: str) -> str:
    """A new id of a folder that a client creates. A folder keeps its id when it is moved."""
    return f"{ORDINARY}{oid.replace('-', '')}{secrets.token_urlsafe(FOLDER_RANDOM_BYTES)}AAA="


def well_known_folder_id(oid: str, code: str) -> str:
    """The id of a folder that every mailbox has: the same for all names of the mailbox, and at any time."""
    return f"{ORDINARY}{oid.replace('-', '')}AAAAAAE{code}AAA="


def conversation_id(oid: str, conversation_index: str) -> str:
    """The id that a conversation has in the mailbox `oid`. Replies continue the index of the first message.

    https://learn.microsoft.com/office/client-developer/outlook/mapi/tracking-conversations
    """
    beginning = base64.b64decode(conversation_index)[:CONVERSATION_INDEX_BYTES]
    return f"{CONVERSATION}{oid.replace('-', '')}{base64.urlsafe_b64encode(beginning).decode().rstrip('=')}AA="


def check_id(item_id: str, oid: str) -> None:
    """Check an id from a request to the mailbox `oid`.

    Raises the Refusals ErrorInvalidIdMalformed and, for an id of another mailbox, ErrorInvalidMailboxItemId. Public
    reports of the live service describe both.
    """
    if not WELL_FORMED.fullmatch(item_id):
        raise Refusal("ErrorInvalidIdMalformed")
    owner = OWNER.match(item_id)
    if owner and "-".join(owner.groups()) != oid:
        raise Refusal("ErrorInvalidMailboxItemId", item=item_id, mailbox=oid)
