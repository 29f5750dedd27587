"""Messages in MIME, which Graph takes as base64 (Graph: "Create message", "Send mail", MIME format)."""

import base64
import binascii
import re
from email.utils import getaddresses

from shared.domain.confined.refused import BadMailRequest, WrongSender
from shared.domain.formats import same_address

# RFC 5322 section 2.2: a field name is printable ASCII without a colon. A header section that is not exactly so could
# be read differently by Exchange.
# Some parsers end a line at other control characters (Python's str.splitlines), and would see a field after one.
FIELD = re.compile(rb"([!-9;-~]+):[^\x00-\x08\x0a-\x1f\x7f]*(?:\r?\n[ \t][^\x00-\x08\x0a-\x1f\x7f]*)*")
LINE_END = re.compile(rb"\r?\n")
# RFC 5322 sections 3.6.2 and 3.6.6: who wrote a message, who sent it, and who sent it again.
SENDER_FIELDS = frozenset({b"from", b"sender", b"resent-from", b"resent-sender"})
# Exchange's own limit of a header section (Exchange: "Set-ReceiveConnector", MaxHeaderSize).
MAX_HEADER_BYTES = 256 * 1024
WHITE_SPACE = b" \t\r\n"


def checked_mime(body: bytes, mailbox: str) -> bytes:
    """The body, base64 again, of a MIME message that is from the mailbox. Raises BadMailRequest and WrongSender."""
    try:
        message = base64.b64decode(body.translate(None, WHITE_SPACE), validate=True)
    except binascii.Error:
        raise BadMailRequest("A body of the type text/plain has to be a MIME message in base64") from None
    senders = [(name.lower(), value) for name, value in _fields(message[:MAX_HEADER_BYTES])]
    senders = [(name, value) for name, value in senders if name in SENDER_FIELDS]
    if len(dict(senders)) < len(senders):  # RFC 5322 section 3.6 allows one From and one Sender
        raise WrongSender(mailbox)
    for _, value in senders:
        _check_addresses(value, mailbox)
    return base64.b64encode(message)


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    fields, position = list[tuple[bytes, bytes]](), 0
    while not (end := LINE_END.match(head, position)):
        field = FIELD.match(head, position)
        if field is None or not (end := LINE_END.match(head, field.end())):
            raise BadMailRequest(
                "The headers of the MIME message are not well formed (RFC 5322 section 2.2), or over 256 KiB"
            )
        fields.append((field[1], field[0][len(field[1]) + 1 :]))
        position = end.end()
    return fields


def _check_addresses(value: bytes, mailbox: str) -> None:
    """One address, the mailbox's. Encoded words cannot stand in an address (RFC 2047 section 5)."""
    try:
        text = LINE_END.sub(b"", value).decode()
        addresses = [address for _, address in getaddresses([text], strict=True)]
    except (UnicodeDecodeError, RecursionError):  # groups in groups
        raise WrongSender(mailbox) from None
    if len(addresses) != 1 or not same_address(addresses[0], mailbox):
        raise WrongSender(mailbox)
