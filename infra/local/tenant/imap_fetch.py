"""IMAP's FETCH: what clients ask of a message, made of its MIME (RFC 3501 sections 6.4.5 and 7.4.2)."""

import email.message
import imaplib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import getaddresses
from functools import cached_property

from infra.local.tenant.mail.entities import Message
from infra.local.tenant.mail.mime import mime_of

ITEM = re.compile(r"BODY(?:\.PEEK)?\[[^\]]*\](?:<\d+\.\d+>)?|[A-Z0-9.]+", re.IGNORECASE)
SECTION = re.compile(
    r"(?:BODY(?P<peek>\.PEEK)?\[(?P<part>[^\]]*)\])(?:<(?P<first>\d+)\.(?P<count>\d+)>)?", re.IGNORECASE
)
HEADER_FIELDS = re.compile(r"HEADER\.FIELDS(?P<others>\.NOT)? \((?P<names>[^)]*)\)", re.IGNORECASE)
MACROS = {
    "FAST": "FLAGS INTERNALDATE RFC822.SIZE",
    "ALL": "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE",
}
# The older names of sections. Unlike BODY[HEADER], RFC822.HEADER does not set \Seen.
SECTIONS = {"RFC822": "BODY[]", "RFC822.HEADER": "BODY.PEEK[HEADER]", "RFC822.TEXT": "BODY[TEXT]"}
HEADER_END = b"\r\n\r\n"
NIL = b"NIL"


class UnknownItemError(ValueError):
    """The client asked for a data item that this server does not have."""


@dataclass
class Fetched:
    """One message while its data items are collected. `has_read`: one of them sets the flag Seen."""

    message: Message
    uid: int
    flags: Callable[[], str] = field(repr=False)
    has_read: bool = False

    @cached_property
    def mime(self) -> bytes:
        """The message in RFC 5322 format."""
        return mime_of(self.message)

    @cached_property
    def headers(self) -> email.message.Message:
        """Its headers as they are in the MIME content."""
        return email.message_from_bytes(self.mime)

    def data(self, item: str) -> bytes:
        """A data item with its value. Raises UnknownItemError."""
        match item:
            case "FLAGS":
                return f"FLAGS ({self.flags()})".encode()
            case "UID":
                return f"UID {self.uid}".encode()
            case "INTERNALDATE":
                received = datetime.fromisoformat(self.message.properties["receivedDateTime"])
                return f"INTERNALDATE {imaplib.Time2Internaldate(received)}".encode()
            case "RFC822.SIZE":
                return f"RFC822.SIZE {len(self.mime)}".encode()
            case "ENVELOPE":
                return b"ENVELOPE " + envelope(self.headers)
        return self._section(item)

    def _section(self, item: str) -> bytes:
        section = SECTION.fullmatch(SECTIONS.get(item, item))
        if section is None:
            raise UnknownItemError(item)
        self.has_read |= section["peek"] is None
        content = self._part(section["part"])
        name = item if item in SECTIONS else f"BODY[{section['part']}]"
        if section["first"] is not None:
            first = int(section["first"])
            name, content = f"{name}<{first}>", content[first : first + int(section["count"])]
        return f"{name} ".encode() + literal(content)

    def _part(self, part: str) -> bytes:
        header, _, text = self.mime.partition(HEADER_END)
        fields = HEADER_FIELDS.fullmatch(part)
        if fields:
            names = fields["names"].lower().split()
            lines = [f"{name}: {value}\r\n" for name, value in self.headers.items() if _is_asked(name, names, fields)]
            return "".join(lines).encode(errors="surrogateescape") + b"\r\n"
        match part.upper():
            case "":
                return self.mime
            case "HEADER":
                return header + HEADER_END
            case "TEXT":
                return text
        raise UnknownItemError(part)


def read_items(text: str) -> list[str]:
    """The names of data items; macros are replaced."""
    items = ITEM.findall(MACROS.get(text.strip().upper(), text))
    return [item if "[" in item else item.upper() for item in items]


def envelope(headers: email.message.Message) -> bytes:
    """The envelope structure. Sender and Reply-To are From, if they are missing."""
    author = headers["From"]
    addresses = (
        author,
        headers["Sender"] or author,
        headers["Reply-To"] or author,
        *map(headers.get, ("To", "Cc", "Bcc")),
    )
    fields = [
        _string(headers["Date"]),
        _string(headers["Subject"]),
        *map(_addresses, addresses),
        _string(headers["In-Reply-To"]),
        _string(headers["Message-ID"]),
    ]
    return b"(" + b" ".join(fields) + b")"


def literal(content: bytes) -> bytes:
    """A string as a literal (RFC 3501 section 4.3)."""
    return f"{{{len(content)}}}\r\n".encode() + content


def _addresses(header: object) -> bytes:
    found = [(name, *address.rpartition("@")[::2]) for name, address in getaddresses([str(header or "")]) if address]
    structures = [
        b"(" + b" ".join((_string(name), NIL, _string(user), _string(host))) + b")" for name, user, host in found
    ]
    return b"(" + b"".join(structures) + b")" if structures else NIL


def _string(value: object) -> bytes:
    if not value:
        return NIL
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'.encode("ascii", errors="replace")


def _is_asked(name: str, names: list[str], fields: re.Match[str]) -> bool:
    return (name.lower() in names) is (fields["others"] is None)
