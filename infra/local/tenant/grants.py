"""Grants: the content of authorization codes and refresh tokens, which clients see only sealed."""

import base64
import hashlib
import uuid
from dataclasses import dataclass
from typing import Literal

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from jwt.utils import base64url_encode

from infra.local.tenant.entities import Client, Person
from infra.local.tenant.tenant import Tenant

REFRESH_TOKEN_BYTES = 750  # sealing and base64 make about 1 KB of it, the size of real ones
# "Typically expire after about 10 minutes".
# https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#successful-response
CODE_SECONDS = 10 * 60
# https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime
IDLE_SECONDS = 90 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A person's sign-in for a client. Times are in epoch seconds; `scope` is the scope parameter of the sign-in."""

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
    """Encrypt the grant. The text remains valid after a restart."""
    size = REFRESH_TOKEN_BYTES if grant.kind == "refresh_token" else 0
    return "1." + seal.encrypt(msgspec.json.encode(grant).ljust(size)).decode()


def unseal_grant(text: str, seal: Fernet, kind: str) -> Grant | None:
    """Decrypt a grant; None if the text is not one of this tenant's, was changed, or is of another kind."""
    version, sealed = text[:2], text[2:]
    try:
        # Fernet ignores characters outside the base64 alphabet, so it would accept a changed text.
        if version != "1." or base64.urlsafe_b64encode(base64.urlsafe_b64decode(sealed)).decode() != sealed:
            return None
        grant = msgspec.json.decode(seal.decrypt(sealed), type=Grant)
    except (InvalidToken, msgspec.DecodeError, ValueError):
        return None
    return grant if grant.kind == kind else None


def new_refresh_token(tenant: Tenant, person: Person, client: Client, scope: str, signed_in: float) -> str:
    """Create a refresh token of the person for the client."""
    grant = Grant(
        kind="refresh_token",
        id=str(uuid.uuid4()),
        person=person.oid,
        client=client.id,
        scope=scope,
        signed_in=signed_in,
        issued=tenant.now(),
    )
    return seal_grant(grant, tenant.keys.seal)


def s256_challenge(verifier: str) -> str:
    """The PKCE challenge of a verifier (RFC 7636 section 4.2)."""
    return base64url_encode(hashlib.sha256(verifier.encode()).digest()).decode()
