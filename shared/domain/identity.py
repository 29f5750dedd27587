"""Which ids and addresses are the same, and the table keys made of them."""

import base64
import hashlib
import hmac
import unicodedata
from functools import lru_cache

from shared.domain.secret import Secret

# Table Storage allows 512 UTF-16 characters for a key (Understanding the Table service data model); we stay well below.
MAX_KEY_CHARACTERS = 400


def normalize_id(identity: str) -> str:
    """What two spellings of the same id have in common: case does not count, nor do spaces around it.

    The only rule by which ids are the same. Addresses have one of their own (`address.normal_address`).
    """
    return identity.strip().lower()


def same_id(one: str, other: str) -> bool:
    """Whether two spellings name the same account, OAuth app or principal: exactly when they have the same `key`."""
    return normalize_id(one) == normalize_id(other)


def table_key(identity: str) -> str:
    """A table key for any text: lower-cased, then base64url, so that no forbidden character survives.

    Text too long for a key is hashed; the `=` in front keeps such keys apart from all others.
    """
    text = normalize_id(identity).encode()
    encoded = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    return encoded if len(encoded) <= MAX_KEY_CHARACTERS else "=" + hashlib.sha256(text).hexdigest()


def fingerprint(secret: Secret | str) -> str:
    """SHA-256 in hexadecimal: all that is stored of a ticket, a state, a cookie or an API token."""
    text = secret.reveal() if isinstance(secret, Secret) else secret
    return hashlib.sha256(text.encode()).hexdigest()


def keyed_fingerprint(text: str, salt: Secret) -> str:
    """HMAC-SHA-256 in hexadecimal, for what could be found by trying all there are, as addresses could."""
    return hmac.new(salt.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


MAX_LABEL_CHARACTERS = 63  # RFC 1035 section 2.3.4, for A-labels; what an A-label stands for is never longer
A_LABEL = "xn--"


def normalize_address(address: str) -> str:
    """The form in which addresses are compared; two different mailboxes never share it.

    Case does not count (Exchange: addresses are not case-sensitive). A-labels count as what they stand for, so that the
    two ways of writing an internationalized domain are one (RFC 5890 section 2.3.2.1). Letters are lower-cased, not
    case-folded: folding makes `ss` of `ß`, and straße.example and strasse.example are two domains (RFC 5894 section
    7.2).
    """
    local, at, domain = unicodedata.normalize("NFC", address.strip().lower()).rpartition("@")
    return f"{local}{at}{'.'.join(map(_u_label, domain.split('.')))}" if at else domain


def same_address(one: str | None, other: str | None) -> bool:
    """Whether two mailbox addresses or sign-in names mean the same. For ids of accounts there is `keys.same_id`."""
    return one is not None and other is not None and normalize_address(one) == normalize_address(other)


def domain_of(address: str) -> str:
    """Its domain, in the form in which addresses are compared; empty without one."""
    return normalize_address(address).rpartition("@")[2] if "@" in address else ""


def has_domain_labels(domain: str) -> bool:
    """Whether each label is as long as labels may be."""
    return all(0 < len(label) <= MAX_LABEL_CHARACTERS for label in domain.split("."))


def _u_label(label: str) -> str:
    return _decoded(label) if label.startswith(A_LABEL) and len(label) <= MAX_LABEL_CHARACTERS else label


@lru_cache(1024)
def _decoded(label: str) -> str:
    """Punycode without a table of characters that may be registered: it is for comparing, not for looking up.

    Decoding is much cheaper than encoding, whose time grows with the square of a label's length.
    """
    try:
        decoded = label.removeprefix(A_LABEL).encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    return label if decoded.isascii() else decoded
