"""The access token of an account. The grant is refreshed if its token does not last five more minutes.

Callers can also demand a refresh, at most two a minute for each grant.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.account import Account, AccountState
from shared.domain.clouds import Resource
from shared.domain.errors import InvalidInput, NotFound, StaleWrite, Unavailable
from shared.domain.failure import FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.remedy import Reader, remedy
from shared.domain.renewal import SIGN_IN_FAILURE_KINDS
from shared.domain.tokens import DEFAULT_TOKEN_REQUEST, ResourceToken, TokenRequest
from shared.domain.work import Work
from shared.ports import App, Replace, Stored
from shared.usecases.tokens.account_grant import look_up_account, not_authorized, remembered_account
from shared.usecases.tokens.refresh import Refreshed, refresh_grant

log = logging.getLogger(__name__)

DEFAULT_RETRY_AFTER = timedelta(seconds=10)


type AccountCheck = Callable[[Account], None]
"""Refuses an account, with an exception, before a token is looked for."""


def any_account(_: Account) -> None:
    """Refuse no account."""


class AccountToken(NamedTuple):
    """A token of an account, for use inside Mailbind. `cached` is false if Entra issued it for this request."""

    account: Account
    grant: DelegatedGrant
    token: ResourceToken
    cached: bool


async def account_token(
    app: App, account_id: str, resource: Resource | None = None, *, check: AccountCheck = any_account
) -> AccountToken:
    """The account's token for a resource, by default the grant's primary one; its use makes the grant hot.

    Costs no storage request if this process remembers the grant with a token that can be used. Raises NotFound,
    InvalidInput (the OAuth app does not cover the resource), NotAuthorized (a person must act) and Unavailable (try
    later).
    """
    account, stored = remembered_account(app, account_id, resource) or await look_up_account(app, account_id)
    check(account)
    resource = resource or stored.value.resource
    token, now = stored.value.token_for(resource), app.clock()
    if token is None or not token.is_usable(now):
        return _new_token(account, await renewed_grant(app, stored, resource), resource)
    if not token.has_recent_hand_out(now):
        await _record_hand_out(app, stored, resource)
    return AccountToken(account, stored.value, token, cached=True)


async def challenged_token(
    app: App,
    account_id: str,
    claims: str | None,
    resource: Resource | None = None,
    *,
    check: AccountCheck = any_account,
) -> AccountToken:
    """A new token, which answers a challenge if there are `claims`. Ignores the cached token.

    Raises what `account_token` raises, TooManyRequests, and InvalidInput for claims that Microsoft rejects.
    (Entra: "Claims challenges, claims requests".)

    A caller may make claims up, so claims alone never stop a grant: if Entra demands a sign-in, the grant is refreshed
    without them, and other callers continue as long as that succeeds. The claims that Microsoft returns are kept for
    the next sign-in, for a day; those of the caller are not kept.
    """
    account, stored = await look_up_account(app, account_id)
    check(account)
    resource = resource or stored.value.resource
    await _check_covered(app, stored.value, resource)
    _check_refreshable(stored.value, app.clock())
    refreshed = await refresh_on_demand(app, stored, TokenRequest(resource, claims), hand_out=True)
    request_failure = refreshed.request_failure if refreshed and refreshed.failure is None else None
    if claims is not None and request_failure is not None:
        if request_failure.kind in SIGN_IN_FAILURE_KINDS:
            raise not_authorized("claims_challenge")
        if request_failure.kind is FailureKind.APP_FAULT:
            raise InvalidInput({"claims": '"claims" were rejected by Microsoft'})
    return _new_token(account, _renewed(refreshed), resource)


async def token_after_rejection(app: App, rejected: AccountToken, claims: str | None) -> AccountToken:
    """Another token than one that Graph answered with 401, with the claims of Graph's challenge if there was one.

    However many calls were rejected with the same token, it is refreshed once. Raises what `account_token` raises, and
    TooManyRequests.
    """
    account, resource = rejected.account, rejected.token.resource

    async def refresh_once() -> AccountToken:
        account_now, stored = await look_up_account(app, account.id)
        token = stored.value.token_for(resource)
        if token is not None and token.token != rejected.token.token and token.is_usable(app.clock()):
            return AccountToken(account_now, stored.value, token, cached=True)
        return await challenged_token(app, account.id, claims, resource)

    try:
        return await app.caches.refreshes((account.id, resource, claims), refresh_once)
    except InvalidInput:  # not the caller's: Graph made these claims, and the token shows that the resource is covered
        raise _unavailable("entra_unavailable", None) from None


async def renewed_grant(
    app: App, stored: Stored[DelegatedGrant], resource: Resource, *, hand_out: bool = True
) -> DelegatedGrant:
    """Refresh once, however many callers wait for the same token. Raises what `account_token` raises.

    Without `hand_out` the token is not for a caller, and does not make the grant hot.
    """
    grant = stored.value
    await _check_covered(app, grant, resource)
    _check_refreshable(grant, app.clock())
    if code := grant.refusal_code(app.clock(), resource):
        raise not_authorized(code)

    async def refresh_once() -> Refreshed | None:
        # Another caller's refresh may have ended just after the grant was read.
        current = await app.stores.principals.grant(grant.principal.id, grant.app)
        if current is None or current.value.has_usable_token(app.clock(), resource):
            return Refreshed(current) if current else None
        return await refresh_grant(app, current, TokenRequest(resource), hand_out=hand_out)

    return _renewed(await app.caches.refreshes((grant.principal.id, grant.app, resource), refresh_once))


async def refresh_on_demand(
    app: App,
    stored: Stored[DelegatedGrant],
    request: TokenRequest = DEFAULT_TOKEN_REQUEST,
    *,
    hand_out: bool = False,
) -> Refreshed | None:
    """Refresh a grant that a caller demands, ignoring its cached token; see `refresh_grant`.

    The limit belongs to the grant, for all its accounts, callers and instances. The refresh is counted in the grant's
    row before Entra is asked, so concurrent requests cannot exceed it. Raises TooManyRequests, Unavailable while the
    grant waits after a temporary failure, and Conflict.
    """

    def count(grant: DelegatedGrant) -> DelegatedGrant:
        now = app.clock()
        if grant.not_before is not None and now < grant.not_before and grant.state is AccountState.CONNECTED:
            raise _unavailable("entra_unavailable", grant.not_before - now)
        return grant.with_on_demand_refresh(now)

    counted = await app.stores.principals.update_grant(stored, count)
    if counted is None:
        return None
    return await refresh_grant(app, counted, request, hand_out=hand_out, on_demand=True)


async def _check_covered(app: App, grant: DelegatedGrant, resource: Resource) -> None:
    """Raise InvalidInput if the OAuth app has no scopes of the resource."""
    oauth_app = await app.oauth_apps.get(grant.app)
    if oauth_app is not None and resource not in oauth_app.resources:
        resources = ", ".join(oauth_app.resources)
        raise InvalidInput({"resource": f'"resource" must be one of [{resources}] for this account'})


def _check_refreshable(grant: DelegatedGrant, now: datetime) -> None:
    """Raise NotAuthorized if only a person can help, and Unavailable before `not_before`."""
    if grant.due is None:
        raise not_authorized(grant.last_error.code if grant.last_error else "needs_sign_in")
    if grant.not_before is not None and now < grant.not_before:
        if grant.state is AccountState.CONNECT_ERROR and grant.last_error is not None:
            raise not_authorized(grant.last_error.code)
        raise _unavailable("entra_unavailable", grant.not_before - now)


def _renewed(refreshed: Refreshed | None) -> DelegatedGrant:
    """Return the renewed grant, or raise what the failure means for a caller."""
    if refreshed is None:
        raise NotFound("No such account")
    grant, failure = refreshed.grant.value, refreshed.failure
    if refreshed.request_failure is not None and failure is None:
        raise not_authorized(refreshed.request_failure.code)
    if failure is None:
        return grant
    if failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT} or not failure.confirmed:
        raise _unavailable(failure.code if failure.confirmed else "entra_unavailable", failure.retry_after)
    raise not_authorized(grant.last_error.code if grant.last_error else failure.code)


def _unavailable(code: str, retry_after: timedelta | None) -> Unavailable:
    return Unavailable(code, remedy(code, Reader.CALLER).message, retry_after or DEFAULT_RETRY_AFTER)


async def _record_hand_out(app: App, stored: Stored[DelegatedGrant], resource: Resource) -> None:
    grant = stored.value
    recorded = grant.with_hand_out(app.clock(), app.jitter(), resource)
    try:
        if recorded.due is not None and recorded.due != grant.due:
            await app.stores.agenda.add(Work(recorded.work, recorded.due, grant.principal.id, grant.app))
        await app.stores.principals.commit(grant.principal.id, [Replace(recorded, stored.version)])
        app.tally.count_change(grant, recorded)
    except (StaleWrite, Unavailable):
        # The token is valid whether or not its hand-out was recorded; the next hand-out records itself.
        log.warning("hand-out not marked", extra={"principal": grant.principal.id})


def _new_token(account: Account, grant: DelegatedGrant, resource: Resource) -> AccountToken:
    """Raises Unavailable if another instance removed the token meanwhile."""
    token = grant.token_for(resource)
    if token is None:
        raise _unavailable("entra_unavailable", None)
    return AccountToken(account, grant, token, cached=False)
