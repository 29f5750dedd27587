"""Probe the mailboxes of a grant, to notice access that was taken away or given back; reconnect an account."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.account import Account, AccountState
from shared.domain.errors import Conflict, NotFound, StaleWrite
from shared.domain.event import EventName
from shared.domain.formats import table_key
from shared.domain.grant import DelegatedGrant, ProbeProgress
from shared.domain.work import Work
from shared.ports import (
    App,
    Change,
    MailboxRefused,
    MailboxUnavailable,
    Replace,
    Stored,
)
from shared.usecases.accounts.read import known_account
from shared.usecases.events.outbox import account_events
from shared.usecases.tokens.on_demand import refresh_on_demand

log = logging.getLogger(__name__)

MAX_PROBES_AT_ONCE = 8
PROBES_PER_WRITE = 16
# Short enough for the access token to stay valid, and for other rows of the run to get their turn.
PROBE_RUN_TIME = timedelta(seconds=30)


async def probe_mailboxes(app: App, stored: Stored[DelegatedGrant], until: datetime) -> None:
    """Probe the grant's accounts, store what changed, and plan the next probe. Needs a valid access token.

    Some accounts at a time, with a write after each batch. After `until`, or after PROBE_RUN_TIME, the rest is planned
    for a moment later. Raises StaleWrite when the grant was changed meanwhile.
    """
    grant = stored.value
    until = min(until, app.clock() + PROBE_RUN_TIME)
    partition = await app.stores.principals.partition(grant.principal.id)
    behind, lost = (grant.probing.behind, grant.probing.lost) if grant.probing else ("", False)
    found = {table_key(account.value.id): account for account in partition.served_by(grant.app)}
    left = sorted(name for name in found if name > behind)
    while left:
        some, left = left[:PROBES_PER_WRITE], left[PROBES_PER_WRITE:]
        lost_now, stored = await _probe_some(app, [found[name] for name in some], stored)
        lost |= lost_now
        if left:
            after, now = replace(stored.value, probing=ProbeProgress(some[-1], lost)), app.clock()
            if now >= until:
                await _plan_next(app, stored, after.scheduled(now, app.jitter()))
                return
            stored = Stored(after, await _write_grant(app, stored, after))
    await _plan_next(app, stored, stored.value.after_probe(lost=lost, now=app.clock(), jitter=app.jitter()))


async def _probe_some(
    app: App, accounts: Sequence[Stored[Account]], grant: Stored[DelegatedGrant]
) -> tuple[bool, Stored[DelegatedGrant]]:
    """Look at these side by side, and write down what changed; whether a mailbox is lost, and the grant then."""
    slots, lost = asyncio.Semaphore(MAX_PROBES_AT_ONCE), False

    async def in_turn(account: Stored[Account]) -> Account:
        async with slots:
            return await _probed(app, account.value, grant.value)

    for before, after in zip(accounts, await asyncio.gather(*map(in_turn, accounts)), strict=True):
        probed, grant = await _write_probed(app, before, after, grant)
        lost |= probed.has_mailbox_error
    return lost, grant


async def _plan_next(app: App, stored: Stored[DelegatedGrant], after: DelegatedGrant) -> None:
    if after.due is not None:
        await app.stores.agenda.add(Work(after.work, after.due, after.principal.id, after.app))
    await _write_grant(app, stored, after)


async def _write_grant(app: App, stored: Stored[DelegatedGrant], after: DelegatedGrant) -> str:
    return (await app.stores.principals.commit(after.principal.id, [Replace(after, stored.version)]))[0]


async def probe_mailbox(
    app: App, stored: Stored[Account], grant: Stored[DelegatedGrant]
) -> tuple[Account, Stored[DelegatedGrant]]:
    """Probe one account's mailbox; both as they are now. An outage changes nothing. Raises StaleWrite."""
    return await _write_probed(app, stored, await _probed(app, stored.value, grant.value), grant)


async def _probed(app: App, account: Account, tokens: DelegatedGrant) -> Account:
    """The account after a look at its mailbox."""
    oauth_app = await app.oauth_apps.get(tokens.app)
    if oauth_app is None:
        return account  # deleted just now: the next refresh says so
    try:
        opened = await app.microsoft.probes[tokens.resource].open(
            oauth_app, tokens.access_token, account.email, shared=account.shared
        )
    except MailboxRefused as refused:
        return account.with_error(AccountState.CONNECT_ERROR, refused.refusal.value, app.clock())
    except MailboxUnavailable:
        return account
    return account.after_probe(opened, app.clock())


async def _write_probed(
    app: App, stored: Stored[Account], after: Account, grant: Stored[DelegatedGrant]
) -> tuple[Account, Stored[DelegatedGrant]]:
    """Write it down, and have every instance read the account again where that decides about its hand-outs."""
    before, news, held = stored.value, _news(stored.value, after), grant.value
    if after == before:
        return before, grant
    after, told = await account_events(app, after, news)
    changes: list[Change] = [Replace(after, stored.version), *told]
    decides = (before.replaced_since is None) is not (after.replaced_since is None)
    if decides:
        held = replace(held, bindings=app.entropy(8).hex())
        changes.append(Replace(held, grant.version))
    try:
        versions = await app.stores.principals.commit(after.principal_id, changes)
    except StaleWrite:
        if decides:
            raise
        return before, grant  # Somebody else wrote about this account just now; the next probe looks again.
    app.tally.moved(before, after)
    log.info("mailbox probed", extra={"principal": after.principal_id, "state": after.state, "event": news})
    return after, Stored(held, versions[-1]) if decides else grant


def _news(before: Account, after: Account) -> list[EventName]:
    if (before.state, before.last_error) == (after.state, after.last_error):
        return []
    return [EventName.CONNECT_ERROR if after.last_error else EventName.CONNECT_SUCCESS]


async def reconnect_account(app: App, account: str) -> Account:
    """Refresh the grant and probe the mailbox now, and return the account.

    It also tries a grant that was given up, because an administrator may have fixed the cause. Raises NotFound,
    Conflict, and TooManyRequests (counted by grant).
    """
    found = await known_account(app, account)
    held = found.account.value
    try:
        grant = await app.stores.principals.grant(held.principal_id, held.app)
        refreshed = await refresh_on_demand(app, grant) if grant else None
        current = await app.stores.principals.account(held.principal_id, held.id)
        if refreshed is not None and refreshed.failure is None and current is not None:
            return (await probe_mailbox(app, current, refreshed.grant))[0]
    except StaleWrite:
        raise Conflict("The account is being changed by others; try again") from None
    if current is None:
        raise NotFound("No such account")
    return current.value
