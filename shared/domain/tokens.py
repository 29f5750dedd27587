"""What Entra's token endpoint answers with."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.secret import Secret

# What a hand-out promises: long enough for a caller's own work to end before the token does.
GOOD_FOR = timedelta(minutes=5)


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
