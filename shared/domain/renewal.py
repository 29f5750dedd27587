"""What an answer of the token endpoint means for a grant: renewed, retried later, or stopped until a new sign-in."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.account import AccountState, LastError
from shared.domain.clouds import Resource
from shared.domain.entra_errors import BLOCKED_RETRY_INTERVAL
from shared.domain.failure import ENTRA_SETUP, Failure, FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import BREAKER_OPEN_CODE
from shared.domain.tokens import RefreshAnswer, TokenRequest
from shared.domain.work import WorkKind

FIRST_RETRY_DELAY, MAX_RETRY_DELAY = timedelta(minutes=1), timedelta(minutes=30)
# An `invalid_grant` without a known reason stops the grant only after this many such answers, minutes apart.
REQUIRED_CONFIRMATIONS = 3
CONFIRMATION_DELAY = timedelta(minutes=5)
# After this period of unknown failures the grant counts as blocked.
UNKNOWN_FAILURE_PERIOD = timedelta(days=2)
# How soon after a failure a caller who waits for a token causes another refresh.
ON_DEMAND_RETRY_DELAY = timedelta(seconds=10)
BLOCKED_ON_DEMAND_RETRY_DELAY = timedelta(minutes=15)

# Failures that a new sign-in of the person repairs.
SIGN_IN_FAILURE_KINDS = {FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT}


def affects_every_request(failure: Failure) -> bool:
    """Whether any other token request would fail as well: Entra is down, or it refuses the app's own credential."""
    return failure.kind is FailureKind.TRANSIENT or failure.code in {"app_credential", ENTRA_SETUP}


def was_renewed_meanwhile(grant: DelegatedGrant, before: DelegatedGrant, resource: Resource | None) -> bool:
    """Whether another instance has renewed this resource's token since `before` was read."""
    token, token_before = (each.token_for(resource or each.resource) for each in (grant, before))
    return token is not None and (token_before is None or token.refreshed > token_before.refreshed)


def is_believed(failure: Failure, doubts: int) -> bool:
    """Whether a refusal is believed: one without a known reason only after `doubts` earlier answers like it."""
    return failure.confirmed or doubts + 1 >= REQUIRED_CONFIRMATIONS


def confirmation_delay(doubts: int, jitter: float) -> timedelta:
    """How long to wait before Entra is asked again about a refusal without a known reason."""
    return CONFIRMATION_DELAY * (1 + doubts + jitter)


def grant_after_refresh(
    grant: DelegatedGrant, request: TokenRequest, answer: RefreshAnswer, now: datetime, jitter: float
) -> DelegatedGrant:
    """The grant after Entra's answer to a refresh."""
    before = grant.with_primary_resource(answer.primary_resource or grant.resource, now)
    if request.claims is not None:
        before = replace(before, challenged=now, claims=_claims_for_sign_in(answer.request_failure))
    if isinstance(answer.result, Failure):
        return grant_after_failure(before, _with_open_claims(answer.result, before, request), now, jitter)
    renewed = before.renewed(answer.result, now, jitter)
    if answer.request_failure is not None and request.claims is None and request.resource is not None:
        return renewed.with_refusal(request.resource, answer.request_failure.code, now, jitter)
    return renewed


def grant_after_failure(grant: DelegatedGrant, failure: Failure, now: datetime, jitter: float) -> DelegatedGrant:
    """The grant after a failed refresh. The kind of failure decides its state and when it is tried next."""
    if not failure.confirmed and _is_too_early_to_confirm(grant, now):
        return grant
    if not is_believed(failure, grant.doubts):
        return _doubted(grant, now, jitter)
    failed = replace(
        grant,
        failures=grant.failures + 1,
        failing_since=grant.failing_since or now,
        not_before=now + (failure.retry_after or ON_DEMAND_RETRY_DELAY),
    )
    match failure.kind:
        case FailureKind.NEEDS_SIGN_IN | FailureKind.NEEDS_CONSENT:
            return _stopped(failed, failure, now)
        case FailureKind.BLOCKED:
            return _blocked(failed, failure.code, now, failure.retry_after or BLOCKED_RETRY_INTERVAL, jitter)
        case _ if failure.code == "unknown_failure" and _is_failing_too_long(failed, now):
            return _blocked(failed, failure.code, now, BLOCKED_RETRY_INTERVAL, jitter)
        case FailureKind.APP_FAULT if failure.code == BREAKER_OPEN_CODE:
            failed = replace(failed, not_before=None)  # the app's circuit breaker decides when Entra is called again
    return replace(failed, due=now + _retry_delay(failed.failures, failure.retry_after, jitter))


def _doubted(grant: DelegatedGrant, now: datetime, jitter: float) -> DelegatedGrant:
    """Refused without a known reason: ask again in a few minutes before believing it."""
    retry = now + confirmation_delay(grant.doubts, jitter)
    return replace(
        grant,
        failures=grant.failures + 1,
        failing_since=grant.failing_since or now,
        doubts=grant.doubts + 1,
        due=retry,
        not_before=retry,
    )


def _stopped(grant: DelegatedGrant, failure: Failure, now: datetime) -> DelegatedGrant:
    """No more refreshes until the person signs in again."""
    return replace(
        grant,
        due=None,
        state=AccountState.AUTHENTICATION_ERROR,
        last_error=_last_error(grant, failure.code, now),
        claims=failure.claims,
    )


def _blocked(grant: DelegatedGrant, code: str, now: datetime, interval: timedelta, jitter: float) -> DelegatedGrant:
    """Refused for a reason that may go away without a sign-in: retry slowly."""
    return replace(
        grant,
        due=now + interval * (1 + jitter / 10),
        not_before=now + BLOCKED_ON_DEMAND_RETRY_DELAY,
        work=WorkKind.REFRESH,
        state=AccountState.CONNECT_ERROR,
        last_error=_last_error(grant, code, now),
    )


def _last_error(grant: DelegatedGrant, code: str, now: datetime) -> LastError:
    """The error with the time when it first occurred."""
    last = grant.last_error
    return last if last is not None and last.code == code else LastError(code, now)


def _is_too_early_to_confirm(grant: DelegatedGrant, now: datetime) -> bool:
    """Whether an earlier doubt is so recent that the same answer, for a caller's sake, confirms nothing."""
    return bool(grant.doubts) and grant.not_before is not None and now < grant.not_before


def _is_failing_too_long(grant: DelegatedGrant, now: datetime) -> bool:
    return grant.failing_since is not None and now - grant.failing_since > UNKNOWN_FAILURE_PERIOD


def _retry_delay(failures: int, retry_after: timedelta | None, jitter: float) -> timedelta:
    """Exponential backoff, at least as long as Entra asks for."""
    delay = min(FIRST_RETRY_DELAY * (1 << min(failures - 1, 10)), MAX_RETRY_DELAY) * (0.5 + jitter / 2)
    return max(delay, retry_after or timedelta())


def _with_open_claims(failure: Failure, grant: DelegatedGrant, request: TokenRequest) -> Failure:
    """The failure, so that the sign-in that repairs the grant also answers an open claims challenge."""
    if grant.claims is None or failure.kind not in SIGN_IN_FAILURE_KINDS:
        return failure
    code = "claims_challenge" if request.claims else failure.code
    return failure._replace(code=code, claims=failure.claims or grant.claims)


def _claims_for_sign_in(request_failure: Failure | None) -> str | None:
    """The claims that Microsoft returned for the next sign-in to carry; none when a sign-in would not help.

    The caller's own claims are never used: a sign-in with made-up claims might be refused.
    """
    if request_failure is None or request_failure.kind not in SIGN_IN_FAILURE_KINDS:
        return None
    return request_failure.claims
