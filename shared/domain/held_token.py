"""An access token as a grant holds it: one for each resource that somebody asked for."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.account import LastError
from shared.domain.clouds import Resource
from shared.domain.secret import Secret
from shared.domain.tokens import GOOD_FOR

HOT_FOR = timedelta(hours=24)
MARK_EVERY = timedelta(hours=1)
RENEW_AHEAD = timedelta(minutes=15)
# Clocks of instances differ by less; a grant from further ahead was written by a clock that was wrong.
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class HeldToken:
    """An access token for a resource, when it was got, and when somebody last took it."""

    resource: Resource
    token: Secret
    expires: datetime
    scopes: tuple[str, ...]
    refreshed: datetime
    handed_out: datetime | None

    def good_at(self, now: datetime) -> bool:
        """Whether it may still be handed out. When it was got in the future, nobody knows its age."""
        return self.expires - now >= GOOD_FOR and self.refreshed - now < SKEW

    def hot_at(self, now: datetime) -> bool:
        """Whether somebody took it within the last day."""
        return self.handed_out is not None and now - self.handed_out < HOT_FOR

    def marked_at(self, now: datetime) -> bool:
        """Whether the last hand-out is noted closely enough, so that a further one need not write."""
        return self.handed_out is not None and now - self.handed_out < MARK_EVERY

    def renewal(self, jitter: float) -> datetime:
        """When a newer one is to be got, so that nobody who takes it has to wait; `jitter` is in [0, 1)."""
        life = self.expires - self.refreshed
        return self.expires - min(RENEW_AHEAD, life / 2) * (1 - jitter / 3)


@dataclass(frozen=True, slots=True)
class FurtherAccess:
    """What is known of a grant's token for the resource that it does not live by.

    `refused` says why Entra gives none, although the grant lives: a consent or a policy is of one resource.
    """

    expires: datetime
    scopes: tuple[str, ...]
    refreshed: datetime
    handed_out: datetime | None = None
    refused: LastError | None = None
