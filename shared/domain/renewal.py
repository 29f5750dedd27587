"""What an answer of the token endpoint means for a grant: renewed, delayed or stopped."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountState, LastError
from shared.domain.clouds import Resource
from shared.domain.failure import Failure, FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OPENS
from shared.domain.principal import TokenSet
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


# Failures that a person's sign-in mends.
PERSONS = {FailureKind.NEEDS_SIGN_IN, FailureKind.NEEDS_CONSENT}


@dataclass(frozen=True, slots=True)
class Wish:
    """A token for this resource, by default the one that the grant lives by; one that meets these claims."""

    resource: Resource | None = None
    claims: str | None = None


PLAIN = Wish()


@dataclass(frozen=True, slots=True)
class EntraAnswer:
    """What Entra said of the grant, and of what was wished beyond that, if it refused it.

    `home` is the resource that the grant lives by from now on.
    """

    grant: TokenSet | Failure
    refused: Failure | None = None
    home: Resource | None = None

    @property
    def failure(self) -> Failure | None:
        """Why the grant could not be renewed, if it could not."""
        return self.grant if isinstance(self.grant, Failure) else None

    @property
    def granted(self) -> bool:
        """Whether everything that was wished was given."""
        return self.failure is None and self.refused is None


def about_all(failure: Failure) -> bool:
    """Whether it would be the same for whatever is asked for: Entra is unwell, or refuses the app's own credential."""
    return failure.kind is FailureKind.TRANSIENT or failure.code == "app_credential"


def is_newer(grant: DelegatedGrant, before: DelegatedGrant, resource: Resource | None) -> bool:
    """Whether somebody else has renewed the very token meanwhile."""
    held, was = (each.held(resource or each.resource) for each in (grant, before))
    return held is not None and (was is None or held.refreshed > was.refreshed)


def after_answer(
    grant: DelegatedGrant, wish: Wish, answer: EntraAnswer, now: datetime, jitter: float
) -> DelegatedGrant:
    """What becomes of the grant. An app that no longer covers what it lived by gives it another home."""
    told, refused = answer.grant, answer.refused
    before = grant.living_by(answer.home or grant.resource, now)
    if wish.claims is not None:
        before = replace(before, challenged=now, claims=_unmet(refused))
    if isinstance(told, Failure):
        if before.claims is not None and told.kind in PERSONS:
            # The sign-in that mends this has to meet the challenge too.
            code = "claims_challenge" if wish.claims else told.code
            told = replace(told, code=code, claims=told.claims or before.claims)
        return after_failure(before, told, now, jitter)
    after = before.renewed(told, now, jitter)
    if refused is not None and wish.claims is None and wish.resource is not None:
        after = after.refused(wish.resource, refused.code, now, jitter)
    return after


def _unmet(refused: Failure | None) -> str | None:
    """The claims that the next sign-in has to carry; where a policy blocks, none would help.

    They are those that Microsoft returned, never the caller's: a sign-in with made-up claims might be refused.
    """
    return refused.claims if refused is not None and refused.kind in PERSONS else None
