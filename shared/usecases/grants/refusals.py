"""Refusals: what a caller is told when there is no token to hand out."""

from datetime import datetime, timedelta

from shared.domain.account import AccountState
from shared.domain.errors import NotAuthorized, NotFound, Unavailable
from shared.domain.failure import FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.remedy import remedy
from shared.usecases.grants.refresh_grant import Refreshed


def check_askable(grant: DelegatedGrant, now: datetime) -> None:
    """Raise NotAuthorized when only a person can help, Unavailable when Entra asked for a pause."""
    if grant.due is None:
        raise refusal(grant.last_error.code if grant.last_error else "needs_sign_in")
    if grant.not_before is not None and now < grant.not_before:
        if grant.state is AccountState.CONNECT_ERROR and grant.last_error is not None:
            raise refusal(grant.last_error.code)
        raise unavailable("entra_unavailable", grant.not_before - now)


def check_pause(grant: DelegatedGrant, now: datetime) -> None:
    """Raise Unavailable while Entra asks for a pause, also to those who may ask for a grant that was given up."""
    waits = grant.not_before is not None and now < grant.not_before
    if grant.not_before is not None and waits and grant.state is AccountState.CONNECTED:
        raise unavailable("entra_unavailable", grant.not_before - now)


def settled(refreshed: Refreshed | None) -> DelegatedGrant:
    """The renewed grant. Raises what its failure means to a caller."""
    if refreshed is None:
        raise NotFound("No such account")
    grant, failure = refreshed.grant.value, refreshed.failure
    if refreshed.refused is not None and failure is None:
        raise refusal(refreshed.refused.code)
    if failure is None:
        return grant
    if failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT} or not failure.confirmed:
        raise unavailable(failure.code if failure.confirmed else "entra_unavailable", failure.retry_after)
    raise refusal(grant.last_error.code if grant.last_error else failure.code)


def refusal(code: str) -> NotAuthorized:
    """A refusal that says what to do."""
    return NotAuthorized(code, f"{remedy(code).what} {remedy(code).action}")


def unavailable(code: str, retry_after: timedelta | None) -> Unavailable:
    """A refusal for now, which says when to try again."""
    return Unavailable(code, f"{remedy(code).what} {remedy(code).action}", retry_after or timedelta(seconds=10))
