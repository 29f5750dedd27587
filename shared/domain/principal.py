"""The authorizing principal, and the tokens of a sign-in."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class Principal:
    """An authorizing principal.

    `tenant_id` and `object_id` are the `tid` and `oid` claims: together they are immutable and unique, and a sign-in
    name is neither (Microsoft identity platform, ID token claims reference). `sign_in_name` is only shown and used as a
    login hint.
    """

    tenant_id: str
    object_id: str
    sign_in_name: str

    @property
    def id(self) -> str:
        """The identity in storage and in comparisons."""
        return f"{self.tenant_id}.{self.object_id}".lower()


@dataclass(frozen=True, slots=True)
class ExpectedPerson:
    """Who must sign in, as the caller said: an address, a tenant id, both or neither."""

    email: str | None = None
    tenant: str | None = None


def is_guid(text: str) -> bool:
    """Whether it is an id in the form that Entra writes."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class PrincipalBindings:
    """One row for each principal that authorizes an account, through any OAuth app.

    Every transaction that adds an account to the principal, or removes one, overwrites the version of this row that it
    read. Of two concurrent transactions one therefore fails and decides again, so that the rule "one principal, one
    account" cannot be bypassed through two OAuth apps. A partition from before this row existed gets it with its next
    binding. The row is deleted with the last account.
    """

    principal_id: str
    changed: datetime


# The least remaining lifetime of a token that is handed out, so that the caller can finish its work with it.
MIN_HAND_OUT_LIFETIME = timedelta(minutes=5)
# An access token is valid for 60 to 90 minutes, and for up to 28 hours with continuous access evaluation (Microsoft
# identity platform, "Access tokens": token lifetime).
DEFAULT_TOKEN_LIFETIME, MAX_TOKEN_LIFETIME = timedelta(hours=1), timedelta(hours=28)
# The longest time for which a token is handed out, because tokens cannot be revoked. A longer lifetime comes from a
# token lifetime policy, or from a client that declared cp1, which Mailbind never does.
MAX_HAND_OUT_LIFETIME = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A refresh token, which is valid for every resource, and an access token for one resource, valid until `expires`.

    Microsoft identity platform, "Refresh tokens": they are bound to a person and a client, not to a resource.
    """

    refresh_token: Secret
    access_token: Secret
    expires: datetime
    scopes: tuple[str, ...]
    resource: Resource = Resource.GRAPH


def parse_token_lifetime(expires_in: object) -> timedelta:
    """The lifetime of an access token by Entra's `expires_in` in seconds, at most MAX_TOKEN_LIFETIME.

    The default lifetime if it is missing or not a number (RFC 6749 section 5.1 only recommends the field).
    """
    text = str(expires_in)
    if not text.isascii() or not text.isdigit():
        return DEFAULT_TOKEN_LIFETIME
    return min(timedelta(seconds=int(text[:9])), MAX_TOKEN_LIFETIME)
