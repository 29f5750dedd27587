"""Batches: up to twenty calls in one request (Graph: "Combine multiple HTTP requests using JSON batching")."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from shared.domain.confined.headers import JSON
from shared.domain.confined.json_bodies import Json, member
from shared.domain.confined.refused import BadMailRequest

MAX_PARTS = 20
MAX_PART_ID_CHARACTERS = 256


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
    parts = urlsplit(relative)
    if parts.scheme or parts.netloc or parts.fragment or relative.startswith("//"):
        raise BadMailRequest("The url of a request in the batch has to be relative, such as /users/…/messages")
    query: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name.lower() in {known.lower() for known in query}:
            raise BadMailRequest("The url of a request in the batch has an option twice")
        query[name] = value
    return _decoded(parts.path).removeprefix("/"), query


def _decoded(path: str) -> str:
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise BadMailRequest("The url of a request in the batch is not UTF-8") from None


def _body(value: Any, content_type: str) -> bytes:  # noqa: ANN401 - any JSON
    """The body as it would be sent by itself. Bodies that are not JSON are base64 in a batch."""
    if value is None:
        return b""
    if content_type.partition(";")[0].strip().lower() == JSON:
        return json.dumps(value).encode()
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise BadMailRequest("A body that is not JSON has to be base64 in a batch") from None
