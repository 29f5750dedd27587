"""Refresh one grant: store new tokens, or the failure.

An answer of Entra that storage does not take is kept by this process, so that Entra is not asked for it again.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

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
# One transaction takes 100 changes: the grant, and an account with its event for each of so many.
ACCOUNTS_AT_ONCE = 49
NEWS = {
    AccountState.CONNECTED: EventName.AUTHENTICATION_SUCCESS,
    AccountState.AUTHENTICATION_ERROR: EventName.AUTHENTICATION_ERROR,
    AccountState.CONNECT_ERROR: EventName.CONNECT_ERROR,
}
# Asked for once a day all the same: an app of the settings may come back.
NO_SUCH_APP = Failure(FailureKind.BLOCKED, "oauth_app_gone")
NOT_STORED = Failure(FailureKind.TRANSIENT, "storage_unavailable")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The grant as it is stored now, and why it could not be renewed, if it could not.

    `refused` says why there is no token for the resource or with the claims that were asked for, while the grant lives.
    `stored` is false for a grant that storage did not take: its tokens are good, and are known to this process only.
    """

    grant: Stored[DelegatedGrant]
    failure: Failure | None = None
    refused: Failure | None = None
    stored: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """An account that follows its grant into another state: a change, and at most one event."""

    before: Account
    after: Account
    changes: tuple[Change, ...]


async def refresh_grant(
    app: App,
    stored: Stored[DelegatedGrant],
    wish: TokenRequest = DEFAULT_TOKEN_REQUEST,
    *,
    hand_out: bool = False,
    on_demand: bool = False,
) -> Refreshed | None:
    """Ask Entra and write down what came of it; None when the grant was removed meanwhile.

    No lock is needed: Entra keeps the older refresh token alive, and the newer token set wins.

    `hand_out` says that a caller is waiting for the token, which makes it hot; `on_demand` has Entra asked even
    where an earlier answer still waits to be stored.
    """
    # Opened first: what does not open must not use up a breaker's trial, nor be planned anew.
    stored.value.refresh_token.reveal()
    known = None if on_demand else _unstored_answer(app, stored.value, wish)
    if known is not None and known.waits(app.clock()):
        return _unstored(app, stored, wish, known, hand_out=hand_out)
    answer = known.answer if known else await _ask_entra(app, stored.value, wish)
    answered = UnstoredAnswer(answer, known.at if known else app.clock(), app.clock())
    try:
        refreshed = await _store_answer(app, stored, wish, answered, hand_out=hand_out)
    except Conflict:
        raise
    except MailbindError as error:
        ids = {"principal": stored.value.principal.id, "app": stored.value.app}
        reason = {**ids, "reason": type(error).__name__}
        log.error("refreshed grant not stored", extra=reason)  # noqa: TRY400 - a traceback may hold addresses
        _keep_unstored(app, stored.value, wish, answered)
        if not isinstance(error, Unavailable):
            await _count_failure(app, stored.value)
        return _unstored(app, stored, wish, answered, hand_out=hand_out)
    app.caches.unstored_answers.discard(_name(stored.value, wish))
    return refreshed


async def _store_answer(
    app: App, stored: Stored[DelegatedGrant], wish: TokenRequest, answered: UnstoredAnswer, *, hand_out: bool
) -> Refreshed | None:
    """Write the grant with its accounts and events. It is read again only after a conflict."""
    answer, jitter = answered.answer, app.jitter()

    async def attempt(current: Stored[DelegatedGrant]) -> Refreshed:
        if wish.claims is None and was_renewed_meanwhile(current.value, stored.value, wish.resource):
            return Refreshed(current)
        after = answered.applied(current.value, wish, jitter, hand_out=hand_out)
        written = await _write_grant(app, current, after, answer.failure)
        _log_answer(after, answer)
        return Refreshed(written, answer.failure, answer.request_failure)

    read = partial(app.stores.principals.grant, stored.value.principal.id, stored.value.app)
    return await retry_with_stored(stored, read, attempt)


def _unstored(
    app: App, stored: Stored[DelegatedGrant], wish: TokenRequest, answered: UnstoredAnswer, *, hand_out: bool
) -> Refreshed:
    after = answered.applied(stored.value, wish, app.jitter(), hand_out=hand_out)
    return Refreshed(
        Stored(after, stored.version), answered.answer.failure, answered.answer.request_failure, stored=False
    )


def _unstored_answer(app: App, grant: DelegatedGrant, wish: TokenRequest) -> UnstoredAnswer | None:
    """An earlier answer to this wish, unless the grant has newer tokens by now."""
    answered = app.caches.unstored_answers.get(_name(grant, wish), app.clock()) if wish.claims is None else None
    return answered if answered is not None and grant.last_refreshed <= answered.at else None


def _keep_unstored(app: App, grant: DelegatedGrant, wish: TokenRequest, answered: UnstoredAnswer) -> None:
    """Keep tokens for as long as they may be handed out, a refusal for minutes, an answer to claims not at all."""
    if wish.claims is not None:
        return
    tokens = answered.answer.result
    until = (
        tokens.expires - MIN_HAND_OUT_LIFETIME
        if isinstance(tokens, TokenSet)
        else answered.at + UNSTORED_FAILURE_LIFETIME
    )
    app.caches.unstored_answers.put(_name(grant, wish), answered, answered.at, until)


def _name(grant: DelegatedGrant, wish: TokenRequest) -> str:
    return f"{grant.principal.id}|{grant.app}|{wish.resource or grant.resource}"


async def _count_failure(app: App, grant: DelegatedGrant) -> None:
    """Plan the next try later and later: storage answers, and does not take the tokens. Callers are not held up."""
    with suppress(MailbindError, StaleWrite):
        current = await app.stores.principals.grant(grant.principal.id, grant.app)
        if current is not None and current.value.due is not None:
            failed = grant_after_failure(current.value, NOT_STORED, app.clock(), app.jitter())
            await _write_grant(app, current, replace(failed, not_before=current.value.not_before), NOT_STORED)


async def _ask_entra(app: App, grant: DelegatedGrant, wish: TokenRequest) -> RefreshAnswer:
    """Ask for what is wished. When Entra refuses that, ask for what the grant lives by before anybody is blamed.

    Consent and policies are of one resource, and whatever claims a caller passes on are the caller's: neither may
    stop a grant that Entra goes on renewing.
    """
    oauth_app = await app.oauth_apps.get(grant.app)
    if oauth_app is None:
        return RefreshAnswer(NO_SUCH_APP)
    home = grant.resource if grant.resource in oauth_app.resources else oauth_app.primary_resource
    wanted = wish.resource if wish.resource in oauth_app.resources else home
    first = await _refresh_resource(app, oauth_app, grant, wanted, wish.claims)
    plain = wanted is home and wish.claims is None
    if plain or isinstance(first, TokenSet) or affects_every_request(first):
        return RefreshAnswer(first, primary_resource=home)
    return RefreshAnswer(await _refresh_resource(app, oauth_app, grant, home), first, home)


async def _refresh_resource(
    app: App, oauth_app: OAuthApp, grant: DelegatedGrant, resource: Resource, claims: str | None = None
) -> TokenSet | Failure:
    held = grant.token_for(resource)
    try:
        return await app.microsoft.entra.refresh(
            oauth_app.limited_to(held.scopes) if held else oauth_app, grant.refresh_token, resource, claims
        )
    except EntraFailed as failed:
        return failed.failure


async def _write_grant(
    app: App, before: Stored[DelegatedGrant], after: DelegatedGrant, failure: Failure | None
) -> Stored[DelegatedGrant]:
    principal_id = after.principal.id
    if after.due is not None:
        await app.stores.agenda.add(Work(after.work, after.due, principal_id, after.app))
    moved = await _moved_accounts(app, after, failure) if _news(before.value, after) else []
    while len(moved) > ACCOUNTS_AT_ONCE:
        await _commit(app, principal_id, moved[:ACCOUNTS_AT_ONCE])
        moved = moved[ACCOUNTS_AT_ONCE:]
    versions = await _commit(app, principal_id, moved, Replace(after, before.version))
    app.tally.moved(before.value, after)
    return Stored(after, versions[-1])


async def _commit(app: App, principal_id: str, moved: Sequence[Moved], *more: Change) -> Sequence[str]:
    changes = [change for account in moved for change in account.changes]
    versions = await app.stores.principals.commit(principal_id, [*changes, *more])
    for account in moved:
        app.tally.moved(account.before, account.after)
    return versions


async def _moved_accounts(app: App, after: DelegatedGrant, failure: Failure | None) -> list[Moved]:
    """Each account's new state with its event; those that are in it already are left alone."""
    partition = await app.stores.principals.partition(after.principal.id)
    found = []
    for stored in partition.served_by(after.app):
        account = _follow(stored.value, after)
        if account is not stored.value:
            told, news = await account_events(app, account, [NEWS[after.state]], failure)
            found.append(Moved(stored.value, account, (Replace(told, stored.version), *news)))
    return found


def _log_answer(grant: DelegatedGrant, answer: RefreshAnswer) -> None:
    ids = {"principal": grant.principal.id, "app": grant.app}
    if isinstance(answer.result, Failure):
        log.warning("grant not refreshed", extra=ids | _traced(answer.result))
    else:
        log.info("grant refreshed", extra={**ids, "work": grant.work, "resource": answer.result.resource})
    if answer.request_failure is not None:
        log.warning("access token refused", extra=ids | _traced(answer.request_failure))


def _traced(failure: Failure) -> dict[str, object]:
    return {"kind": failure.kind, "code": failure.code, "aadsts": failure.aadsts, "trace": failure.trace}


def _news(before: DelegatedGrant, after: DelegatedGrant) -> bool:
    return before.state is not after.state or before.last_error != after.last_error


def _follow(account: Account, grant: DelegatedGrant) -> Account:
    if grant.last_error is not None:
        return account.with_error(grant.state, grant.last_error.code, grant.last_error.since)
    return account.recovered() if account.last_error is not None and not account.has_mailbox_error else account
