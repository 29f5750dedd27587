"""Hand out an access token that is good for at least five more minutes, or one that answers a claims challenge."""

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from shared.domain.account import MAILBOX_REPLACED, Account, AccountState
from shared.domain.clouds import Resource
from shared.domain.errors import InvalidInput, NotFound, StaleWrite, Unavailable
from shared.domain.failure import FailureKind
from shared.domain.formats import table_key
from shared.domain.grant import DelegatedGrant
from shared.domain.renewal import SIGN_IN_FAILURE_KINDS
from shared.domain.secret import Secret
from shared.domain.tokens import ResourceToken, TokenRequest
from shared.domain.work import Work
from shared.ports import App, CachedAccount, Replace, Stored
from shared.usecases.accounts.read import known_account
from shared.usecases.tokens.on_demand import check_askable, refresh_on_demand, refusal, settled, unavailable
from shared.usecases.tokens.refresh import Refreshed, refresh_grant

log = logging.getLogger(__name__)

MAX_CACHED_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class HandedOut:
    """An access token for one mailbox. `cached` is false when Entra was asked for it just now."""

    account: str
    resource: Resource
    sign_in_name: str
    email: str
    access_token: Secret
    scopes: tuple[str, ...]
    expires: datetime
    cached: bool
    app: str


async def hand_out(app: App, account_id: str, resource: Resource | None = None) -> HandedOut:
    """A token for the account and a resource, by default the grant's own.

    Costs one point read when the account is cached: the grant's row says whether the cached account is still valid.
    Raises NotFound, InvalidInput (the OAuth app does not cover the resource), NotAuthorized (a person must act) and
    Unavailable (try later).
    """
    account, stored = await look_up_account(app, account_id)
    resource = resource or stored.value.resource
    held, now = stored.value.token_for(resource), app.clock()
    if held is None or not held.is_usable(now):
        grant = await renewed_grant(app, stored, resource)
        return handed_out(account, grant, grant.token_for(resource), cached=False)
    if not held.has_recent_hand_out(now):
        await _mark_handed_out(app, stored, resource)
    return handed_out(account, stored.value, held, cached=True)


async def check_covered(app: App, grant: DelegatedGrant, resource: Resource) -> None:
    """Raise InvalidInput for a resource that the OAuth app asks nothing of."""
    oauth_app = await app.oauth_apps.get(grant.app)
    if oauth_app is not None and resource not in oauth_app.resources:
        raise InvalidInput(
            {"resource": f'"resource" must be one of [{", ".join(oauth_app.resources)}] for this account'}
        )


async def look_up_account(app: App, account_id: str) -> tuple[Account, Stored[DelegatedGrant]]:
    """The account and its grant.

    Raises NotFound, and NotAuthorized for an account that is paused or whose address leads to another mailbox.
    """
    account, stored = await _cached_account(app, account_id)
    if account.state is AccountState.PAUSED:
        raise refusal("account_paused")
    if account.replaced_since is not None:
        raise refusal(MAILBOX_REPLACED)
    return account, stored


async def _cached_account(app: App, account_id: str) -> tuple[Account, Stored[DelegatedGrant]]:
    known = app.caches.accounts.get(table_key(account_id))
    if known is not None:
        stored = await app.stores.principals.grant(known.account.principal_id, known.account.app)
        if stored is not None and stored.value.bindings == known.bindings:
            return known.account, stored
    app.caches.accounts.pop(table_key(account_id), None)
    found = await known_account(app, account_id)
    return await _read_account(app, found.account.value)


async def _read_account(app: App, seen: Account) -> tuple[Account, Stored[DelegatedGrant]]:
    # Grant first: if the account is there after its grant was read, it was there when those bindings were.
    stored = await app.stores.principals.grant(seen.principal_id, seen.app)
    again = await app.stores.principals.account(seen.principal_id, seen.id)
    if stored is None or again is None:
        raise NotFound("No such account")
    app.caches.accounts[table_key(seen.id)] = CachedAccount(again.value, stored.value.bindings)
    if len(app.caches.accounts) > MAX_CACHED_ACCOUNTS:
        app.caches.accounts.popitem(last=False)
    return again.value, stored


async def renewed_grant(
    app: App, stored: Stored[DelegatedGrant], resource: Resource, *, hand_out: bool = True
) -> DelegatedGrant:
    """Refresh once, however many callers wait for the same token. Raises what a hand-out does.

    Without `hand_out` the token is not for a caller, and does not make the grant hot.
    """
    grant = stored.value
    await check_covered(app, grant, resource)
    check_askable(grant, app.clock())
    if refused := grant.refusal_code(app.clock(), resource):
        raise refusal(refused)
    name = (grant.principal.id, grant.app, resource)
    return settled(await app.caches.refreshes(name, partial(partial(_refresh_once, app), *name, hand_out=hand_out)))


async def _refresh_once(
    app: App, principal_id: str, app_id: str, resource: Resource, *, hand_out: bool
) -> Refreshed | None:
    """Read again first: a caller may have looked just before somebody else's refresh came to its end."""
    stored = await app.stores.principals.grant(principal_id, app_id)
    if stored is None:
        return None
    if stored.value.has_usable_token(app.clock(), resource):
        return Refreshed(stored)
    return await refresh_grant(app, stored, TokenRequest(resource), hand_out=hand_out)


async def _mark_handed_out(app: App, stored: Stored[DelegatedGrant], resource: Resource) -> None:
    grant = stored.value
    marked = grant.with_hand_out(app.clock(), app.jitter(), resource)
    try:
        if marked.due is not None and marked.due != grant.due:
            await app.stores.agenda.add(Work(marked.work, marked.due, grant.principal.id, grant.app))
        await app.stores.principals.commit(grant.principal.id, [Replace(marked, stored.version)])
        app.tally.moved(grant, marked)
    except (StaleWrite, Unavailable):
        # The token is good whether or not the mark could be written; the next hand-out writes it.
        log.warning("hand-out not marked", extra={"principal": grant.principal.id})


def handed_out(account: Account, grant: DelegatedGrant, held: ResourceToken | None, *, cached: bool) -> HandedOut:
    """The answer with one of the grant's tokens. Raises Unavailable when others took it away meanwhile."""
    if held is None:
        raise unavailable("entra_unavailable", None)
    return HandedOut(
        account=account.id,
        resource=held.resource,
        sign_in_name=grant.principal.sign_in_name,
        email=account.email,
        access_token=held.token,
        scopes=held.scopes,
        expires=held.expires,
        cached=cached,
        app=grant.app,
    )


async def answer_challenge(app: App, account_id: str, claims: str, resource: Resource | None = None) -> HandedOut:
    """A token that meets the claims, which `read_challenge` wrote. Raises as HandOut does, and TooManyRequests.

    A refresh with the claims, past the token that is there (Entra: "Claims challenges, claims requests").

    Callers who may take an account's tokens may pass claims on, and may make them up. So claims alone never stop a
    grant: when Entra asks for a person, it is asked again without them, and other callers go on as long as that
    succeeds. What Microsoft returns waits a day for the next sign-in; the caller's claims are not kept.
    """
    account, stored = await look_up_account(app, account_id)
    grant = stored.value
    resource = resource or grant.resource
    await check_covered(app, grant, resource)
    check_askable(grant, app.clock())
    refreshed = await refresh_on_demand(app, stored, TokenRequest(resource, claims), hand_out=True)
    refused = refreshed.refused if refreshed and refreshed.failure is None else None
    if refused is not None and refused.kind in SIGN_IN_FAILURE_KINDS:
        raise refusal("claims_challenge")
    if refused is not None and refused.kind is FailureKind.APP_FAULT:
        raise InvalidInput({"claims": '"claims" are not such as Microsoft accepts'})
    grant = settled(refreshed)
    return handed_out(account, grant, grant.token_for(resource), cached=False)
