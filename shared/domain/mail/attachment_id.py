"""Ids of attachments: one segment of a path that says which attachment of which message, as EmailEngine writes it.

It is base64url of msgpack, `[message id, attachment id]` (github.com/msgpack/msgpack, spec.md: array and str formats).
"""

import base64
import binascii
from typing import NamedTuple

from shared.domain.confined.paths import ID_PATTERN
from shared.domain.errors import NotFound

ARRAY_OF_TWO = b"\x92"
SHORT_TEXT, TEXT_8, TEXT_16 = 0xA0, 0xD9, 0xDA
MAX_SHORT, MAX_8 = 31, 0xFF


class AttachmentId(NamedTuple):
    """The ids that Graph gave the message and its attachment."""

    message: str
    attachment: str


def attachment_id(message: str, attachment: str) -> str:
    """The id of an attachment, for callers."""
    packed = ARRAY_OF_TWO + _packed(message) + _packed(attachment)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_attachment_id(text: str) -> AttachmentId:
    """What `attachment_id` wrote. Raises NotFound for anything else."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
        read = AttachmentId(*_unpacked(packed))
    except (ValueError, binascii.Error, IndexError, TypeError):
        raise NotFound("No such attachment in this mailbox") from None
    # One spelling for each attachment, and ids that may be segments of a path.
    if attachment_id(*read) != text or not all(ID_PATTERN.fullmatch(each) for each in read):
        raise NotFound("No such attachment in this mailbox")
    return read


def _packed(text: str) -> bytes:
    content = text.encode()
    length = len(content)
    if length <= MAX_SHORT:
        return bytes([SHORT_TEXT | length]) + content
    if length <= MAX_8:
        return bytes([TEXT_8, length]) + content
    return bytes([TEXT_16]) + length.to_bytes(2) + content


def _unpacked(packed: bytes) -> list[str]:
    """The texts of an array, whatever their number."""
    rest, texts = packed.removeprefix(ARRAY_OF_TWO), []
    while rest:
        size = {TEXT_8: 1, TEXT_16: 2}.get(rest[0], 0)
        length = int.from_bytes(rest[1 : 1 + size]) if size else rest[0] - SHORT_TEXT
        if length < 0:
            raise ValueError(length)
        end = 1 + size + length
        texts.append(rest[1 + size : end].decode())
        rest = rest[end:]
    return texts
