"""Refresh one grant, and store the new tokens or the failure.

An answer of Entra that cannot be stored is kept in the memory of this process, so that Entra is not asked again.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from shared.domain.account import Account, AccountState
from shared.domain.clouds import Resource
from shared.domain.errors import Conflict, MailbindError, StaleWrite, Unavailable
from shared.domain.event import EventName
from shared.domain.failure import Failure, FailureKind
from shared.domain.grant import DelegatedGrant
from shared.domain.oauth_app import OAuthApp
from shared.domain.renewal import affects_every_request, grant_after_failure, was_renewed_meanwhile
from shared.domain.tokens import DEFAULT_TOKEN_REQUEST, MIN_HAND_OUT_LIFETIME, RefreshAnswer, TokenRequest, TokenSet
from shared.domain.work import Work
from shared.ports import (
    App,
    Change,
    EntraFailed,
    Replace,
    Stored,
    UnstoredAnswer,
    retry_with_stored,
)
from shared.usecases.events.outbox import account_events

log = logging.getLogger(__name__)

UNSTORED_FAILURE_LIFETIME = timedelta(minutes=5)
# A transaction has at most 100 changes: the grant, and each account with its event.
MAX_ACCOUNTS_PER_TRANSACTION = 49
EVENT_NAMES = {
    AccountState.CONNECTED: EventName.AUTHENTICATION_SUCCESS,
    AccountState.AUTHENTICATION_ERROR: EventName.AUTHENTICATION_ERROR,
    AccountState.CONNECT_ERROR: EventName.CONNECT_ERROR,
}
# Retried once a day, because an app of the settings may come back.
OAUTH_APP_GONE = Failure(FailureKind.BLOCKED, "oauth_app_gone")
NOT_STORED = Failure(FailureKind.TRANSIENT, "storage_unavailable")


class Refreshed(NamedTuple):
    """The grant as it is stored now, and why it could not be renewed, or None.

    `request_failure` says why there is no token with the requested resource or claims, although the grant was renewed.
    If `stored` is false, the grant could not be stored: its tokens are valid, but only this process knows them.
    """

    grant: Stored[DelegatedGrant]
    failure: Failure | None = None
    request_failure: Failure | None = None
    stored: bool = True


class ChangedAccount(NamedTuple):
    """An account that follows its grant into another state, with the changes to write: its row, and its event."""

    before: Account
    after: Account
    changes: tuple[Change, ...]


async def refresh_grant(
    app: App,
    stored: Stored[DelegatedGrant],
    request: TokenRequest = DEFAULT_TOKEN_REQUEST,
    *,
    hand_out: bool = False,
    on_demand: bool = False,
) -> Refreshed | None:
    """Request new tokens and store the answer. Returns None if the grant was removed meanwhile.

    No lock is needed: Entra keeps the older refresh token valid, and the newer token set wins.

    `hand_out` says that a caller is waiting for the token, which makes it hot. `on_demand` sends a request to Entra
    even if an earlier answer still waits to be stored.
    """
    # Decrypt first: a token that cannot be decrypted must not use up the trial of a circuit breaker.
    stored.value.refresh_token.reveal()
    unstored = None if on_demand else _unstored_answer(app, stored.value, request)
    if unstored is not None and unstored.waits(app.clock()):
        return _refreshed_in_memory(app, stored, request, unstored, hand_out=hand_out)
    answer = unstored.answer if unstored else await _ask_entra(app, stored.value, request)
    received = UnstoredAnswer(answer, unstored.at if unstored else app.clock(), app.clock())
    try:
        refreshed = await _store_answer(app, stored, request, received, hand_out=hand_out)
    except Conflict:  # other instances keep writing this grant
        raise
    except MailbindError as error:
        ids = {"principal": stored.value.principal.id, "app": stored.value.app}
        reason = {**ids, "reason": type(error).__name__}
        log.error("refreshed grant not stored", extra=reason)  # noqa: TRY400 - a traceback may hold addresses
        _keep_in_memory(app, stored.value, request, received)
        if not isinstance(error, Unavailable):
            await _count_failure(app, stored.value)
        return _refreshed_in_memory(app, stored, request, received, hand_out=hand_out)
    app.caches.unstored_answers.discard(_cache_key(stored.value, request))
    return refreshed


async def _store_answer(
    app: App, stored: Stored[DelegatedGrant], request: TokenRequest, received: UnstoredAnswer, *, hand_out: bool
) -> Refreshed | None:
    """Write the grant with its accounts and events. It is read again only after a conflict."""
    answer, jitter = received.answer, app.jitter()

    async def attempt(current: Stored[DelegatedGrant]) -> Refreshed:
        if request.claims is None and was_renewed_meanwhile(current.value, stored.value, request.resource):
            return Refreshed(current)
        after = received.applied(current.value, request, jitter, hand_out=hand_out)
        written = await _write_grant(app, current, after, answer.failure)
        _log_answer(after, answer)
        return Refreshed(written, answer.failure, answer.request_failure)

    read = partial(app.stores.principals.grant, stored.value.principal.id, stored.value.app)
    return await retry_with_stored(stored, read, attempt)


def _refreshed_in_memory(
    app: App, stored: Stored[DelegatedGrant], request: TokenRequest, received: UnstoredAnswer, *, hand_out: bool
) -> Refreshed:
    after = received.applied(stored.value, request, app.jitter(), hand_out=hand_out)
    return Refreshed(
        Stored(after, stored.version), received.answer.failure, received.answer.request_failure, stored=False
    )


def _unstored_answer(app: App, grant: DelegatedGrant, request: TokenRequest) -> UnstoredAnswer | None:
    """An earlier answer to this request that is not stored, unless the grant has newer tokens by now."""
    received = (
        app.caches.unstored_answers.get(_cache_key(grant, request), app.clock()) if request.claims is None else None
    )
    return received if received is not None and grant.last_refreshed <= received.at else None


def _keep_in_memory(app: App, grant: DelegatedGrant, request: TokenRequest, received: UnstoredAnswer) -> None:
    """Keep tokens as long as they may be handed out, and a failure for minutes. Answers to claims are not kept."""
    if request.claims is not None:
        return
    tokens = received.answer.result
    until = (
        tokens.expires - MIN_HAND_OUT_LIFETIME
        if isinstance(tokens, TokenSet)
        else received.at + UNSTORED_FAILURE_LIFETIME
    )
    app.caches.unstored_answers.put(_cache_key(grant, request), received, received.at, until)


def _cache_key(grant: DelegatedGrant, request: TokenRequest) -> str:
    return f"{grant.principal.id}|{grant.app}|{request.resource or grant.resource}"


async def _count_failure(app: App, grant: DelegatedGrant) -> None:
    """Delay the next retry, because storage works but does not accept the tokens. Callers can still get them."""
    with suppress(MailbindError, StaleWrite):
        current = await app.stores.principals.grant(grant.principal.id, grant.app)
        if current is not None and current.value.due is not None:
            failed_grant = grant_after_failure(current.value, NOT_STORED, app.clock(), app.jitter())
            await _write_grant(app, current, replace(failed_grant, not_before=current.value.not_before), NOT_STORED)


async def _ask_entra(app: App, grant: DelegatedGrant, request: TokenRequest) -> RefreshAnswer:
    """Request what the caller wants. If Entra refuses it, request the grant's primary resource without claims.

    Consent and policies apply to one resource, and claims come from one caller. Neither may stop a grant that Entra
    still renews.
    """
    oauth_app = await app.oauth_apps.get(grant.app)
    if oauth_app is None:
        return RefreshAnswer(OAUTH_APP_GONE)
    primary = grant.resource if grant.resource in oauth_app.resources else oauth_app.primary_resource
    resource = request.resource if request.resource in oauth_app.resources else primary
    first_result = await _refresh_resource(app, oauth_app, grant, resource, request.claims)
    is_plain = resource is primary and request.claims is None
    if is_plain or isinstance(first_result, TokenSet) or affects_every_request(first_result):
        return RefreshAnswer(first_result, primary_resource=primary)
    return RefreshAnswer(await _refresh_resource(app, oauth_app, grant, primary), first_result, primary)


async def _refresh_resource(
    app: App, oauth_app: OAuthApp, grant: DelegatedGrant, resource: Resource, claims: str | None = None
) -> TokenSet | Failure:
    token = grant.token_for(resource)
    try:
        return await app.microsoft.entra.refresh(
            oauth_app.limited_to(token.scopes) if token else oauth_app,
            grant.refresh_token,
            resource,
            claims,
            principal=grant.principal,
        )
    except EntraFailed as failed:
        return failed.failure


async def _write_grant(
    app: App, before: Stored[DelegatedGrant], after: DelegatedGrant, failure: Failure | None
) -> Stored[DelegatedGrant]:
    principal_id = after.principal.id
    if after.due is not None:
        await app.stores.agenda.add(Work(after.work, after.due, principal_id, after.app))
    accounts = await _changed_accounts(app, after, failure) if _concerns_accounts(before.value, after) else []
    while len(accounts) > MAX_ACCOUNTS_PER_TRANSACTION:
        await _commit(app, principal_id, accounts[:MAX_ACCOUNTS_PER_TRANSACTION])
        accounts = accounts[MAX_ACCOUNTS_PER_TRANSACTION:]
    versions = await _commit(app, principal_id, accounts, Replace(after, before.version))
    app.tally.count_change(before.value, after)
    return Stored(after, versions[-1])


async def _commit(
    app: App, principal_id: str, accounts: Sequence[ChangedAccount], *more_changes: Change
) -> Sequence[str]:
    changes = [change for account in accounts for change in account.changes]
    versions = await app.stores.principals.commit(principal_id, [*changes, *more_changes])
    for account in accounts:
        app.tally.count_change(account.before, account.after)
    return versions


async def _changed_accounts(app: App, after: DelegatedGrant, failure: Failure | None) -> list[ChangedAccount]:
    """The grant's accounts that get another state, with an event, or another name of their person."""
    partition = await app.stores.principals.partition(after.principal.id)
    changed = []
    for stored in partition.served_by(after.app):
        in_state = _with_state_of(stored.value, after)
        account = in_state.renamed(after.principal.sign_in_name)
        if account is not stored.value:
            event_names = [EVENT_NAMES[after.state]] if in_state is not stored.value else []
            account_row, events = await account_events(app, account, event_names, failure)
            changes: tuple[Change, ...] = (Replace(account_row, stored.version), *events)
            changed.append(ChangedAccount(stored.value, account, changes))
    return changed


def _log_answer(grant: DelegatedGrant, answer: RefreshAnswer) -> None:
    ids = {"principal": grant.principal.id, "app": grant.app}
    if isinstance(answer.result, Failure):
        log.warning("grant not refreshed", extra=ids | _trace_fields(answer.result))
    else:
        log.info("grant refreshed", extra={**ids, "work": grant.work, "resource": answer.result.resource})
    if answer.request_failure is not None:
        log.warning("access token refused", extra=ids | _trace_fields(answer.request_failure))


def _trace_fields(failure: Failure) -> dict[str, object]:
    return {"kind": failure.kind, "code": failure.code, "aadsts": failure.aadsts, "trace": failure.trace}


def _concerns_accounts(before: DelegatedGrant, after: DelegatedGrant) -> bool:
    return (before.state, before.last_error) != (after.state, after.last_error) or (
        before.principal.sign_in_name != after.principal.sign_in_name
    )


def _with_state_of(account: Account, grant: DelegatedGrant) -> Account:
    if grant.last_error is not None:
        return account.with_error(grant.state, grant.last_error.code, grant.last_error.since)
    return account.recovered() if account.has_grant_error else account
