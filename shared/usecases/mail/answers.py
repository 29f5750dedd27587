"""Answers of Graph as callers get them: the links lead back here, and are valid for one account."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from shared.domain.account import Account
from shared.domain.confined.answers import NextLink, link_here, localize, localized_text
from shared.domain.confined.headers import JSON, headers_for_caller
from shared.domain.confined.json_bodies import STRING
from shared.domain.confined.operations import AnswerKind
from shared.domain.confined.paths import MatchedPath
from shared.domain.confined.queries import SEALED_OPTIONS, encoded_query
from shared.domain.confined.refused import AnswerNotUnderstood, AnswerTooDense
from shared.domain.formats import normalize_address, table_key
from shared.domain.secret import Secret
from shared.ports import App
from shared.ports.mail import GraphAnswer
from shared.usecases.mail.graph_mailbox import GraphMailbox

# Also those in texts, which are few in comparison. To decode, to walk and to encode so many takes half a second, in
# which nothing else runs; 32 MiB have room for three times as many.
MAX_OBJECTS = 250_000
TEXT_IN_JSON = re.compile(STRING, re.DOTALL)
# Halves of surrogate pairs, as JSON may write them.
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
BYTES, TEXT = "application/octet-stream", "text/plain"
# Mail content must never run on the origin that holds the sign-in cookie.
CONTENT_HEADERS = {"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox; default-src 'none'"}


@dataclass(frozen=True, slots=True)
class MailAnswer:
    """An answer for the caller. Without a `media_type` it has no body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    media_type: str | None = None


async def answer_here(app: App, mailbox: GraphMailbox, matched: MatchedPath, answer: GraphAnswer) -> MailAnswer:
    """The answer of a call. Raises AnswerNotUnderstood for one that is not as Graph documents it."""
    headers = headers_for_caller(answer.headers)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        return MailAnswer(answer.status, headers, _error_here(app, mailbox, answer), JSON)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise AnswerNotUnderstood
    match matched.operation.answer:
        case AnswerKind.BYTES:
            return MailAnswer(answer.status, {**headers, **CONTENT_HEADERS}, answer.body, BYTES)
        case AnswerKind.NUMBER:
            # Graph sends a byte order mark before the number.
            return MailAnswer(answer.status, headers, _number(answer.body), TEXT)
        case AnswerKind.JSON if answer.body:
            return MailAnswer(answer.status, headers, await _json_here(app, mailbox, matched, answer.body), JSON)
    return MailAnswer(answer.status, headers)


def link_identity(account: Account, option: str) -> str:
    """What the value of a link's option is sealed for: it opens for this account as long as it has this mailbox."""
    return f"link|{table_key(account.id)}|{normalize_address(account.email)}|{option}"


async def _json_here(app: App, mailbox: GraphMailbox, matched: MatchedPath, body: bytes) -> bytes:
    document = decoded(body)
    for link in localize(document, mailbox.cloud.graph, app.config.base_url):
        link.place[link.name] = await _link_here(app, mailbox.account, matched.mailbox, link)
    return json.dumps(document, separators=(",", ":")).encode()


async def _link_here(app: App, account: Account, written: str, link: NextLink) -> str:
    options = dict(link.options)
    for name in SEALED_OPTIONS & options.keys():
        options[name] = await app.sealing.sealer.seal(link_identity(account, name), Secret(options[name]))
    return link_here(link, app.config.base_url, written, encoded_query(options))


def _error_here(app: App, mailbox: GraphMailbox, answer: GraphAnswer) -> bytes:
    """Graph's error, or one in its form if the answer came from something before Graph."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("error"), dict):
        message = f"Microsoft answered {answer.status} without a reason"
        document = {"error": {"code": "UnknownError", "message": message}}
    return localized_text(json.dumps(document), mailbox.cloud.graph, app.config.base_url).encode()


def decoded(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of an answer. Raises AnswerNotUnderstood, and AnswerTooDense.

    Exchange counts a letter beyond U+FFFF as two, so a text that it cuts may end with half of one. Half a letter cannot
    be written in UTF-8 (RFC 3629 section 3), and becomes a question mark.
    """
    # Brackets in texts count only until there are many: a stranger may have written them.
    if _brackets(body) > MAX_OBJECTS and _brackets(TEXT_IN_JSON.sub(b"", body)) > MAX_OBJECTS:
        raise AnswerTooDense(MAX_OBJECTS)
    try:
        document = json.loads(body)
        if SURROGATE.search(body):
            document = json.loads(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        raise AnswerNotUnderstood from None
    return document


def _brackets(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")


def _number(body: bytes) -> bytes:
    digits = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not digits.isdigit():
        raise AnswerNotUnderstood
    return digits
