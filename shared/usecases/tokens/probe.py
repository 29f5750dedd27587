"""Probe the mailboxes of a grant to notice lost and regained access, and reconnect an account."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.account import MAILBOX_REPLACED, Account, AccountState
from shared.domain.entra_errors import UNKNOWN
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.domain.event import EventName
from shared.domain.failure import TOKEN_REFUSALS
from shared.domain.formats import same_address, table_key
from shared.domain.grant import DelegatedGrant, ProbeProgress
from shared.domain.mailbox import BoundMailbox
from shared.domain.oauth_app import OAuthApp
from shared.domain.work import Work
from shared.ports import (
    App,
    Change,
    MailboxRefused,
    MailboxUnavailable,
    Replace,
    Stored,
)
from shared.usecases.accounts.mailbox_index import forget_mailbox
from shared.usecases.accounts.read import known_account
from shared.usecases.events.outbox import account_events
from shared.usecases.tokens.account_token import refresh_on_demand
from shared.usecases.tokens.refresh import NOT_STORED, OAUTH_APP_GONE, Refreshed

log = logging.getLogger(__name__)

MAX_PROBES_AT_ONCE = 8
PROBES_PER_BATCH = 16
FRESH_TOKEN_AGE = timedelta(minutes=5)
# Short enough for the access token to stay valid, and for other rows of the run to get their turn.
PROBE_RUN_TIME = timedelta(seconds=30)


class Probed(NamedTuple):
    """An account after a probe of its mailbox. `failure` is the code of why the mailbox did not open, or None."""

    account: Account
    failure: str | None = None


class Failed(NamedTuple):
    """Why an account was not reconnected, and since when."""

    code: str
    since: datetime


class Reconnection(NamedTuple):
    """The account after an attempt to reconnect it. `failed` is None if the mailbox opened with a new token."""

    account: Account
    failed: Failed | None = None


async def probe_mailboxes(app: App, stored: Stored[DelegatedGrant], until: datetime) -> None:
    """Probe the mailboxes of a grant, store what changed, and schedule the next probe. Needs a valid access token.

    Each batch is stored before the next one starts. After `until`, or after PROBE_RUN_TIME, the rest is scheduled for
    a moment later. Raises StaleWrite if the grant was changed meanwhile.
    """
    grant = stored.value
    until = min(until, app.clock() + PROBE_RUN_TIME)
    partition = await app.stores.principals.partition(grant.principal.id)
    last_probed, lost = (grant.probing.behind, grant.probing.lost) if grant.probing else ("", False)
    accounts = {table_key(account.value.id): account for account in partition.served_by(grant.app)}
    remaining = sorted(key for key in accounts if key > last_probed)
    while remaining:
        batch, remaining = remaining[:PROBES_PER_BATCH], remaining[PROBES_PER_BATCH:]
        lost_in_batch, stored = await _probe_batch(app, [accounts[key] for key in batch], stored)
        lost |= lost_in_batch
        if remaining:
            progress, now = replace(stored.value, probing=ProbeProgress(batch[-1], lost)), app.clock()
            if now >= until:
                await _schedule(app, stored, progress.scheduled(now, app.jitter()))
                return
            stored = Stored(progress, await _write_grant(app, stored, progress))
    await _schedule(app, stored, stored.value.after_probe(lost=lost, now=app.clock(), jitter=app.jitter()))


async def _probe_batch(
    app: App, accounts: Sequence[Stored[Account]], grant: Stored[DelegatedGrant]
) -> tuple[bool, Stored[DelegatedGrant]]:
    """Probe these mailboxes side by side and store what changed.

    Returns whether a mailbox is lost, and the grant as it is stored now.
    """
    slots, lost = asyncio.Semaphore(MAX_PROBES_AT_ONCE), False

    async def probe_in_slot(account: Stored[Account]) -> Account:
        async with slots:
            return (await _probe(app, account.value, grant.value)).account

    for stored, probed in zip(accounts, await asyncio.gather(*map(probe_in_slot, accounts)), strict=True):
        account, grant = await _write_account(app, stored, probed, grant)
        lost |= account.has_mailbox_error
    return lost, grant


async def _schedule(app: App, stored: Stored[DelegatedGrant], scheduled: DelegatedGrant) -> None:
    if scheduled.due is not None:
        work = Work(scheduled.work, scheduled.due, scheduled.principal.id, scheduled.app)
        await app.stores.agenda.add(work)
    await _write_grant(app, stored, scheduled)


async def _write_grant(app: App, stored: Stored[DelegatedGrant], grant: DelegatedGrant) -> str:
    return (await app.stores.principals.commit(grant.principal.id, [Replace(grant, stored.version)]))[0]


async def probe_mailbox(app: App, stored: Stored[Account], grant: Stored[DelegatedGrant]) -> Probed:
    """Probe the mailbox of one account, and store the account. An outage changes nothing. Raises StaleWrite."""
    probed = await _probe(app, stored.value, grant.value)
    return Probed((await _write_account(app, stored, probed.account, grant))[0], probed.failure)


async def _probe(app: App, account: Account, grant: DelegatedGrant) -> Probed:
    """Probe the mailbox, without storing the account.

    That Microsoft 365 refuses the access token counts only for a fresh one, which it has refused twice: an older one
    may have been revoked, and the next refresh says so.
    """
    oauth_app = await app.oauth_apps.get(grant.app)
    if oauth_app is None:  # it was deleted just now, and the next refresh records that
        return Probed(account, OAUTH_APP_GONE.code)
    try:
        inbox_id = await app.microsoft.probes[grant.resource].open(
            oauth_app, grant.access_token, account.email, shared=account.shared
        )
    except MailboxRefused as refused:
        code = refused.refusal.value
        if refused.refusal in TOKEN_REFUSALS and app.clock() - grant.refreshed > FRESH_TOKEN_AGE:
            return Probed(account, code)
        return Probed(account.with_error(AccountState.CONNECT_ERROR, code, app.clock(), refused.claims), code)
    except MailboxUnavailable as unavailable:
        return Probed(account, unavailable.code)
    after = account.after_probe(inbox_id, app.clock())
    if after.replaced_since:
        return Probed(after, MAILBOX_REPLACED)
    return Probed(await _at_current_address(app, after, grant, oauth_app))


async def _at_current_address(app: App, account: Account, grant: DelegatedGrant, oauth_app: OAuthApp) -> Account:
    """The account of a person's own mailbox with its present address, if the proven mailbox opens there.

    A sign-in would store the same address. No profile says what the address of a shared mailbox is now.
    """
    if account.shared or account.inbox_id is None or not oauth_app.can_read_profiles:
        return account
    probe, token = app.microsoft.probes[grant.resource], grant.access_token
    with suppress(MailboxRefused, MailboxUnavailable):  # the mailbox itself is open
        address = await probe.own_address(oauth_app, token)
        if (
            address is not None
            and not same_address(address, account.email)
            and oauth_app.trusts_mail(address, grant.principal.tenant_id)
            and await probe.open(oauth_app, token, address, shared=True) == account.inbox_id
        ):
            return replace(account, email=address)
    return account


async def _write_account(
    app: App, stored: Stored[Account], probed: Account, stored_grant: Stored[DelegatedGrant]
) -> tuple[Account, Stored[DelegatedGrant]]:
    """Store the account with its event. If hand-outs are affected, other instances must not use their cached one."""
    before, grant = stored.value, stored_grant.value
    if probed == before:
        return before, stored_grant
    has_changed = (before.state, before.last_error) != (probed.state, probed.last_error)
    event_name = EventName.CONNECT_ERROR if probed.last_error else EventName.CONNECT_SUCCESS
    has_moved = not same_address(before.email, probed.email)
    event_names = [EventName.ACCOUNT_CHANGED] * has_moved + [event_name] * has_changed
    account, events = await account_events(app, probed, event_names, before=before)
    changes: list[Change] = [Replace(account, stored.version), *events]
    affects_hand_outs = has_moved or (before.replaced_since is None) is not (account.replaced_since is None)
    if affects_hand_outs:
        grant = replace(grant, bindings=app.entropy(8).hex())
        changes.append(Replace(grant, stored_grant.version))
    if BoundMailbox.of(before) != BoundMailbox.of(account):
        await app.stores.mailboxes.put(BoundMailbox.of(account))
    try:
        versions = await app.stores.principals.commit(account.principal_id, changes)
    except StaleWrite:
        if affects_hand_outs:
            raise
        return before, stored_grant  # the account was changed just now; the next probe checks it again
    app.tally.count_change(before, account)
    if has_moved:
        await forget_mailbox(app, before)
    fields = {"account": account.id, "principal": account.principal_id, "state": account.state, "event": event_names}
    code = account.last_error.code if account.last_error else None
    log.info("mailbox probed", extra={**fields, "code": code})
    return account, Stored(grant, versions[-1]) if affects_hand_outs else stored_grant


async def reconnect_account(app: App, account_id: str) -> Reconnection:
    """Refresh the grant and probe the mailbox now.

    A stopped grant is refreshed too, because an administrator may have fixed the cause. Raises NotFound, Conflict, and
    TooManyRequests (counted by grant).
    """
    account = (await known_account(app, account_id)).account.value
    try:
        grant = await app.stores.principals.grant(account.principal_id, account.app)
        refreshed = await refresh_on_demand(app, grant) if grant else None
        current = await app.stores.principals.account(account.principal_id, account.id)
        if refreshed is None or current is None:
            raise NotFound("No such account")
        if failed := _refresh_failure(refreshed, app.clock()):
            return Reconnection(current.value, failed)
        probed = await probe_mailbox(app, current, refreshed.grant)
    except StaleWrite:
        raise Conflict from None
    return Reconnection(probed.account, Failed(probed.failure, app.clock()) if probed.failure else None)


def _refresh_failure(refreshed: Refreshed, now: datetime) -> Failed | None:
    """Why the grant was not refreshed. An unconfirmed refusal has no known reason yet; see `Failure.confirmed`."""
    grant, failure = refreshed.grant.value, refreshed.failure
    if failure is not None:
        code = failure.code if failure.confirmed else UNKNOWN.code
        return Failed(code, grant.failing_since or now)
    return None if refreshed.stored else Failed(NOT_STORED.code, now)
