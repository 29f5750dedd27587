"""Refreshes that a caller asks for, at most two a minute for each grant, and refusals when there is no token."""

from datetime import datetime, timedelta

from shared.domain.account import AccountState
from shared.domain.errors import NotAuthorized, NotFound, Unavailable
from shared.domain.failure import FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.remedy import remedy
from shared.domain.tokens import DEFAULT_TOKEN_REQUEST, TokenRequest
from shared.ports import App, Stored
from shared.usecases.tokens.refresh import Refreshed, refresh_grant


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


async def refresh_on_demand(
    app: App, stored: Stored[DelegatedGrant], wish: TokenRequest = DEFAULT_TOKEN_REQUEST, *, hand_out: bool = False
) -> Refreshed | None:
    """Refresh a grant, ignoring its cached token; see `refresh_grant`.

    The limit belongs to the grant, for all its accounts, callers and instances. The request is counted in the grant's
    row before Entra is asked, so no more pass at the same moment. Raises TooManyRequests, Unavailable while Entra asks
    for a pause, and Conflict.
    """

    def count(grant: DelegatedGrant) -> DelegatedGrant:
        now = app.clock()
        check_pause(grant, now)
        return grant.with_on_demand_refresh(now)

    counted = await app.stores.principals.update_grant(stored, count)
    return None if counted is None else await refresh_grant(app, counted, wish, hand_out=hand_out, on_demand=True)
