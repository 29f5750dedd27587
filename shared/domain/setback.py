"""Setbacks of a grant: what a failed refresh makes of it."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.account import AccountState, LastError
from shared.domain.breaker import OPENS
from shared.domain.failure import Failure
from shared.domain.grant import DelegatedGrant
from shared.domain.kinds import FailureKind
from shared.domain.work import WorkKind

SLOW_RETRY = timedelta(days=1)
BACKOFF = (timedelta(minutes=1), timedelta(minutes=30))
CONFIRM_AFTER = timedelta(minutes=5)
CONFIRMATIONS = 3
UNKNOWN_PATIENCE = timedelta(days=2)
# How soon a caller who waits for a token may have Entra asked again after a failure.
ASK_AGAIN = timedelta(seconds=10)
ASK_AGAIN_BLOCKED = timedelta(minutes=15)


def after_failure(grant: DelegatedGrant, failure: Failure, now: datetime, jitter: float) -> DelegatedGrant:
    """After a failed refresh: the kind decides the state and the next try (DESIGN: five kinds of failure)."""
    if not failure.confirmed and _waits_to_confirm(grant, now):
        return grant
    if not failure.confirmed and grant.doubts + 1 < CONFIRMATIONS:
        return _doubted(grant, now, jitter)
    since = grant.failing_since or now
    noted = replace(
        grant, failures=grant.failures + 1, failing_since=since, not_before=now + (failure.retry_after or ASK_AGAIN)
    )
    match failure.kind:
        case FailureKind.NEEDS_SIGN_IN | FailureKind.NEEDS_CONSENT:
            return _stopped(noted, failure, now)
        case FailureKind.BLOCKED:
            return _blocked(noted, failure.code, now, jitter)
        case _ if failure.code == "unknown_failure" and now - since > UNKNOWN_PATIENCE:
            return _blocked(noted, failure.code, now, jitter)
        case FailureKind.APP_FAULT if failure.code == OPENS:
            noted = replace(noted, not_before=None)  # the app's breaker knows when to ask again
    return replace(noted, due=now + _pause(noted.failures, failure.retry_after, jitter))


def _waits_to_confirm(grant: DelegatedGrant, now: datetime) -> bool:
    """Whether an earlier doubt is too young: asked out of turn, the same answer confirms nothing."""
    return bool(grant.doubts) and grant.not_before is not None and now < grant.not_before


def _doubted(grant: DelegatedGrant, now: datetime, jitter: float) -> DelegatedGrant:
    """Refused in words that nobody knows; to be asked again when some minutes have passed."""
    again = now + CONFIRM_AFTER * (1 + grant.doubts + jitter)
    return replace(
        grant,
        failures=grant.failures + 1,
        failing_since=grant.failing_since or now,
        doubts=grant.doubts + 1,
        due=again,
        not_before=again,
    )


def _stopped(grant: DelegatedGrant, failure: Failure, now: datetime) -> DelegatedGrant:
    """Not refreshed any more, until a person signs in."""
    return replace(
        grant,
        due=None,
        state=AccountState.AUTHENTICATION_ERROR,
        last_error=_same_or_new(grant.last_error, failure.code, now),
        claims=failure.claims,
    )


def _blocked(grant: DelegatedGrant, code: str, now: datetime, jitter: float) -> DelegatedGrant:
    """Refused for reasons that may pass without a sign-in: tried once a day."""
    return replace(
        grant,
        due=now + SLOW_RETRY * (1 + jitter / 10),
        not_before=now + ASK_AGAIN_BLOCKED,
        work=WorkKind.REFRESH,
        state=AccountState.CONNECT_ERROR,
        last_error=_same_or_new(grant.last_error, code, now),
    )


def _same_or_new(last: LastError | None, code: str, now: datetime) -> LastError:
    return last if last is not None and last.code == code else LastError(code, now)


def _pause(failures: int, retry_after: timedelta | None, jitter: float) -> timedelta:
    first, longest = BACKOFF
    pause = min(first * (1 << min(failures - 1, 10)), longest) * (0.5 + jitter / 2)
    return max(pause, retry_after or timedelta())
