"""A delegated grant with the access tokens that it holds."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountState, LastError
from shared.domain.claims_challenge import sanitized_claims
from shared.domain.clouds import Resource
from shared.domain.errors import TooManyRequests
from shared.domain.limit import Rate
from shared.domain.principal import MIN_HAND_OUT_LIFETIME, Principal, TokenSet
from shared.domain.secret import Secret
from shared.domain.work import WorkKind

HOT_PERIOD = timedelta(hours=24)
HAND_OUT_RECORD_INTERVAL = timedelta(hours=1)
RENEWAL_LEAD_TIME = timedelta(minutes=15)
# Clocks of instances differ by less; a grant from further ahead was written by a clock that was wrong.
MAX_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ResourceToken:
    """An access token for a resource, when it was got, and when somebody last took it."""

    resource: Resource
    token: Secret
    expires: datetime
    scopes: tuple[str, ...]
    refreshed: datetime
    handed_out: datetime | None

    def is_usable(self, now: datetime) -> bool:
        """Whether it may still be handed out. When it was got in the future, nobody knows its age."""
        return self.expires - now >= MIN_HAND_OUT_LIFETIME and self.refreshed - now < MAX_CLOCK_SKEW

    def is_hot(self, now: datetime) -> bool:
        """Whether somebody took it within the last day."""
        return self.handed_out is not None and now - self.handed_out < HOT_PERIOD

    def has_recent_hand_out(self, now: datetime) -> bool:
        """Whether the last hand-out is noted closely enough, so that a further one need not write."""
        return self.handed_out is not None and now - self.handed_out < HAND_OUT_RECORD_INTERVAL

    def renewal_time(self, jitter: float) -> datetime:
        """When a newer one is to be got, so that nobody who takes it has to wait; `jitter` is in [0, 1)."""
        life = self.expires - self.refreshed
        return self.expires - min(RENEWAL_LEAD_TIME, life / 2) * (1 - jitter / 3)


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


IDLE_REFRESH_INTERVAL = timedelta(days=7)
# A refresh token dies when nobody used it for so long (Microsoft identity platform, "Refresh tokens": token lifetime).
REFRESH_TOKEN_IDLE_LIFETIME = timedelta(days=90)
LOST_MAILBOX_PROBE_INTERVAL = timedelta(days=1)
# A plan is written to the agenda before it is written here: due at once, its row would be taken for one left over.
MIN_SCHEDULE_DELAY = timedelta(seconds=15)
# How soon Entra is asked again for a resource that it refused.
REFUSED_RESOURCE_RETRY_INTERVAL = timedelta(minutes=15)
# For how long the next sign-in carries what Microsoft answered a caller's claims challenge with.
CHALLENGE_CLAIMS_LIFETIME = timedelta(days=1)
# Entra takes a client that keeps asking for a looping one (AADSTS50196) and makes the whole grant wait for an hour.
ON_DEMAND_RATE = Rate(per_minute=2)


@dataclass(frozen=True, slots=True)
class ProbeProgress:
    """How far a probe of a grant's mailboxes has come.

    `behind` is the key of the last account, and `lost` says whether a mailbox was lost so far.
    """

    behind: str
    lost: bool


@dataclass(frozen=True, slots=True)
class DelegatedGrant:
    """A principal's tokens for one OAuth app, shared by all accounts that the principal authorizes through it.

    `due` and `work` say what the agenda owes this grant; an agenda row of another time is left over and means nothing.
    `bindings` changes whenever an account joins or leaves, is paused or resumed, so that what was read about the
    accounts can be trusted for as long as it stays the same. `doubts` counts unconfirmed `invalid_grant` answers.
    Before `not_before` nobody is to ask Entra for a caller's sake; at `probe_due` the mailboxes are looked at.
    `access_token` is for `resource`, which the grant lives by: its mailboxes are probed through it, and only when Entra
    refuses that, the grant is in trouble. `further_token` is for the other one. `challenged` is when a caller last
    passed a claims challenge on. `on_demand_until` is when the last refreshes that callers demanded stop to count.
    `probing` is there while some of its mailboxes have been looked at and some have not.
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

    @property
    def primary_token(self) -> ResourceToken:
        """The access token for the resource that the grant lives by."""
        return ResourceToken(
            self.resource, self.access_token, self.access_expires, self.scopes, self.refreshed, self.handed_out
        )

    def token_for(self, resource: Resource) -> ResourceToken | None:
        """The access token for a resource, or None."""
        if resource is self.resource:
            return self.primary_token
        held = self.further
        if held is None or self.further_token is None:
            return None
        return ResourceToken(resource, self.further_token, held.expires, held.scopes, held.refreshed, held.handed_out)

    def has_usable_token(self, now: datetime, resource: Resource | None = None) -> bool:
        """Whether there is an access token that may be handed out."""
        held = self.token_for(resource or self.resource)
        return held is not None and held.is_usable(now)

    def refusal_code(self, now: datetime, resource: Resource) -> str | None:
        """Why Entra refused this resource a short while ago, or None."""
        refused = self.further.refused if self.further and resource is not self.resource else None
        return refused.code if refused and now - refused.since < REFUSED_RESOURCE_RETRY_INTERVAL else None

    def next_resource(self, now: datetime) -> Resource:
        """The resource whose token is to be renewed next. A probe needs the one that the grant lives by."""
        other = next(each for each in Resource if each is not self.resource)
        home, further = self.primary_token, self.token_for(other)
        if further is None or not further.is_hot(now) or self.is_probe_due(now):
            return self.resource
        return other if not home.is_hot(now) or further.expires < home.expires else self.resource

    def is_probe_due(self, now: datetime) -> bool:
        """Whether it is time to look whether the mailboxes still open."""
        return self.probe_due is None or now >= self.probe_due

    @property
    def expires_if_idle(self) -> datetime | None:
        """When it would die if nobody ever refreshed it again; None when only a sign-in helps already."""
        return self.last_refreshed + REFRESH_TOKEN_IDLE_LIFETIME if self.due is not None else None

    @property
    def last_refreshed(self) -> datetime:
        """When the refresh token was last used, whatever for."""
        return max(held.refreshed for held in self._tokens)

    @property
    def last_handed_out(self) -> datetime | None:
        """When anybody last took an access token."""
        return max((held.handed_out for held in self._tokens if held.handed_out is not None), default=None)

    @property
    def _tokens(self) -> list[ResourceToken]:
        return [held for held in map(self.token_for, Resource) if held is not None]

    def is_scheduled_too_far_ahead(self, now: datetime) -> bool:
        """Whether it waits for a time that no plan reaches to: a clock was ahead when it was made."""
        return self.due is not None and self.due - now > IDLE_REFRESH_INTERVAL + MAX_CLOCK_SKEW

    def rescheduled(self, now: datetime) -> "DelegatedGrant":
        """Brought back from a future that a wrong clock put it in: to be refreshed and probed soon."""
        past = self.handed_out if self.handed_out is not None and self.handed_out <= now else None
        kept = replace(self, handed_out=past, not_before=None, probe_due=None, probing=None)
        kept = replace(kept, further=None, further_token=None)
        return replace(kept, due=now + MIN_SCHEDULE_DELAY, work=WorkKind.KEEPALIVE)

    def renewed(self, tokens: TokenSet, now: datetime, jitter: float) -> "DelegatedGrant":
        """With newer tokens, its failures forgotten, and its next work planned. `jitter` is in [0, 1).

        Claims that answered a caller's challenge stay for a day: the refresh itself did without them.
        """
        well = replace(
            self,
            refresh_token=tokens.refresh_token,
            failures=0,
            doubts=0,
            failing_since=None,
            state=AccountState.CONNECTED,
            last_error=None,
            claims=self.claims if self._challenged_at(now) else None,
            not_before=None,
        )
        return _holding(well, tokens, now).scheduled(now, jitter)

    def sign_in_claims(self, now: datetime, *, refused: bool = False) -> str | None:
        """What the next sign-in carries: the claims that Microsoft stopped it with, or answered a challenge with.

        The latter are kept for a day, and a caller may have made the challenge up: after a sign-in that was `refused`
        the next one does without. Rows that an earlier version wrote may hold claims that nobody has checked.
        """
        wanted = not refused if self._challenged_at(now) else self.due is None
        return sanitized_claims(self.claims) if wanted else None

    def with_on_demand_refresh(self, now: datetime) -> "DelegatedGrant":
        """With one more refresh that a caller demanded. Raises TooManyRequests over the limit for each grant."""
        empty_at = self.on_demand_until or now
        if wait := ON_DEMAND_RATE.wait_time(empty_at, now):
            raise TooManyRequests(wait)
        return replace(self, on_demand_until=ON_DEMAND_RATE.after_requests(empty_at, 1, now))

    def _challenged_at(self, now: datetime) -> bool:
        return self.challenged is not None and now - self.challenged < CHALLENGE_CLAIMS_LIFETIME

    def with_primary_resource(self, resource: Resource, now: datetime) -> "DelegatedGrant":
        """Living by another resource from now on; its token is still to be got."""
        if resource is self.resource:
            return self
        bare = replace(self, access_token=Secret(""), access_expires=now, scopes=(), further=None, further_token=None)
        return replace(bare, resource=resource)

    def reauthorized(self, tokens: TokenSet, now: datetime, jitter: float) -> "DelegatedGrant":
        """After a sign-in: what was challenged is met, what was refused may be given now, what was held may be void."""
        anew = replace(self.with_primary_resource(tokens.resource, now), claims=None, challenged=None)
        return replace(anew, further=None, further_token=None).renewed(tokens, now, jitter)

    def scheduled(self, now: datetime, jitter: float) -> "DelegatedGrant":
        """With its next due time: ahead of the access token's end while hot, once a week while idle, never at once.

        Up to five minutes (hot) or a tenth of the week (idle) of jitter keep grants that were made together from
        falling due together.
        """
        if self.probing is not None:
            return replace(self, due=now + MIN_SCHEDULE_DELAY)
        hot = [held.renewal_time(jitter) for held in self._tokens if held.is_hot(now)]
        if hot:
            return replace(self, work=WorkKind.REFRESH, due=max(min(hot), now + MIN_SCHEDULE_DELAY))
        weekly = self.refreshed + IDLE_REFRESH_INTERVAL * (1 - jitter / 10)
        return replace(
            self, work=WorkKind.KEEPALIVE, due=max(min(weekly, self.probe_due or weekly), now + MIN_SCHEDULE_DELAY)
        )

    def after_probe(self, *, lost: bool, now: datetime, jitter: float) -> "DelegatedGrant":
        """Its mailboxes were looked at; one that is lost is looked for daily, until it is found again."""
        pause = LOST_MAILBOX_PROBE_INTERVAL if lost else IDLE_REFRESH_INTERVAL
        return replace(self, probe_due=now + pause * (1 - jitter / 10), probing=None).scheduled(now, jitter)

    def with_hand_out(self, now: datetime, jitter: float, resource: Resource | None = None) -> "DelegatedGrant":
        """Noted as hot, and so renewed ahead of expiry from now on. One that waits after a failure keeps its place."""
        if resource in {None, self.resource}:
            marked = replace(self, handed_out=now)
        else:
            marked = replace(self, further=replace(self.further, handed_out=now) if self.further else None)
        if self.due is None or self.failures:
            return marked
        planned = marked.scheduled(now, jitter)
        return planned if planned.due is not None and planned.due < self.due else marked

    def with_refusal(self, resource: Resource, code: str, now: datetime, jitter: float) -> "DelegatedGrant":
        """Entra gives no token for a further resource, and it was found that the grant lives."""
        if resource is self.resource:
            return self
        further = FurtherAccess(now, (), now, refused=LastError(code, now))
        return replace(self, further=further, further_token=None).scheduled(now, jitter)


def _holding(grant: DelegatedGrant, tokens: TokenSet, now: datetime) -> DelegatedGrant:
    if tokens.resource is not grant.resource:
        taken = grant.further.handed_out if grant.further else None
        further = FurtherAccess(tokens.expires, tokens.scopes, now, taken)
        return replace(grant, further=further, further_token=tokens.access_token)
    return replace(
        grant,
        access_token=tokens.access_token,
        access_expires=tokens.expires,
        scopes=tokens.scopes,
        refreshed=now,
    )
