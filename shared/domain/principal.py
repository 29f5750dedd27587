"""The person who authorizes: who they are, what they authorize, and the tokens of their sign-in."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class Principal:
    """An authorizing principal.

    `tenant_id` and `object_id` are the `tid` and `oid` claims: together they are immutable and unique, which a sign-in
    name is not (Microsoft identity platform, ID token claims reference). `sign_in_name` is shown and suggested, and
    decides nothing.
    """

    tenant_id: str
    object_id: str
    sign_in_name: str

    @property
    def id(self) -> str:
        """The one identity that storage and comparisons go by."""
        return f"{self.tenant_id}.{self.object_id}".lower()


@dataclass(frozen=True, slots=True)
class ExpectedPerson:
    """Whom a link is for, in the words of its caller: an address, the id of a tenant, both or neither."""

    email: str | None = None
    tenant: str | None = None


def is_guid(text: str) -> bool:
    """Whether it is an id as Entra writes them."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class PrincipalBindings:
    """One row for each principal that authorizes an account, whichever OAuth apps that is through.

    Every transaction that binds an account to the principal, or takes one away, writes this row over the version that
    it read. So of two that are decided at once on what was there before, one fails and decides again: the rule "one
    principal, one account" cannot be passed through two OAuth apps. A partition from before there was this row gets it
    with its next binding. It is deleted with the last account.
    """

    principal_id: str
    changed: datetime


# What a hand-out promises: long enough for a caller's own work to end before the token does.
MIN_HAND_OUT_LIFETIME = timedelta(minutes=5)
# An access token lives for 60 to 90 minutes, and for up to 28 hours with continuous access evaluation (Microsoft
# identity platform, "Access tokens": token lifetime).
DEFAULT_TOKEN_LIFETIME, MAX_TOKEN_LIFETIME = timedelta(hours=1), timedelta(hours=28)
# For how long one is handed out at most: none can be called back. One that lives longer was issued under a token
# lifetime policy, or to a client that declared cp1, which Mailbind never does.
MAX_HAND_OUT_LIFETIME = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """One refresh token, which is good for every resource, and an access token for one of them, until `expires`.

    Microsoft identity platform, "Refresh tokens": they are bound to a person and a client, not to a resource.
    """

    refresh_token: Secret
    access_token: Secret
    expires: datetime
    scopes: tuple[str, ...]
    resource: Resource = Resource.GRAPH


def parse_token_lifetime(expires_in: object) -> timedelta:
    """How long an access token lives by Entra's `expires_in`, in seconds; within what Microsoft says that it can be.

    Without one, or with one that is no number, the usual life (RFC 6749 section 5.1 only recommends the field).
    """
    text = str(expires_in)
    if not text.isascii() or not text.isdigit():
        return DEFAULT_TOKEN_LIFETIME
    return min(timedelta(seconds=int(text[:9])), MAX_TOKEN_LIFETIME)
