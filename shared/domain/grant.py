"""A delegated grant: one principal's tokens for one OAuth app, and when they need work next."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import Account, AccountState, LastError, Principal
from shared.domain.claims_challenge import sanitized_claims
from shared.domain.clouds import Resource
from shared.domain.errors import TooManyRequests
from shared.domain.limit import Rate
from shared.domain.secret import Secret
from shared.domain.tokens import MAX_CLOCK_SKEW, ResourceToken, TokenSet
from shared.domain.work import WorkKind

IDLE_REFRESH_INTERVAL = timedelta(days=7)
# A refresh token expires when it is not used for this long (Microsoft identity platform, "Refresh tokens": token
# lifetime).
REFRESH_TOKEN_IDLE_LIFETIME = timedelta(days=90)
LOST_MAILBOX_PROBE_INTERVAL = timedelta(days=1)
# Work is written to the agenda before the grant's own row. If it were due at once, a worker could read the agenda row
# first and take it for a leftover.
MIN_SCHEDULE_DELAY = timedelta(seconds=15)
# How long no token is requested for a resource after Entra refused one.
REFUSED_RESOURCE_RETRY_INTERVAL = timedelta(minutes=15)
# How long the next sign-in carries the claims that Microsoft returned for a caller's claims challenge.
CHALLENGE_CLAIMS_LIFETIME = timedelta(days=1)
# Entra treats a client that keeps asking as stuck in a loop (AADSTS50196) and blocks the whole grant for an hour.
ON_DEMAND_RATE = Rate(per_minute=2)


@dataclass(frozen=True, slots=True)
class FurtherAccess:
    """What is known about the grant's token for its secondary resource.

    `refused` says why Entra issues no token for it while the grant itself works: consent and policies apply to one
    resource each.
    """

    expires: datetime
    scopes: tuple[str, ...]
    refreshed: datetime
    handed_out: datetime | None = None
    refused: LastError | None = None


@dataclass(frozen=True, slots=True)
class ProbeProgress:
    """How far a probe of a grant's mailboxes has come.

    `behind` is the key of the last probed account; `lost` says whether any mailbox did not open so far.
    """

    behind: str
    lost: bool


@dataclass(frozen=True, slots=True)
class DelegatedGrant:
    """A principal's tokens for one OAuth app, shared by all accounts that the principal authorizes through it.

    Scheduling: `due` and `work` say what the agenda has to do for this grant. An agenda row with another time is a
    leftover and is ignored. `due` is None once only a new sign-in helps. `failures` counts failed refreshes in a row,
    since `failing_since`; `doubts` counts `invalid_grant` answers that are not confirmed yet. No refresh is made for a
    caller before `not_before`. The mailboxes are probed at `probe_due`, and `probing` is set while that is in progress.

    Resources: the grant has one primary resource, `resource`, with `access_token`. Its mailboxes are probed through
    it, and the grant is in trouble only when Entra refuses tokens for it. `further` and `further_token` belong to the
    secondary resource.

    Claims: `challenged` is when a caller last passed on a claims challenge, and `claims` is what the next sign-in has
    to carry. `on_demand_until` is the rate limit's state for refreshes that callers demand.

    `bindings` changes whenever an account is added, removed, paused or resumed. What was read about the accounts is
    valid as long as it stays the same.
    """

    principal: Principal
    app: str
    refresh_token: Secret
    access_token: Secret
    access_expires: datetime
    scopes: tuple[str, ...]
    refreshed: datetime
    bindings: str
    due: datetime | None = None
    work: WorkKind = WorkKind.KEEPALIVE
    handed_out: datetime | None = None
    failures: int = 0
    doubts: int = 0
    failing_since: datetime | None = None
    state: AccountState = AccountState.CONNECTED
    last_error: LastError | None = None
    claims: str | None = None
    not_before: datetime | None = None
    probe_due: datetime | None = None
    resource: Resource = Resource.GRAPH
    further: FurtherAccess | None = None
    further_token: Secret | None = None
    challenged: datetime | None = None
    on_demand_until: datetime | None = None
    probing: ProbeProgress | None = None

    # Access tokens

    @property
    def primary_token(self) -> ResourceToken:
        """The access token for the primary resource."""
        return ResourceToken(
            self.resource, self.access_token, self.access_expires, self.scopes, self.refreshed, self.handed_out
        )

    def token_for(self, resource: Resource) -> ResourceToken | None:
        """The access token for a resource, or None."""
        if resource is self.resource:
            return self.primary_token
        access = self.further
        if access is None or self.further_token is None:
            return None
        return ResourceToken(
            resource, self.further_token, access.expires, access.scopes, access.refreshed, access.handed_out
        )

    def has_usable_token(self, now: datetime, resource: Resource | None = None) -> bool:
        """Whether there is an access token that may be handed out, by default for the primary resource."""
        token = self.token_for(resource or self.resource)
        return token is not None and token.is_usable(now)

    def refusal_code(self, now: datetime, resource: Resource) -> str | None:
        """Why Entra refused this resource within the last 15 minutes, or None."""
        refusal = self.further.refused if self.further and resource is not self.resource else None
        return refusal.code if refusal and now - refusal.since < REFUSED_RESOURCE_RETRY_INTERVAL else None

    def next_resource(self, now: datetime) -> Resource:
        """The resource whose token is renewed next. A probe needs the primary one."""
        secondary_resource = next(resource for resource in Resource if resource is not self.resource)
        primary, secondary = self.primary_token, self.token_for(secondary_resource)
        if secondary is None or not secondary.is_hot(now) or self.is_probe_due(now):
            return self.resource
        if not primary.is_hot(now) or secondary.expires < primary.expires:
            return secondary_resource
        return self.resource

    # Times

    @property
    def last_refreshed(self) -> datetime:
        """When the refresh token was last used, for any resource."""
        return max(token.refreshed for token in self._tokens)

    @property
    def last_handed_out(self) -> datetime | None:
        """When an access token was last handed out, for any resource."""
        return max((token.handed_out for token in self._tokens if token.handed_out is not None), default=None)

    @property
    def expires_if_idle(self) -> datetime | None:
        """When the refresh token expires if it is never used again; None when only a new sign-in helps."""
        return self.last_refreshed + REFRESH_TOKEN_IDLE_LIFETIME if self.due is not None else None

    def is_probe_due(self, now: datetime) -> bool:
        """Whether it is time to check that the mailboxes still open."""
        return self.probe_due is None or now >= self.probe_due

    def is_scheduled_too_far_ahead(self, now: datetime) -> bool:
        """Whether `due` is later than any schedule allows, because the clock that set it was ahead."""
        return self.due is not None and self.due - now > IDLE_REFRESH_INTERVAL + MAX_CLOCK_SKEW

    # Changes: each method returns the changed grant

    def renewed(self, tokens: TokenSet, now: datetime, jitter: float) -> "DelegatedGrant":
        """Store newer tokens, clear all failures and schedule the next work. `jitter` is in [0, 1).

        The claims of a caller's challenge are kept for a day: the refresh succeeded without them.
        """
        healthy = replace(
            self._with_access_token(tokens, now),
            principal=self.principal.renamed(tokens.principal),
            refresh_token=tokens.refresh_token,
            failures=0,
            doubts=0,
            failing_since=None,
            state=AccountState.CONNECTED,
            last_error=None,
            claims=self.claims if self._has_open_challenge(now) else None,
            not_before=None,
        )
        return healthy.scheduled(now, jitter)

    def reauthorized(self, tokens: TokenSet, now: datetime, jitter: float) -> "DelegatedGrant":
        """Store the tokens of a new sign-in.

        It answers an open claims challenge, it may have brought consent for a refused resource, and it may have
        invalidated the secondary token.
        """
        grant = replace(self.with_primary_resource(tokens.resource, now), claims=None, challenged=None)
        return replace(grant, further=None, further_token=None).renewed(tokens, now, jitter)

    def with_primary_resource(self, resource: Resource, now: datetime) -> "DelegatedGrant":
        """Make another resource the primary one. Its token is not there yet."""
        if resource is self.resource:
            return self
        empty = replace(self, access_token=Secret(""), access_expires=now, scopes=(), further=None, further_token=None)
        return replace(empty, resource=resource)

    def with_refusal(self, resource: Resource, code: str, now: datetime, jitter: float) -> "DelegatedGrant":
        """Record that Entra refuses the secondary resource although the grant itself works."""
        if resource is self.resource:
            return self
        further = FurtherAccess(now, (), now, refused=LastError(code, now))
        return replace(self, further=further, further_token=None).scheduled(now, jitter)

    def with_hand_out(self, now: datetime, jitter: float, resource: Resource | None = None) -> "DelegatedGrant":
        """Record a hand-out, which makes the token hot. A grant that waits after a failure keeps its schedule."""
        if resource in {None, self.resource}:
            recorded = replace(self, handed_out=now)
        else:
            recorded = replace(self, further=replace(self.further, handed_out=now) if self.further else None)
        if self.due is None or self.failures:
            return recorded
        scheduled = recorded.scheduled(now, jitter)
        return scheduled if scheduled.due is not None and scheduled.due < self.due else recorded

    def with_on_demand_refresh(self, now: datetime) -> "DelegatedGrant":
        """Count a refresh that a caller demanded. Raises TooManyRequests over the limit of this grant."""
        empty_at = self.on_demand_until or now
        if wait := ON_DEMAND_RATE.wait_time(empty_at, now):
            raise TooManyRequests(wait)
        return replace(self, on_demand_until=ON_DEMAND_RATE.after_requests(empty_at, 1, now))

    def after_probe(self, *, lost: bool, now: datetime, jitter: float) -> "DelegatedGrant":
        """Schedule the next probe: daily while a mailbox is lost, weekly otherwise."""
        interval = LOST_MAILBOX_PROBE_INTERVAL if lost else IDLE_REFRESH_INTERVAL
        return replace(self, probe_due=now + interval * (1 - jitter / 10), probing=None).scheduled(now, jitter)

    def scheduled(self, now: datetime, jitter: float) -> "DelegatedGrant":
        """Schedule the next work: before the access token expires while hot, weekly while idle, never at once.

        Up to five minutes (hot) or a tenth of a week (idle) of jitter keep grants that were created together from
        becoming due together.
        """
        if self.probing is not None:
            return replace(self, due=now + MIN_SCHEDULE_DELAY)
        renewal_times = [token.renewal_time(jitter) for token in self._tokens if token.is_hot(now)]
        if renewal_times:
            return replace(self, work=WorkKind.REFRESH, due=max(min(renewal_times), now + MIN_SCHEDULE_DELAY))
        idle_refresh = self.refreshed + IDLE_REFRESH_INTERVAL * (1 - jitter / 10)
        due = min(idle_refresh, self.probe_due or idle_refresh)
        return replace(self, work=WorkKind.KEEPALIVE, due=max(due, now + MIN_SCHEDULE_DELAY))

    def rescheduled(self, now: datetime) -> "DelegatedGrant":
        """Refresh and probe soon, and drop every timestamp that a wrong clock set in the future."""
        handed_out = self.handed_out if self.handed_out is not None and self.handed_out <= now else None
        return replace(
            self,
            handed_out=handed_out,
            not_before=None,
            probe_due=None,
            probing=None,
            further=None,
            further_token=None,
            due=now + MIN_SCHEDULE_DELAY,
            work=WorkKind.KEEPALIVE,
        )

    # Claims challenges

    def sign_in_claims(self, now: datetime, *, refused: bool = False) -> str | None:
        """The claims that the next sign-in has to carry.

        While the grant is stopped, they are those that Microsoft refused the refresh with. After a caller's challenge,
        they are those that Microsoft answered it with, for a day; a caller may have made the challenge up, so after a
        `refused` sign-in the next one goes without. Rows written by earlier versions may hold unchecked claims.
        """
        wanted = not refused if self._has_open_challenge(now) else self.due is None
        return sanitized_claims(self.claims) if wanted else None

    def _has_open_challenge(self, now: datetime) -> bool:
        return self.challenged is not None and now - self.challenged < CHALLENGE_CLAIMS_LIFETIME

    # Helpers

    @property
    def _tokens(self) -> list[ResourceToken]:
        return [token for token in map(self.token_for, Resource) if token is not None]

    def _with_access_token(self, tokens: TokenSet, now: datetime) -> "DelegatedGrant":
        if tokens.resource is not self.resource:
            handed_out = self.further.handed_out if self.further else None
            further = FurtherAccess(tokens.expires, tokens.scopes, now, handed_out)
            return replace(self, further=further, further_token=tokens.access_token)
        return replace(
            self,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            refreshed=now,
        )


type CountedRecord = Account | DelegatedGrant


def counter_name(record: CountedRecord) -> str:
    """The counter, shown as a statistic, that a record is counted in."""
    if isinstance(record, Account):
        return f"accounts.{record.state}"
    if record.due is None:
        return "grants.stopped"
    return "grants.hot" if record.work is WorkKind.REFRESH else "grants.idle"
