"""Formats of ids, timestamps, correlation ids and links."""

import re
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import quote

# SHA-256 in hexadecimal, as from `fingerprint`.
REGISTRATION_ID_PATTERN = re.compile(r"[0-9a-f]{64}")
# 32 random bytes in base64url without padding: a ticket, or a browser's cookie.
RANDOM_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
# The registration's id, so that the sign-in attempt is found by a point read, and random bytes.
STATE_PATTERN = re.compile(rf"(?:{REGISTRATION_ID_PATTERN.pattern})\.(?:{RANDOM_TOKEN_PATTERN.pattern})")

MAX_APP_ID_CHARACTERS = 64
MAX_ACCOUNT_ID_BYTES = 512  # bytes in UTF-8

# Python and Table Storage can represent every result of adding a period to, or subtracting it from, these timestamps.
EARLIEST_TIMESTAMP, LATEST_TIMESTAMP = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def format_timestamp(timestamp: datetime) -> str:
    """A timestamp as the API writes it: UTC, with milliseconds and `Z`."""
    return timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Parse an ISO 8601 date, or date and time; UTC if it names no zone.

    Raises ValueError for anything else, and for a timestamp outside the years 2000 to 2099.
    """
    timestamp = _aware(datetime.fromisoformat(text))
    if clamp_timestamp(timestamp) != timestamp:
        raise ValueError("out of range")
    return timestamp.astimezone(UTC)


def clamp_timestamp(timestamp: datetime) -> datetime:
    """The timestamp, or the nearest end of the supported range."""
    return min(max(_aware(timestamp), EARLIEST_TIMESTAMP), LATEST_TIMESTAMP)


def _aware(timestamp: datetime) -> datetime:
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


# Log lines, events and calls to Microsoft carry this id, which joins everything that one request or timer run causes.
# It is the only value that is not passed as an argument, and no decision depends on it. A sign-in continues under the
# id of the request that asked for its link.
_current_id: ContextVar[str | None] = ContextVar("correlation", default=None)


def correlation_id() -> str | None:
    """The id of the present request or timer run, or None."""
    return _current_id.get()


def set_correlation_id(identity: str | None) -> None:
    """Set the id for this task and for the tasks that it starts. None changes nothing."""
    if identity is not None:
        _current_id.set(identity)


def client_request_id_header() -> dict[str, str]:
    """The header that identifies a call in Microsoft's logs and errors; `client-request-id` must be a GUID.

    A correlation id of 32 hexadecimal digits is one. From any other id a GUID is derived (RFC 9562 section 5.5, URL
    namespace).
    """
    identity = correlation_id()
    if identity is None:
        return {}
    try:
        return {"client-request-id": str(uuid.UUID(identity))}
    except ValueError:
        return {"client-request-id": str(uuid.uuid5(uuid.NAMESPACE_URL, identity))}


# Azure's host accepts request lines of 8,192 bytes, and browsers, proxies and mail programs add to a link on its way.
MAX_LINK_BYTES = 6000  # bytes, percent-encoded
MAX_REDIRECT_URL_BYTES = 4096  # the rest is for what Mailbind adds to the redirect
MAX_SCOPES_BYTES = 1600  # all scopes of an authorize URL, encoded
# RFC 3986 section 2: characters that may stand in a URL, and the `%` of those that are encoded already.
URL_SAFE_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"


def percent_encoded(url: str) -> str:
    """A URL as it is sent: other characters as percent-encoded UTF-8 (RFC 3987 section 3.1)."""
    return quote(url, safe=URL_SAFE_CHARACTERS, errors="replace")
