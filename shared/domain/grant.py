"""Delegated grants: what keeps a principal's accounts alive, and when each needs work."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountState, LastError
from shared.domain.failure import Failure
from shared.domain.kinds import FailureKind
from shared.domain.principal import Principal
from shared.domain.secret import Secret
from shared.domain.tokens import GOOD_FOR, TokenSet
from shared.domain.work import WorkKind

HOT_FOR = timedelta(hours=24)
MARK_EVERY = timedelta(hours=1)
RENEW_AHEAD = timedelta(minutes=15)
IDLE_EVERY = timedelta(days=7)
# A refresh token dies when nobody used it for so long (Microsoft identity platform, "Refresh tokens": token lifetime).
IDLE_LIFE = timedelta(days=90)
SLOW_RETRY = timedelta(days=1)
BACKOFF = (timedelta(minutes=1), timedelta(minutes=30))
CONFIRM_AFTER = timedelta(minutes=5)
CONFIRMATIONS = 3
UNKNOWN_PATIENCE = timedelta(days=2)
# A plan is written to the agenda before it is written here: due at once, its row would be taken for one left over.
SOON = timedelta(seconds=15)
# Clocks of instances differ by less; a grant from further ahead was written by a clock that was wrong.
SKEW = timedelta(minutes=5)
# How soon a caller who waits for a token may have Entra asked again after a failure.
ASK_AGAIN = timedelta(seconds=10)
ASK_AGAIN_BLOCKED = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DelegatedGrant:
    """A principal's tokens for one OAuth app, shared by all accounts that the principal authorizes through it.

    `due` and `work` say what the agenda owes this grant; an agenda row of another time is left over and means nothing.
    `bindings` changes whenever an account joins or leaves, is paused or resumed, so that what was read about the
    accounts can be trusted for as long as it stays the same. `doubts` counts unconfirmed `invalid_grant` answers.
    Before `not_before` nobody is to ask Entra for a caller's sake; at `probe_due` the mailboxes are looked at.
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

    def good_at(self, now: datetime) -> bool:
        """Whether the access token may still be handed out. When it was got in the future, nobody knows its age."""
        return self.access_expires - now >= GOOD_FOR and self.refreshed - now < SKEW

    def hot_at(self, now: datetime) -> bool:
        """Whether somebody took a token within the last day."""
        return self.handed_out is not None and now - self.handed_out < HOT_FOR

    def marked_at(self, now: datetime) -> bool:
        """Whether the last hand-out is noted closely enough, so that a further one need not write."""
        return self.handed_out is not None and now - self.handed_out < MARK_EVERY

    def probe_due_at(self, now: datetime) -> bool:
        """Whether it is time to look whether the mailboxes still open."""
        return self.probe_due is None or now >= self.probe_due

    @property
    def expires_if_idle(self) -> datetime | None:
        """When it would die if nobody ever refreshed it again; None when only a sign-in helps already."""
        return self.refreshed + IDLE_LIFE if self.due is not None else None

    def astray_at(self, now: datetime) -> bool:
        """Whether it waits for a time that no plan reaches to: a clock was ahead when it was made."""
        return self.due is not None and self.due - now > IDLE_EVERY + SKEW

    def recalled(self, now: datetime) -> "DelegatedGrant":
        """Brought back from a future that a wrong clock put it in: to be refreshed and probed soon."""
        past = self.handed_out if self.handed_out is not None and self.handed_out <= now else None
        return replace(self, due=now + SOON, work=WorkKind.KEEPALIVE, handed_out=past, not_before=None, probe_due=None)

    def renewed(self, tokens: TokenSet, now: datetime, jitter: float) -> "DelegatedGrant":
        """With newer tokens, its failures forgotten, and its next work planned. `jitter` is in [0, 1)."""
        fresh = replace(
            self,
            refresh_token=tokens.refresh_token,
            access_token=tokens.access_token,
            access_expires=tokens.expires,
            scopes=tokens.scopes,
            refreshed=now,
            failures=0,
            doubts=0,
            failing_since=None,
            state=AccountState.CONNECTED,
            last_error=None,
            claims=None,
            not_before=None,
        )
        return fresh.planned(now, jitter)

    def planned(self, now: datetime, jitter: float) -> "DelegatedGrant":
        """With its next due time: ahead of the access token's end while hot, once a week while idle, never at once.

        Up to five minutes (hot) or a tenth of the week (idle) of jitter keep grants that were made together from
        falling due together.
        """
        if self.hot_at(now):
            life = self.access_expires - self.refreshed
            ahead = min(RENEW_AHEAD, life / 2) * (1 - jitter / 3)
            return replace(self, work=WorkKind.REFRESH, due=max(self.access_expires - ahead, now + SOON))
        weekly = self.refreshed + IDLE_EVERY * (1 - jitter / 10)
        return replace(self, work=WorkKind.KEEPALIVE, due=max(min(weekly, self.probe_due or weekly), now + SOON))

    def probed(self, *, lost: bool, now: datetime, jitter: float) -> "DelegatedGrant":
        """Its mailboxes were looked at; one that is lost is looked for daily, until it is found again."""
        pause = SLOW_RETRY if lost else IDLE_EVERY
        return replace(self, probe_due=now + pause * (1 - jitter / 10)).planned(now, jitter)

    def handed_out_at(self, now: datetime, jitter: float) -> "DelegatedGrant":
        """Noted as hot, and so renewed ahead of expiry from now on. One that waits after a failure keeps its place."""
        marked = replace(self, handed_out=now)
        if self.due is None or self.failures:
            return marked
        planned = marked.planned(now, jitter)
        return planned if planned.due is not None and planned.due < self.due else marked

    def failed(self, failure: Failure, now: datetime, jitter: float) -> "DelegatedGrant":
        """After a failed refresh: the kind decides the state and the next try (DESIGN: five kinds of failure)."""
        if not failure.confirmed and self._waits_to_confirm(now):
            return self
        if not failure.confirmed and self.doubts + 1 < CONFIRMATIONS:
            return self._doubted(now, jitter)
        since = self.failing_since or now
        noted = replace(
            self, failures=self.failures + 1, failing_since=since, not_before=now + (failure.retry_after or ASK_AGAIN)
        )
        match failure.kind:
            case FailureKind.NEEDS_SIGN_IN | FailureKind.NEEDS_CONSENT:
                return noted.stopped(failure, now)
            case FailureKind.BLOCKED:
                return noted.blocked(failure.code, now, jitter)
            case _ if failure.code == "unknown_failure" and now - since > UNKNOWN_PATIENCE:
                return noted.blocked(failure.code, now, jitter)
            case FailureKind.APP_FAULT:
                noted = replace(noted, not_before=None)  # the app's breaker knows when to ask again
        return replace(noted, due=now + _pause(noted.failures, failure.retry_after, jitter))

    def _waits_to_confirm(self, now: datetime) -> bool:
        """Whether an earlier doubt is too young: asked out of turn, the same answer confirms nothing."""
        return bool(self.doubts) and self.not_before is not None and now < self.not_before

    def _doubted(self, now: datetime, jitter: float) -> "DelegatedGrant":
        """Refused in words that nobody knows; to be asked again when some minutes have passed."""
        again = now + CONFIRM_AFTER * (1 + self.doubts + jitter)
        return replace(
            self,
            failures=self.failures + 1,
            failing_since=self.failing_since or now,
            doubts=self.doubts + 1,
            due=again,
            not_before=again,
        )

    def stopped(self, failure: Failure, now: datetime) -> "DelegatedGrant":
        """Not refreshed any more, until a person signs in."""
        return replace(
            self,
            due=None,
            state=AccountState.AUTHENTICATION_ERROR,
            last_error=_same_or_new(self.last_error, failure.code, now),
            claims=failure.claims,
        )

    def blocked(self, code: str, now: datetime, jitter: float) -> "DelegatedGrant":
        """Refused for reasons that may pass without a sign-in: tried once a day."""
        return replace(
            self,
            due=now + SLOW_RETRY * (1 + jitter / 10),
            not_before=now + ASK_AGAIN_BLOCKED,
            work=WorkKind.REFRESH,
            state=AccountState.CONNECT_ERROR,
            last_error=_same_or_new(self.last_error, code, now),
        )


def _same_or_new(last: LastError | None, code: str, now: datetime) -> LastError:
    return last if last is not None and last.code == code else LastError(code, now)


def _pause(failures: int, retry_after: timedelta | None, jitter: float) -> timedelta:
    first, longest = BACKOFF
    pause = min(first * (1 << min(failures - 1, 10)), longest) * (0.5 + jitter / 2)
    return max(pause, retry_after or timedelta())
