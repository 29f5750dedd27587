"""Applications that called with an access token of Entra's: what their last token said of them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.caller import Caller, EntraTrust, Scope

# An application that has not called for this long no longer stands behind its webhooks and links.
FORGOTTEN_AFTER = timedelta(days=90)
# How much later than a call `last_seen` may be: one write a day for each application that calls.
SEEN_EVERY = timedelta(days=1)
# What an application of before these rows were kept may go on with until it calls again.
ASSUMED_SCOPES = frozenset({Scope.REGISTER, Scope.WEBHOOKS})


@dataclass(frozen=True, slots=True)
class CallingApplication:
    """An application by its caller id (`entra:…`), with the app roles that its newest token carried.

    `client` is its client id. `tenant` issued that token at `issued`, for `audience`; both are unknown for an
    application that made something before this version and has not called since. Entra has no way to ask for roles
    without permissions of one's own, so a role that was taken away is noticed with the next token.
    """

    id: str
    name: str
    client: str
    scopes: frozenset[Scope]
    issued: datetime
    last_seen: datetime
    tenant: str | None = None
    audience: str | None = None

    def after(self, newer: "CallingApplication") -> "CallingApplication":
        """With what another token said of it. An older token that is still in use takes nothing back."""
        seen = max(self.last_seen, newer.last_seen)
        return replace(newer if newer.issued >= self.issued else self, last_seen=seen)

    def differs(self, stored: "CallingApplication") -> bool:
        """Whether it says more than what is stored, so that a write is worth it."""
        if self.last_seen - stored.last_seen >= SEEN_EVERY:
            return True
        return replace(self, last_seen=stored.last_seen, issued=stored.issued) != stored

    def caller(self, trust: EntraTrust, now: datetime) -> Caller | None:
        """The caller that it is now, by the settings of now; None when it no longer counts."""
        if self.tenant is not None and self.tenant not in trust.tenants:
            return None
        if self.audience is not None and self.audience not in trust.audiences:
            return None
        if now - self.last_seen >= FORGOTTEN_AFTER:
            return None
        return Caller(self.id, self.name, self.scopes, trust.bindings.get(self.client))


def unseen_application(caller_id: str, now: datetime) -> CallingApplication:
    """An application that made something before its calls were recorded: it counts as seen now, for the last time."""
    tenant, _, client = caller_id.rpartition(":")[2].rpartition("/")
    # Any token that it shows was issued later than this, even with a clock that is behind.
    issued = now - timedelta(days=1)
    return CallingApplication(caller_id, client, client, ASSUMED_SCOPES, issued, now, tenant or None)
