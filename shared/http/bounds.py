"""Limits that every request has to meet before it is parsed: sizes, counts, and the media type of the body."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPMethod
from urllib.parse import parse_qs, parse_qsl

import azure.functions as func

from shared.http.refusals import (
    HeadersTooLarge,
    LengthRequired,
    NoSuchRoute,
    TooLarge,
    UnsupportedMediaType,
    UriTooLong,
)

KIB = 1024
MAX_BODY_BYTES = 64 * KIB
MAX_MAIL_BODY_BYTES = 4096 * KIB  # the largest REST request that Microsoft Graph accepts
MAX_FORM_FIELDS = 64
# Below the limits of the platform's web server, which refuses without an explanation (Kestrel:
# MaxRequestHeadersTotalSize 32 KiB, MaxRequestHeaderCount 100, MaxRequestLineSize 8 KiB).
MAX_HEADERS_BYTES = 24 * KIB
MAX_HEADERS = 80
MAX_QUERY_BYTES = 6 * KIB
MAX_COOKIES_BYTES = 8 * KIB
MAX_QUERY_PARAMETERS = 64
MAX_SEGMENT_CHARACTERS = 256  # of a route's parameter, as long as an account's id may be
MAX_MAIL_PATH_CHARACTERS = 2048  # of a catch-all: an id of Graph takes some 150 characters, and a path has up to four
MAX_LENGTH_DIGITS = 9  # of a Content-Length; a longer one is over any limit
# The front end of a deployed app decodes paths, even slashes and backslashes (azure-functions-host issue 3998,
# dotnet/aspnetcore issue 40532). This header has the URL as it was sent.
SENT_URL_HEADER = "X-WAWS-Unencoded-URL"
ENCODED_SLASH = re.compile(r"%2f|%5c|\\", re.IGNORECASE)
WITHOUT_BODY = {HTTPMethod.GET, HTTPMethod.HEAD}
WITH_BODY = {HTTPMethod.POST, HTTPMethod.PUT, HTTPMethod.PATCH}


class BodyType(StrEnum):
    """The media types of a route's body: JSON for the API, forms for browsers. The API accepts flat forms too.

    A call to Graph's mail has JSON, or MIME in base64 as plain text (Graph: "Send Outlook messages, MIME format").
    """

    JSON = "application/json"
    FORM = "application/x-www-form-urlencoded"
    MAIL = "application/json or text/plain"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a route accepts: the type and size of its body, and the length of each parameter of its path.

    `advice` says what to do about a body that is too large.
    """

    body_type: BodyType
    max_body_bytes: int = MAX_BODY_BYTES
    max_parameter_characters: int = MAX_SEGMENT_CHARACTERS
    advice: str = ""


API_BOUNDS, PAGE_BOUNDS = Bounds(BodyType.JSON), Bounds(BodyType.FORM)
MAIL_BOUNDS = Bounds(BodyType.MAIL, MAX_MAIL_BODY_BYTES, MAX_MAIL_PATH_CHARACTERS)
# Ids of messages and attachments are longer than those of accounts, and a message may come with attachments.
MAIL_ID_BOUNDS = Bounds(BodyType.JSON, max_parameter_characters=MAX_MAIL_PATH_CHARACTERS)
# A search may be a thousand ids.
SEARCH_BOUNDS = Bounds(BodyType.JSON, MAX_MAIL_BODY_BYTES)
MESSAGE_BOUNDS = Bounds(
    BodyType.JSON,
    MAX_MAIL_BODY_BYTES,
    MAX_MAIL_PATH_CHARACTERS,
    ". Create a draft with POST /v1/account/{account}/message, add files of less than 3 MB one by one with"
    " POST /v1.0/users/{mailbox}/messages/{message}/attachments, and submit it; or attach stored files by reference",
)


def check_bounds(req: func.HttpRequest, bounds: Bounds) -> None:
    """Raise HeadersTooLarge, UriTooLong, NoSuchRoute, TooLarge, LengthRequired or UnsupportedMediaType."""
    _check_headers(req.headers)
    _check_path_and_query(req, bounds.max_parameter_characters)
    _check_body(req, bounds)


def has_encoded_slash(req: func.HttpRequest) -> bool:
    """Whether the path was sent with a slash or backslash inside a segment, which no id has.

    If the front end decodes it, the request arrives at another route than the one that was meant: a caller who reads
    the account `x%2Foauth-token` would be handed a token of the account `x`.
    """
    path: str = req.headers.get(SENT_URL_HEADER, "").partition("?")[0]
    return ENCODED_SLASH.search(path) is not None


def is_form(req: func.HttpRequest) -> bool:
    """Whether the body is a form."""
    return _media_type(req.headers.get("Content-Type", "")) == BodyType.FORM


def read_form(req: func.HttpRequest, names: Iterable[str]) -> dict[str, str]:
    """The fields with these names, of a body that has passed `check_bounds`. Others are ignored.

    A form that repeats one of them counts as empty (RFC 6749 section 3.1: parameters must not be repeated).
    """
    known, fields = set(names), dict[str, str]()
    for name, value in parse_qsl(req.get_body().decode(errors="replace"), keep_blank_values=True):
        if name in fields:
            return {}
        if name in known:
            fields[name] = value
    return fields


def read_flat_body(req: func.HttpRequest) -> dict[str, str | list[str]]:
    """All fields of a form that stands for a JSON object; one that is repeated is a list."""
    fields = parse_qs(req.get_body().decode(errors="replace"), keep_blank_values=True)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _check_headers(headers: Mapping[str, str]) -> None:
    if len(headers) > MAX_HEADERS or _size(headers) > MAX_HEADERS_BYTES:
        raise HeadersTooLarge("The headers are larger than 24 KiB, or there are more than 80")
    if len(headers.get("Cookie", "")) > MAX_COOKIES_BYTES:
        raise HeadersTooLarge("The cookies are larger than 8 KiB. Delete this site's cookies and try again")


def _check_path_and_query(req: func.HttpRequest, max_parameter_characters: int) -> None:
    if len(req.params) > MAX_QUERY_PARAMETERS or _size(req.params) > MAX_QUERY_BYTES:
        raise UriTooLong("The query is larger than 6 KiB, or has more than 64 parameters")
    if any(len(value) > max_parameter_characters for value in req.route_params.values()):
        raise UriTooLong(f"A segment of the path is longer than {max_parameter_characters} characters")
    if has_encoded_slash(req):
        raise NoSuchRoute


def _check_body(req: func.HttpRequest, bounds: Bounds) -> None:
    body, announced = req.get_body(), req.headers.get("Content-Length", "")
    if len(body) > bounds.max_body_bytes or _is_larger(announced, bounds.max_body_bytes):
        raise TooLarge(f"The body is larger than {bounds.max_body_bytes // KIB} KiB{bounds.advice}")
    # The host hands a chunked body over as an empty one, so what looks like no body may be one that is missing.
    if not body and req.method in WITH_BODY and "Transfer-Encoding" in req.headers:
        raise LengthRequired
    if not body or req.method in WITHOUT_BODY:
        return
    if not _fits(req.headers.get("Content-Type", ""), bounds.body_type):
        raise UnsupportedMediaType(f"The body has to be {bounds.body_type.value}, and Content-Type has to say so")
    # Counted, not parsed: parsing a million fields would hold up everybody else.
    if is_form(req) and body.count(b"&") >= MAX_FORM_FIELDS:
        raise TooLarge("The form has more than 64 fields")


def _is_larger(announced: str, max_bytes: int) -> bool:
    digits = announced.strip().lstrip("0")
    return len(digits) > MAX_LENGTH_DIGITS or (digits.isascii() and digits.isdigit() and int(digits) > max_bytes)


def _fits(content_type: str, body_type: BodyType) -> bool:
    media_type = _media_type(content_type)
    match body_type:
        case BodyType.FORM:
            return media_type == BodyType.FORM
        case BodyType.MAIL:
            return media_type in {BodyType.JSON, "text/plain"}
        case BodyType.JSON:
            # Callers that name no type have always been read as JSON; `+json` is RFC 6839 section 3.1.
            # EmailEngine reads forms.
            known = {"", BodyType.JSON, BodyType.FORM, "text/json"}
            return media_type in known or media_type.endswith("+json")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _size(pairs: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in pairs.items())
