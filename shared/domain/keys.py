"""How identities become keys, and secrets become what is stored of them."""

import base64
import hashlib
import hmac

from shared.domain.secret import Secret

# Table Storage allows 512 UTF-16 characters for a key (Understanding the Table service data model); we stay well below.
LONGEST = 400


def normal(identity: str) -> str:
    """What two spellings of the same id have in common: case does not count, nor do spaces around it.

    The only rule by which ids are the same. Addresses have one of their own (`address.normal_address`).
    """
    return identity.strip().lower()


def same_id(one: str, other: str) -> bool:
    """Whether two spellings name the same account, OAuth app or principal: exactly when they have the same `key`."""
    return normal(one) == normal(other)


def key(identity: str) -> str:
    """A table key for any text: lower-cased, then base64url, so that no forbidden character survives.

    Text too long for a key is hashed; the `=` in front keeps such keys apart from all others.
    """
    text = normal(identity).encode()
    encoded = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    return encoded if len(encoded) <= LONGEST else "=" + hashlib.sha256(text).hexdigest()


def fingerprint(secret: Secret | str) -> str:
    """SHA-256 in hexadecimal: all that is stored of a ticket, a state, a cookie or an API token."""
    text = secret.reveal() if isinstance(secret, Secret) else secret
    return hashlib.sha256(text.encode()).hexdigest()


def keyed_fingerprint(text: str, salt: Secret) -> str:
    """HMAC-SHA-256 in hexadecimal, for what could be found by trying all there are, as addresses could."""
    return hmac.new(salt.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()
