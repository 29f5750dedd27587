"""Requests of a caller of one mailbox who tries everything: paths, queries, headers, bodies, MIME, and batches."""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

from shared.domain.confined.operations import OPERATIONS, BodyKind, MailOperation
from tests.confined.conftest import BOARD, SALES, SUPPORT
from tests.confined.instance import Sent

PIECES = (
    "", ".", "..", "%2e%2e", "%252e%252e", "..;", "..%2f", "%5c", "\\", "%00", "%0d%0aHost:x", "%ff", "%zz",
    "\uff0e\uff0e", "\u2025",
    "users", "me", "v1.0", "beta", "$batch", "$ref", "$value", "$count", "$metadata", "$root", "delta", "delta()",
    "microsoft.graph.delta()", "microsoft.graph.eventMessage", "event", "messages", "mailFolders", "childFolders",
    "attachments", "inbox", "drafts", "sentitems", "move", "copy", "send", "reply", "createReply",
    "createUploadSession",
    "permanentDelete", "messageRules", "mailboxSettings", "calendar", "https:", "https://graph.microsoft.com",
    "sendMail",
    "\uff4dessages", "me\u017f\u017fages", "mailFolder\u017f", "(", "')", "users('sales@contoso.example')", "@odata.id",
)  # fmt: skip
METHODS = ("GET", "GET", "GET", "POST", "POST", "PATCH", "DELETE", "PUT", "HEAD", "get", "MERGE", "OPTIONS", "")
OPTIONS = (
    "$select", "$filter", "$search", "$orderby", "$top", "$skip", "$count", "$expand", "$skiptoken", "$deltatoken",
    "changeType", "includeHiddenFolders", "top", "EXPAND", "$format", "$id", "@p", "$apply", "api-version", "$$top",
)  # fmt: skip
VALUES = (
    "1", "true", "*", "id", "id,subject", "subject eq 'x'", "attachments", "attachments($select=id)", "event",
    "microsoft.graph.eventMessage/event", "microsoft.graph.itemattachment/item", "childFolders", "extensions",
    f"id in $root/users('{SALES}')/messages", "'", '"', "');$root", "subject eq '\u0000'", "x%26$expand=event", "a&b",
    "\r\nHost: x",
    "singleValueExtendedProperties($filter=id eq 'String 0x0065')", "attachments($expand=item)", '"from:sales"',
)  # fmt: skip
HEADERS = (
    "authorization2", "x-anchormailbox", "host", "cookie", "x-http-method-override", "x-http-method", "prefer",
    "if-match",
    "consistencylevel", "x-original-url", "x-forwarded-host", "forwarded", "x-ms-client-principal", "client-request-id",
    "x-correlation-id", "traceparent", "accept", "accept-encoding", "content-encoding", "transfer-encoding", "range",
    "content-type", "x-waws-unencoded-url", "x-routing-mailbox", "odata-version", "expect", "return-client-request-id",
)  # fmt: skip
HEADER_VALUES = (
    SALES, "DELETE", "/v1.0/users/sales@contoso.example/messages", "gzip", "*", 'W/"abc="', 'IdType="ImmutableId"',
    'outlook.body-content-type="text", odata.maxpagesize=1', "eventual", "bytes=0-1", "chunked", "text/plain",
    "application/json", "application/json; charset=utf-16", "multipart/mixed", "\u20ac",
    "respond-async, return=minimal",
)  # fmt: skip
NAMES = (
    "message", "Message", "from", "From", "fr\u006fm", "sender", "SENDER", "\u017fender", "emailAddress",
    "EmailAddress",
    "address", "Address", "name", "subject", "body", "content", "contentType", "toRecipients", "replyTo", "attachments",
    "item", "contentBytes", "@odata.type", "@odata.id", "@odata.bind", "from@odata.bind", "@odata.etag", "@id", "id",
    "singleValueExtendedProperties", "multiValueExtendedProperties", "value", "internetMessageHeaders", "destinationId",
    "saveToSentItems", "comment", "displayName", "isRead", "flag", "parentFolderId", "isDraft", "requests", "url",
)  # fmt: skip
TEXTS = (
    SALES, SUPPORT, BOARD, SUPPORT.upper(), f"{SUPPORT} <{SALES}>", "inbox", "drafts", "text",
    "#microsoft.graph.message",
    "#microsoft.graph.fileAttachment", "#microsoft.graph.itemAttachment", "#microsoft.graph.referenceAttachment",
    "#microsoft.graph.eventMessage", "String 0x0065", "String 0x1035", "String 0x0C1F", "x-one", "From",
    "String {00020386-0000-0000-C000-000000000046} Name From",
    "String {00020328-0000-0000-C000-000000000046} Id 0x0065",
    "String {00020329-0000-0000-C000-000000000046} Name x", "https://graph.microsoft.com/v1.0/me", "aGVsbG8=",
)  # fmt: skip
FIELDS = (
    "From", "from", "Sender", "Resent-From", "Reply-To", "To", "Subject", "Content-Type", "From ", "\tFrom",
    "Fro\u00a0m",
    "X-Sender", "Return-Path", "Bcc", "",
)  # fmt: skip
FIELD_VALUES = (
    SALES, SUPPORT, f"Support <{SUPPORT}>", f"{SUPPORT}, {SALES}", f'"{SUPPORT}" <{SALES}>', f"<{SALES}> {SUPPORT}",
    f"{SUPPORT}\r\n ,{SALES}", f"{SUPPORT}\r\n\r\n", f"x\rFrom: {SALES}", f"x\nFrom: {SALES}", f"({SUPPORT}) {SALES}",
    f"a:{SALES};", f"=?utf-8?q?{SALES.replace('@', '=40')}?=", f"{SUPPORT}\0", "x" * 2000, ":" * 1500,
    "customer@fabrikam.example",
)  # fmt: skip
LINE_ENDS = ("\r\n", "\n", "\r", "\r\n\r\n", "\u2028", "\x0b")


ODD_BODIES = (
    b"{}", b"[]", b"\xff\xfe{", b'{"a":1,"A":2}', b'{"from":1e400}', b"[" * 9000, b'{"a":' * 9000 + b"1" + b"}" * 9000,
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """Ids of the mailbox, and of the other one; and links of both."""

    ids: tuple[str, ...]
    links: tuple[str, ...]


@dataclass(frozen=True)
class Attacker:
    """Makes requests at random. What it starts from is right, so that many of them reach Graph."""

    random: Random
    known: Known

    def request(self) -> Sent:
        """A request of any kind, or a batch of some."""
        return self.single() if self._chance(0.8) else self._batch()

    def single(self) -> Sent:
        """A request by itself."""
        if self._chance(0.05):
            return self._sent("GET", self.random.choice(self.known.links), "", b"")
        row = self.random.choice(OPERATIONS)
        path, method = self._path(row), str(row.method)
        content_type, body = self._body(row.body)
        if self._chance(0.25):
            path, method = self._mutated(path), self.random.choice((method, *METHODS))
        if self._chance(0.05):
            path = "/v1.0/" + "/".join(self._several((*PIECES, *self.known.ids, SUPPORT, SALES), 7))
        return self._sent(method, path, content_type, body)

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _several[T](self, values: Sequence[T], at_most: int) -> list[T]:
        return self.random.choices(values, k=self.random.randint(0, at_most))

    def _any_text(self) -> str:
        """Also with control characters and surrogates, which JSON can write."""
        return "".join(chr(self.random.choice((*range(128), 0xA0, 0x131, 0xD800, 0xFF0E, 0x1F600))) for _ in range(4))

    def _path(self, row: MailOperation) -> str:
        """The path of a row, in the mailbox or in another, with ids of both."""
        others = ("support", SUPPORT.upper(), SALES, "sales", BOARD, "me", f"{SUPPORT};{SALES}", f"users('{SALES}')")
        mailbox = SUPPORT if self._chance(0.8) else self.random.choice(others)
        shape = self.random.choice(row.shapes).split("/")
        return f"/v1.0/users/{mailbox}/" + "/".join(self._id() if part.startswith("{") else part for part in shape)

    def _id(self) -> str:
        identity = self.random.choice(self.known.ids)
        return quote(identity, safe="") if self._chance(0.3) else identity

    def _mutated(self, path: str) -> str:
        parts = path.split("/")
        place = self.random.randrange(len(parts))
        return "/".join([*parts[:place], self.random.choice(PIECES), *parts[place + self.random.randint(0, 1) :]])

    def _sent(self, method: str, path: str, content_type: str, body: bytes) -> Sent:
        tokens = [link.rpartition("token=")[2] for link in self.known.links]
        query = {} if self._chance(0.6) else self._members(OPTIONS, (*VALUES, *tokens), 3)
        pairs = "&".join(f"{name}={quote(value, errors='surrogatepass')}" for name, value in query.items())
        headers = {} if self._chance(0.6) else self._members(HEADERS, HEADER_VALUES, 4)
        target = f"{path}{'&' if '?' in path else '?'}{pairs}" if pairs else path
        return Sent(target, method, {"content-type": content_type, **headers} if body else headers, body)

    def _members(self, names: Sequence[str], values: Sequence[str], at_most: int) -> dict[str, str]:
        texts = values if self._chance(0.9) else (self._any_text(),)
        return {name: self.random.choice(texts) for name in self._several(names, at_most)}

    def _body(self, kind: BodyKind) -> tuple[str, bytes]:
        if kind is BodyKind.NONE and self._chance(0.95):
            return "", b""
        if self._chance(0.15):
            return "text/plain", self._mime()
        if self._chance(0.05):
            return "application/json", self.random.choice(ODD_BODIES)
        return "application/json", json.dumps(self._document(kind)).encode()

    def _document(self, kind: BodyKind) -> Any:
        """A body as Graph documents it, most often with something in it that is not."""
        message = {"subject": "x", "toRecipients": [_recipient("a@fabrikam.example")]}
        attachment = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": "aGVsbG8="}
        documents: dict[BodyKind, dict[str, Any]] = {
            BodyKind.DRAFT: message,
            BodyKind.CHANGES: message,
            BodyKind.FOLDER: {"displayName": self._any_text()},
            BodyKind.ATTACHMENT: attachment,
            BodyKind.DESTINATION: {"destinationId": self.random.choice(self.known.ids)},
            BodyKind.SENT_MESSAGE: {"message": message},
            BodyKind.REPLY: {"comment": "x", "message": {}},
            BodyKind.FORWARD: {"comment": "x", "toRecipients": [_recipient(SALES)]},
        }
        whole = documents.get(kind, {})
        inner = whole.get("message", whole)
        if self._chance(0.3):
            inner[self.random.choice(("from", "sender", "From"))] = _recipient(self.random.choice(TEXTS))
        if self._chance(0.1):
            properties = [{"id": self.random.choice(TEXTS), "value": SALES}]
            inner["singleValueExtendedProperties"] = properties
        if self._chance(0.1):
            inner["attachments"] = [{**attachment, self.random.choice(NAMES): self._tree(3)}]
        if self._chance(0.2):
            self.random.choice((whole, inner))[self.random.choice(NAMES)] = self._tree(4)
        return whole if self._chance(0.95) else self._tree(6)

    def _tree(self, depth: int) -> Any:
        leaves = (
            None,
            True,
            0,
            -1,
            10**30,
            1.5,
            math.inf,
            self._any_text(),
            *TEXTS,
            self.random.choice(self.known.ids),
        )
        if not depth or self._chance(0.4):
            return self.random.choice(leaves)
        if self._chance(0.3):
            return [self._tree(depth - 1) for _ in range(self.random.randint(0, 3))]
        return {self.random.choice(NAMES): self._tree(depth - 1) for _ in range(self.random.randint(0, 4))}

    def _mime(self) -> bytes:
        lines = [
            f"{self.random.choice(FIELDS)}: {self.random.choice(FIELD_VALUES)}{self.random.choice(LINE_ENDS)}"
            for _ in range(self.random.choice((0, 0, 1, 2, 3)))
        ]
        message = f"To: a@fabrikam.example\r\nFrom: {SUPPORT}\r\n{''.join(lines)}\r\nHello"
        return base64.b64encode(message.encode()) if self._chance(0.95) else self.random.randbytes(9)

    def _batch(self) -> Sent:
        parts = [self._part(number, self.single()) for number in range(self.random.randint(0, 6))]
        body = json.dumps({"requests": parts}).encode()
        return Sent("/v1.0/$batch", "POST", {"content-type": "application/json"}, body)

    def _part(self, number: int, sent: Sent) -> dict[str, Any]:
        part = {
            "id": str(number) if self._chance(0.98) else self.random.choice(("0", "\ud800")),
            "method": sent.method or "GET",
            "url": sent.target.removeprefix("/v1.0") if self._chance(0.95) else self._any_text(),
            "headers": dict(sent.headers),
        }
        if number and self._chance(0.2):
            part["dependsOn"] = ["0"]
        return part | ({"body": _body_in_batch(sent)} if sent.body else {})


def _recipient(address: str) -> dict[str, Any]:
    return {"emailAddress": {"address": address}}


def _body_in_batch(sent: Sent) -> Any:
    try:
        return json.loads(sent.body) if sent.headers["content-type"] == "application/json" else "x"
    except (ValueError, RecursionError):
        return base64.b64encode(sent.body).decode()
