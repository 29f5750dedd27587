"""What Entra's token endpoint answers with."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.secret import Secret

# What a hand-out promises: long enough for a caller's own work to end before the token does.
GOOD_FOR = timedelta(minutes=5)
# An access token lives for 60 to 90 minutes, and for up to 28 hours with continuous access evaluation (Microsoft
# identity platform, "Access tokens": token lifetime).
USUAL_LIFE, LONGEST_LIFE = timedelta(hours=1), timedelta(hours=28)
# For how long one is handed out at most: none can be called back. One that lives longer was issued under a token
# lifetime policy, or to a client that declared cp1, which Mailbind never does.
HANDED_OUT_LIFE = timedelta(hours=2)


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


def token_life(expires_in: object) -> timedelta:
    """How long an access token lives by Entra's `expires_in`, in seconds; within what Microsoft says that it can be.

    Without one, or with one that is no number, the usual life (RFC 6749 section 5.1 only recommends the field).
    """
    text = str(expires_in)
    if not text.isascii() or not text.isdigit():
        return USUAL_LIFE
    return min(timedelta(seconds=int(text[:9])), LONGEST_LIFE)
