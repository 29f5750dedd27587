"""Messages in MIME, which Graph takes as base64 (Graph: "Create message", "Send mail", MIME format)."""

import base64
import binascii
import re
from email.utils import getaddresses

from shared.domain.confined.refused import BadMailRequest, WrongSender
from shared.domain.formats import same_address

# RFC 5322 section 2.2: a field name is printable ASCII without a colon. A header section that is not exactly so could
# be read differently by Exchange.
FIELD = re.compile(rb"([!-9;-~]+):[^\x00\r\n]*(?:\r?\n[ \t][^\x00\r\n]*)*")
LINE_END = re.compile(rb"\r?\n")
# RFC 5322 sections 3.6.2 and 3.6.6: who wrote a message, who sent it, and who sent it again.
SENDER_FIELDS = frozenset({b"from", b"sender", b"resent-from", b"resent-sender"})


def checked_mime(body: bytes, mailbox: str) -> bytes:
    """The body, base64 again, of a MIME message that is from the mailbox. Raises BadMailRequest and WrongSender."""
    try:
        message = base64.b64decode(re.sub(rb"\s", b"", body), validate=True)
    except binascii.Error:
        raise BadMailRequest("A body of the type text/plain has to be a MIME message in base64") from None
    for name, value in _fields(message):
        if name.lower() in SENDER_FIELDS:
            _check_addresses(value, mailbox)
    return base64.b64encode(message)


def _fields(message: bytes) -> list[tuple[bytes, bytes]]:
    fields, position = list[tuple[bytes, bytes]](), 0
    while not (end := LINE_END.match(message, position)):
        field = FIELD.match(message, position)
        if field is None or not (end := LINE_END.match(message, field.end())):
            raise BadMailRequest("The headers of the MIME message are not well formed (RFC 5322 section 2.2)")
        fields.append((field[1], field[0][len(field[1]) + 1 :]))
        position = end.end()
    return fields


def _check_addresses(value: bytes, mailbox: str) -> None:
    """One address, the mailbox's. Encoded words cannot stand in an address (RFC 2047 section 5)."""
    try:
        text = LINE_END.sub(b"", value).decode()
    except UnicodeDecodeError:
        raise WrongSender(mailbox) from None
    addresses = [address for _, address in getaddresses([text], strict=True)]
    if len(addresses) != 1 or not same_address(addresses[0], mailbox):
        raise WrongSender(mailbox)
