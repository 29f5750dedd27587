"""Access and refresh tokens: how long each one is used, and what Entra answers to a request for new ones."""

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.account import Principal
from shared.domain.clouds import Resource
from shared.domain.failure import Failure
from shared.domain.secret import Secret

# The least remaining lifetime of a token that is handed out, so that the caller can finish its work with it.
MIN_HAND_OUT_LIFETIME = timedelta(minutes=5)
# An access token is valid for 60 to 90 minutes, and for up to 28 hours with continuous access evaluation (Microsoft
# identity platform, "Access tokens": token lifetime).
DEFAULT_TOKEN_LIFETIME, MAX_TOKEN_LIFETIME = timedelta(hours=1), timedelta(hours=28)
# The longest time for which a token is handed out, because tokens cannot be revoked. A longer lifetime comes from a
# token lifetime policy, or from a client that declared cp1, which Mailbind never does.
MAX_HAND_OUT_LIFETIME = timedelta(hours=2)

# A token that was handed out within this period is hot: it is renewed before it expires.
HOT_PERIOD = timedelta(hours=24)
HAND_OUT_RECORD_INTERVAL = timedelta(hours=1)
RENEWAL_LEAD_TIME = timedelta(minutes=15)
# Instances' clocks differ by less. A timestamp further ahead was written by an instance whose clock was wrong.
MAX_CLOCK_SKEW = timedelta(minutes=5)


class TokenSet(NamedTuple):
    """A refresh token, which is valid for every resource, and an access token for one resource, valid until `expires`.

    Microsoft identity platform, "Refresh tokens": they are bound to a person and a client, not to a resource.
    `principal` is whom the ID token of a refresh names; its sign-in name is empty if the token is not valid.
    """

    refresh_token: Secret
    access_token: Secret
    expires: datetime
    scopes: tuple[str, ...]
    resource: Resource = Resource.GRAPH
    principal: Principal | None = None


def parse_token_lifetime(expires_in: object) -> timedelta:
    """The lifetime of an access token by Entra's `expires_in` in seconds, at most MAX_TOKEN_LIFETIME.

    The default lifetime if it is missing or not a number (RFC 6749 section 5.1 only recommends the field).
    """
    text = str(expires_in)
    if not text.isascii() or not text.isdigit():
        return DEFAULT_TOKEN_LIFETIME
    return min(timedelta(seconds=int(text[:9])), MAX_TOKEN_LIFETIME)


class ResourceToken(NamedTuple):
    """An access token for one resource, when it was issued, and when it was last handed out."""

    resource: Resource
    token: Secret
    expires: datetime
    scopes: tuple[str, ...]
    refreshed: datetime
    handed_out: datetime | None

    def is_usable(self, now: datetime) -> bool:
        """Whether it may be handed out. A token issued in the future may not: its real age is unknown."""
        return self.expires - now >= MIN_HAND_OUT_LIFETIME and self.refreshed - now < MAX_CLOCK_SKEW

    def is_hot(self, now: datetime) -> bool:
        """Whether it was handed out within the last day."""
        return self.handed_out is not None and now - self.handed_out < HOT_PERIOD

    def has_recent_hand_out(self, now: datetime) -> bool:
        """Whether the recorded hand-out is less than an hour old, so that another one needs no write."""
        return self.handed_out is not None and now - self.handed_out < HAND_OUT_RECORD_INTERVAL

    def renewal_time(self, jitter: float) -> datetime:
        """When to renew it so that no caller has to wait for a refresh; `jitter` is in [0, 1)."""
        lifetime = self.expires - self.refreshed
        return self.expires - min(RENEWAL_LEAD_TIME, lifetime / 2) * (1 - jitter / 3)


class TokenRequest(NamedTuple):
    """A request for a token: for `resource`, by default the grant's primary one, and with these `claims`."""

    resource: Resource | None = None
    claims: str | None = None


DEFAULT_TOKEN_REQUEST = TokenRequest()


class RefreshAnswer(NamedTuple):
    """Entra's answer to a refresh.

    `result` decides over the grant: new tokens, or why it could not be renewed. When Entra refused the resource or the
    claims of the request and renewed the grant without them, `request_failure` says why. `primary_resource` is the
    grant's primary resource from now on.
    """

    result: TokenSet | Failure
    request_failure: Failure | None = None
    primary_resource: Resource | None = None

    @property
    def failure(self) -> Failure | None:
        """Why the grant could not be renewed, or None."""
        return self.result if isinstance(self.result, Failure) else None

    @property
    def is_complete(self) -> bool:
        """Whether Entra issued the token that was requested."""
        return self.failure is None and self.request_failure is None
