"""Batches: up to twenty calls in one request (Graph: "Combine multiple HTTP requests using JSON batching")."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from shared.domain.confined.headers import JSON
from shared.domain.confined.json_bodies import Json, member, write_json
from shared.domain.confined.refused import BadMailRequest

MAX_PARTS = 20
MAX_PART_ID_CHARACTERS = 256
# As long as the URL of a request by itself may be on Azure (functions host: Kestrel, MaxRequestLineSize 8 KiB).
MAX_URL_CHARACTERS = 8192
# RFC 3986 section 3.1. urlsplit would raise for some URLs, and leave characters out of others.
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
NOT_RELATIVE = (
    f"The url of a request in the batch has to be relative, such as /users/…/messages, and at most {MAX_URL_CHARACTERS}"
    " characters long"
)


@dataclass(frozen=True, slots=True)
class MailRequest:
    """One call: the path after `/v1.0/`, decoded once, and the headers with their names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class BatchPart:
    """One part. It is made after the parts that it `depends_on`, and not at all if one of them fails."""

    id: str
    request: MailRequest
    depends_on: tuple[str, ...]


def parse_batch(body: Json, here: str) -> Sequence[BatchPart]:
    """The parts of a batch, each after those that it depends on; `here` is Mailbind's own origin.

    Raises BadMailRequest, and then nothing is made.
    """
    requests = member(body, "requests")
    if not isinstance(requests, list) or not 0 < len(requests) <= MAX_PARTS:
        raise BadMailRequest(f"requests has to be a list of 1 to {MAX_PARTS} requests")
    parts = [_part(each, here) for each in requests]
    known: set[str] = set()
    for part in parts:
        if part.id in known:
            raise BadMailRequest("Two requests of the batch have the same id")
        # Graph wants dependencies before what depends on them, so there are no circles.
        if not known.issuperset(part.depends_on):
            raise BadMailRequest("dependsOn has to name requests that come before in the batch")
        known.add(part.id)
    return parts


def _part(value: object, here: str) -> BatchPart:
    identity, method, url = (member(value, name) for name in ("id", "method", "url"))
    if not all(isinstance(text, str) and text for text in (identity, method, url)):
        raise BadMailRequest("Each request of the batch needs id, method and url")
    if len(identity) > MAX_PART_ID_CHARACTERS:
        raise BadMailRequest("The id of a request in the batch is too long")
    depends_on = member(value, "dependsOn") or member(value, "depends_on") or []  # as msgraph-core for Python writes it
    if not isinstance(depends_on, list) or not all(isinstance(each, str) for each in depends_on):
        raise BadMailRequest("dependsOn has to be a list of ids")
    headers = member(value, "headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in headers.values()):
        raise BadMailRequest("headers has to be an object of texts")
    lower = {name.lower(): text for name, text in headers.items()}
    path, query = _path_and_query(url, here)
    body = _body(member(value, "body"), lower.get("content-type", JSON))
    return BatchPart(identity, MailRequest(method.upper(), path, query, lower, body), tuple(depends_on))


def _path_and_query(url: str, here: str) -> tuple[str, dict[str, str]]:
    """The path, decoded once as the host decodes one, and the query.

    A part's URL is relative to the version. msgraph-core for Python writes the whole address (BatchRequestItem).
    """
    relative = url.removeprefix(f"{here}/v1.0/")
    if len(url) > MAX_URL_CHARACTERS or relative.startswith("//") or SCHEME.match(relative) or "#" in relative:
        raise BadMailRequest(NOT_RELATIVE)
    path, _, query = relative.partition("?")
    try:
        options = parse_qsl(query, keep_blank_values=True, errors="strict")
        decoded = unquote(path, errors="strict")
        relative.encode()
    except UnicodeError:
        raise BadMailRequest("The url of a request in the batch is not UTF-8") from None
    if len({name.lower() for name, _ in options}) < len(options):
        raise BadMailRequest("The url of a request in the batch has an option twice")
    return decoded.removeprefix("/"), dict(options)


def _body(value: Any, content_type: str) -> bytes:  # noqa: ANN401 - any JSON
    """The body as it would be sent by itself. Bodies that are not JSON are base64 in a batch."""
    if value is None:
        return b""
    if content_type.partition(";")[0].strip().lower() == JSON:
        return write_json(value)
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise BadMailRequest("A body that is not JSON has to be base64 in a batch") from None
