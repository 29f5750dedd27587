"""Formats of ids, addresses, timestamps and links, and when two ids or addresses are equal."""

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from shared.domain.secret import Secret

# SHA-256 in hexadecimal, as from `fingerprint`.
REGISTRATION_ID_PATTERN = re.compile(r"[0-9a-f]{64}")
# 32 random bytes in base64url without padding: a ticket, or a browser's cookie.
RANDOM_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
# The registration's id, so that the sign-in attempt is found by a point read, and random bytes.
STATE_PATTERN = re.compile(rf"(?:{REGISTRATION_ID_PATTERN.pattern})\.(?:{RANDOM_TOKEN_PATTERN.pattern})")

MAX_APP_ID_CHARACTERS = 64
MAX_ACCOUNT_ID_BYTES = 512  # bytes in UTF-8
# Table Storage allows keys of 512 UTF-16 characters (Understanding the Table service data model); we stay well below.
MAX_KEY_CHARACTERS = 400


def normalize_id(identity: str) -> str:
    """The form in which ids are compared: without surrounding spaces, and in lower case.

    This is the only rule for ids. Addresses have their own, `normalize_address`.
    """
    return identity.strip().lower()


def same_id(one: str, other: str) -> bool:
    """Whether two spellings name the same account, OAuth app or principal. Equal ids have the same `table_key`."""
    return normalize_id(one) == normalize_id(other)


def table_key(identity: str) -> str:
    """A table key for any id: base64url of its normalized form, so that no forbidden character is left.

    An id that is too long for a key is hashed; a leading `=` keeps hashed keys apart from the others.
    """
    text = normalize_id(identity).encode()
    encoded = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    return encoded if len(encoded) <= MAX_KEY_CHARACTERS else "=" + hashlib.sha256(text).hexdigest()


def random_token(entropy: Callable[[int], bytes]) -> str:
    """A new random token, as RANDOM_TOKEN_PATTERN describes it. `entropy` returns that many random bytes."""
    return base64.urlsafe_b64encode(entropy(32)).rstrip(b"=").decode()


def fingerprint(secret: Secret | str) -> str:
    """SHA-256 in hexadecimal. Of a ticket, a state, a cookie or an API token only this is stored."""
    text = secret.reveal() if isinstance(secret, Secret) else secret
    return hashlib.sha256(text.encode()).hexdigest()


def keyed_fingerprint(text: str, salt: Secret) -> str:
    """HMAC-SHA-256 in hexadecimal, for values that could be found by trying all of them, such as IP addresses."""
    return hmac.new(salt.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


MAX_LABEL_CHARACTERS = 63  # RFC 1035 section 2.3.4, for A-labels; the U-label of an A-label is never longer
A_LABEL = "xn--"


def normalize_address(address: str) -> str:
    """The form in which addresses are compared; two different mailboxes never have the same.

    Case is ignored (Exchange: addresses are not case-sensitive). A-labels are decoded, so that both spellings of an
    internationalized domain are equal (RFC 5890 section 2.3.2.1). Letters are lower-cased, not case-folded, because
    folding turns `ß` into `ss`, and straße.example and strasse.example are two domains (RFC 5894 section 7.2).
    """
    local, at, domain = unicodedata.normalize("NFC", address.strip().lower()).rpartition("@")
    return f"{local}{at}{'.'.join(map(_u_label, domain.split('.')))}" if at else domain


def same_address(one: str | None, other: str | None) -> bool:
    """Whether two mailbox addresses or sign-in names are equal. Account ids are compared by `same_id`."""
    return one is not None and other is not None and normalize_address(one) == normalize_address(other)


def domain_of(address: str) -> str:
    """The domain of an address, normalized; empty if there is none."""
    return normalize_address(address).rpartition("@")[2] if "@" in address else ""


def has_domain_labels(domain: str) -> bool:
    """Whether every label of the domain has a valid length."""
    return all(0 < len(label) <= MAX_LABEL_CHARACTERS for label in domain.split("."))


def _u_label(label: str) -> str:
    return _decoded(label) if label.startswith(A_LABEL) and len(label) <= MAX_LABEL_CHARACTERS else label


@lru_cache(1024)
def _decoded(label: str) -> str:
    """Decode an A-label by Punycode, without a table of permitted characters: the result is only compared.

    Decoding is much cheaper than encoding, which takes time quadratic in the length of a label.
    """
    try:
        decoded = label.removeprefix(A_LABEL).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    return label if decoded.isascii() else decoded


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


# Azure's host accepts request lines of 8,192 bytes, and browsers, proxies and mail programs add to a link on its way.
MAX_LINK_BYTES = 6000  # bytes, percent-encoded
MAX_REDIRECT_URL_BYTES = 4096  # the rest is for what Mailbind adds to the redirect
MAX_SCOPES_BYTES = 1600  # all scopes of an authorize URL, encoded
# RFC 3986 section 2: characters that may stand in a URL, and the `%` of those that are encoded already.
URL_SAFE_CHARACTERS = "%:/?#[]@!$&'()*+,;=-._~"


def percent_encoded(url: str) -> str:
    """A URL as it is sent: other characters as percent-encoded UTF-8 (RFC 3987 section 3.1)."""
    return quote(url, safe=URL_SAFE_CHARACTERS, errors="replace")
