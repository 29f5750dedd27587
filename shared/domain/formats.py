"""Formats of ids, timestamps, correlation ids and links."""

import re
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import quote

# SHA-256 in hexadecimal, as `fingerprint` writes it.
REGISTRATION_ID_PATTERN = re.compile(r"[0-9a-f]{64}")
# 32 random bytes in base64url without padding: a ticket, a browser's cookie.
RANDOM_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
# The registration, so that the attempt is found by one point read, and random bytes.
STATE_PATTERN = re.compile(rf"(?:{REGISTRATION_ID_PATTERN.pattern})\.(?:{RANDOM_TOKEN_PATTERN.pattern})")

MAX_APP_ID_CHARACTERS = 64
MAX_ACCOUNT_ID_BYTES = 512  # bytes in UTF-8


# Whatever is added to or taken from a moment in this range is a moment that Python and Table Storage can still write.
EARLIEST_TIMESTAMP, LATEST_TIMESTAMP = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def format_timestamp(when: datetime) -> str:
    """A moment as the contract writes it: UTC, milliseconds, Z."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """A date, or a date and time, as ISO 8601 writes them; in UTC when it names no zone.

    Raises ValueError for anything else, and for a moment outside of the years 2000 to 2099.
    """
    when = _aware(datetime.fromisoformat(text))
    if clamp_timestamp(when) != when:
        raise ValueError("out of range")
    return when.astimezone(UTC)


def clamp_timestamp(when: datetime) -> datetime:
    """The moment itself, or the end of the range that is nearest to it."""
    return min(max(_aware(when), EARLIEST_TIMESTAMP), LATEST_TIMESTAMP)


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


_present: ContextVar[str | None] = ContextVar("correlation", default=None)


def correlation_id() -> str | None:
    """The id of what is being done now, if it has one."""
    return _present.get()


def set_correlation_id(identity: str | None) -> None:
    """From here on, in this task and those that it starts, what is done belongs to this id. None changes nothing."""
    if identity is not None:
        _present.set(identity)


def client_request_id_header() -> dict[str, str]:
    """The header for a call to Microsoft, which its logs and its errors name: `client-request-id` has to be a GUID.

    32 hexadecimal digits are one; any other id stands for a GUID made by name (RFC 9562 section 5.5, URL namespace).
    """
    identity = correlation_id()
    if identity is None:
        return {}
    try:
        return {"client-request-id": str(uuid.UUID(identity))}
    except ValueError:
        return {"client-request-id": str(uuid.uuid5(uuid.NAMESPACE_URL, identity))}


# Azure's host takes request lines of 8,192 bytes, and browsers, proxies and mail programs add to a link on its way.
MAX_LINK_BYTES = 6000  # bytes, percent-encoded
MAX_REDIRECT_URL_BYTES = 4096  # of which the rest is for what Mailbind adds on the way back
MAX_SCOPES_BYTES = 1600  # of all that an authorize URL asks for
# RFC 3986 section 2: what a URL may hold as it is, and the sign of what is encoded already.
URL_SAFE_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"


def percent_encoded(url: str) -> str:
    """A URL as it is sent: other characters as UTF-8, percent-encoded (RFC 3987 section 3.1)."""
    return quote(url, safe=URL_SAFE_CHARACTERS, errors="replace")
