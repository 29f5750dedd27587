"""What an answer of the token endpoint means for a grant: renewed, delayed or stopped."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountState, LastError
from shared.domain.clouds import Resource
from shared.domain.failure import Failure, FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import BREAKER_OPEN_CODE
from shared.domain.principal import TokenSet
from shared.domain.work import WorkKind

BLOCKED_RETRY_INTERVAL = timedelta(days=1)
BACKOFF = (timedelta(minutes=1), timedelta(minutes=30))
CONFIRMATION_DELAY = timedelta(minutes=5)
REQUIRED_CONFIRMATIONS = 3
UNKNOWN_FAILURE_PERIOD = timedelta(days=2)
# How soon a caller who waits for a token may have Entra asked again after a failure.
ON_DEMAND_RETRY_DELAY = timedelta(seconds=10)
BLOCKED_ON_DEMAND_RETRY_DELAY = timedelta(minutes=15)


def grant_after_failure(grant: DelegatedGrant, failure: Failure, now: datetime, jitter: float) -> DelegatedGrant:
    """After a failed refresh: the kind decides the state and the next try (DESIGN: five kinds of failure)."""
    if not failure.confirmed and _waits_to_confirm(grant, now):
        return grant
    if not failure.confirmed and grant.doubts + 1 < REQUIRED_CONFIRMATIONS:
        return _doubted(grant, now, jitter)
    since = grant.failing_since or now
    noted = replace(
        grant,
        failures=grant.failures + 1,
        failing_since=since,
        not_before=now + (failure.retry_after or ON_DEMAND_RETRY_DELAY),
    )
    match failure.kind:
        case FailureKind.NEEDS_SIGN_IN | FailureKind.NEEDS_CONSENT:
            return _stopped(noted, failure, now)
        case FailureKind.BLOCKED:
            return _blocked(noted, failure.code, now, jitter)
        case _ if failure.code == "unknown_failure" and now - since > UNKNOWN_FAILURE_PERIOD:
            return _blocked(noted, failure.code, now, jitter)
        case FailureKind.APP_FAULT if failure.code == BREAKER_OPEN_CODE:
            noted = replace(noted, not_before=None)  # the app's breaker knows when to ask again
    return replace(noted, due=now + _pause(noted.failures, failure.retry_after, jitter))


def _waits_to_confirm(grant: DelegatedGrant, now: datetime) -> bool:
    """Whether an earlier doubt is too young: asked out of turn, the same answer confirms nothing."""
    return bool(grant.doubts) and grant.not_before is not None and now < grant.not_before


def _doubted(grant: DelegatedGrant, now: datetime, jitter: float) -> DelegatedGrant:
    """Refused in words that nobody knows; to be asked again when some minutes have passed."""
    again = now + CONFIRMATION_DELAY * (1 + grant.doubts + jitter)
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
        due=now + BLOCKED_RETRY_INTERVAL * (1 + jitter / 10),
        not_before=now + BLOCKED_ON_DEMAND_RETRY_DELAY,
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


# Failures that a person's sign-in mends.
SIGN_IN_FAILURE_KINDS = {FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT}


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token for this resource, by default the one that the grant lives by; one that meets these claims."""

    resource: Resource | None = None
    claims: str | None = None


DEFAULT_TOKEN_REQUEST = TokenRequest()


@dataclass(frozen=True, slots=True)
class RefreshAnswer:
    """What Entra said of the grant, and of what was wished beyond that, if it refused it.

    `home` is the resource that the grant lives by from now on.
    """

    result: TokenSet | Failure
    request_failure: Failure | None = None
    primary_resource: Resource | None = None

    @property
    def failure(self) -> Failure | None:
        """Why the grant could not be renewed, if it could not."""
        return self.result if isinstance(self.result, Failure) else None

    @property
    def is_complete(self) -> bool:
        """Whether everything that was wished was given."""
        return self.failure is None and self.request_failure is None


def affects_every_request(failure: Failure) -> bool:
    """Whether it would be the same for whatever is asked for: Entra is unwell, or refuses the app's own credential."""
    return failure.kind is FailureKind.TRANSIENT or failure.code == "app_credential"


def was_renewed_meanwhile(grant: DelegatedGrant, before: DelegatedGrant, resource: Resource | None) -> bool:
    """Whether somebody else has renewed the very token meanwhile."""
    held, was = (each.token_for(resource or each.resource) for each in (grant, before))
    return held is not None and (was is None or held.refreshed > was.refreshed)


def grant_after_refresh(
    grant: DelegatedGrant, wish: TokenRequest, answer: RefreshAnswer, now: datetime, jitter: float
) -> DelegatedGrant:
    """What becomes of the grant. An app that no longer covers what it lived by gives it another home."""
    told, refused = answer.result, answer.request_failure
    before = grant.with_primary_resource(answer.primary_resource or grant.resource, now)
    if wish.claims is not None:
        before = replace(before, challenged=now, claims=_unmet(refused))
    if isinstance(told, Failure):
        if before.claims is not None and told.kind in SIGN_IN_FAILURE_KINDS:
            # The sign-in that mends this has to meet the challenge too.
            code = "claims_challenge" if wish.claims else told.code
            told = replace(told, code=code, claims=told.claims or before.claims)
        return grant_after_failure(before, told, now, jitter)
    after = before.renewed(told, now, jitter)
    if refused is not None and wish.claims is None and wish.resource is not None:
        after = after.with_refusal(wish.resource, refused.code, now, jitter)
    return after


def _unmet(refused: Failure | None) -> str | None:
    """The claims that the next sign-in has to carry; where a policy blocks, none would help.

    They are those that Microsoft returned, never the caller's: a sign-in with made-up claims might be refused.
    """
    return refused.claims if refused is not None and refused.kind in SIGN_IN_FAILURE_KINDS else None
