"""Grants: what an authorization code or a refresh token stands for, sealed into the opaque text that clients hold."""

import base64
from dataclasses import dataclass
from typing import Literal

import msgspec
from cryptography.fernet import Fernet, InvalidToken

REFRESH_TOKEN_BYTES = 750  # before the seal and base64, which make about 1 KB of it: the size of real ones
CODE_SECONDS = 10 * 60  # about 10 minutes (entra-docs v2-oauth2-auth-code-flow.md)
IDLE_SECONDS = 90 * 24 * 3600  # the lifetime of a refresh token that nobody uses (entra-docs refresh-tokens.md)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A person's sign-in for a client. Times are epoch seconds; `scope` is the scope parameter of the sign-in."""

    kind: Literal["authorization_code", "refresh_token"]
    id: str
    person: str
    client: str
    scope: str
    signed_in: float
    issued: float
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str = ""


def seal_grant(grant: Grant, seal: Fernet) -> str:
    """Write the grant into text that only this tenant can read: it outlives a restart."""
    size = REFRESH_TOKEN_BYTES if grant.kind == "refresh_token" else 0
    return "1." + seal.encrypt(msgspec.json.encode(grant).ljust(size)).decode()


def unseal_grant(text: str, seal: Fernet, kind: str) -> Grant | None:
    """Read such a text; None if it is not one of this tenant's, letter for letter, or of another kind."""
    version, sealed = text[:2], text[2:]
    try:
        # Fernet skips letters that are none of base64's, and so would take a text that somebody changed.
        if version != "1." or base64.urlsafe_b64encode(base64.urlsafe_b64decode(sealed)).decode() != sealed:
            return None
        grant = msgspec.json.decode(seal.decrypt(sealed), type=Grant)
    except (InvalidToken, msgspec.DecodeError, ValueError):
        return None
    return grant if grant.kind == kind else None
