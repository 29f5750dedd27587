"""The end of a registration: settle what waited for it, say that it expired, forget it a week later."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial

from shared.domain.account import Account
from shared.domain.audit import set_correlation_id
from shared.domain.errors import RowUnreadable
from shared.domain.event import Event, EventName
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.work import Work
from shared.ports import App, retry_on_conflict
from shared.usecases.accounts.read import find_account
from shared.usecases.events.outbox import link_event
from shared.usecases.sign_in.write_binding import remove_expired_claim
from shared.usecases.upkeep.agenda import EARLY, UNFINISHED

log = logging.getLogger(__name__)


async def settle_link(app: App, registration: str, principal_id: str, codes: Mapping[str, str] | None = None) -> None:
    """Nothing happens unless the link waits for this principal; `codes` say by account why it is not bound.

    The pending account changes in one transaction with what became of its mailboxes, the link says so afterwards.

    A crash between the two would leave a link that waits for ever, so this is safe to repeat, and is repeated for every
    probe that finds no pending account. A link waits only after its pending account was written, and every new waiting
    writes the link: so what still waits when the pending account knows nothing of it is settled by exactly one.
    """
    await retry_on_conflict(partial(_settle_link, app, registration, principal_id, codes or {}))


async def _settle_link(app: App, registration: str, principal_id: str, codes: Mapping[str, str]) -> None:
    link = await app.stores.registrations.get(registration)
    waits = [mailbox for mailbox in link.value.mailboxes if mailbox.is_waiting_for(principal_id)] if link else []
    pending = await app.stores.principals.pending(principal_id, registration) if waits else None
    results = {
        mailbox.account: await _result_of(app, registration, principal_id, mailbox, codes)
        for mailbox in waits
        if pending is None or not pending.value.includes(mailbox.account)
    }
    if link is not None and results:
        settled = link.value.after_sign_in(principal_id, results, app.clock(), stop_waiting=True)
        await app.stores.registrations.replace(link, settled)


async def _result_of(
    app: App, registration: str, principal_id: str, mailbox: InvitedMailbox, codes: Mapping[str, str]
) -> MailboxResult:
    found = await find_account(app, mailbox.account)
    account = found.account.value if found else None
    if account is not None and account.registration == registration and account.principal_id == principal_id:
        return as_bound(account)
    code = codes.get(mailbox.account) or mailbox.failure or "no_mailbox_access"
    return MailboxResult(MailboxState.REFUSED, code)


def as_bound(account: Account) -> MailboxResult:
    """What the link that bound an account says of it."""
    state = MailboxState.NEW if account.created == account.bound else MailboxState.EXISTING
    return MailboxResult(state, email=account.email)


async def expire_registration(app: App, work: Work, _until: datetime) -> str:
    """Note it once, with its event; what was bound or replaced, or waits or is being bound, does not expire.

    Works the agenda's `expire` rows.
    """
    return await retry_on_conflict(partial(_expire, app, work.owner))


async def _expire(app: App, registration: str) -> str:
    stored = await app.stores.registrations.get(registration)
    if stored is None or stored.value.stage is RegistrationStatus.EXPIRED:
        return "settled"
    if stored.value.has_binding_in_progress(app.clock()):
        return EARLY
    if stored.value.status_at(app.clock()) is not RegistrationStatus.EXPIRED:
        return "settled"
    set_correlation_id(stored.value.correlation)
    asked = await _with_bound(app, stored.value)
    news = [await _expiry_event(app, asked)] if asked.unsettled_mailboxes else []
    await app.stores.registrations.replace(stored, asked if asked.completed else asked.expired(), news)
    return "expired" if news else "settled"


async def _expiry_event(app: App, asked: PendingRegistration) -> Event:
    codes = {one.failure or asked.failure for one in asked.unsettled_mailboxes}
    code = codes.pop() if len(codes) == 1 else asked.failure
    accounts = [one.account for one in asked.unsettled_mailboxes]
    return await link_event(app, asked, EventName.REGISTRATION_EXPIRED, accounts, code)


async def _with_bound(app: App, asked: PendingRegistration) -> PendingRegistration:
    """With what was bound by a process that died before the link said so."""
    for mailbox in asked.unsettled_mailboxes:
        found = await find_account(app, mailbox.account)
        if found is not None and found.account.value.registration == asked.id:
            account = found.account.value
            asked = asked.after_sign_in(account.principal_id, {mailbox.account: as_bound(account)}, app.clock())
    return asked


async def reap_registration(app: App, work: Work, until: datetime) -> str | None:
    """Delete the invitation with its sign-in attempts.

    Works the agenda's `reap` rows. One that names an account is for a request that no registration stands for.

    Waiting lasts a day and begins before the link expires, so a week later it is over whatever the link says, and
    a grant that is still kept for it goes too.
    """
    if work.item:
        await remove_expired_claim(app, work.item, work.owner)
        return None
    with suppress(RowUnreadable):  # nobody can tell what it was about, but it can go
        await expire_registration(app, work, until)  # after a stop of a week, both are due at once
        await _release_accounts(app, work.owner)
    while not await app.stores.registrations.forget(work.owner):
        if app.clock() >= until:
            return UNFINISHED
    log.info("registration reaped", extra={"registration": work.owner})
    return None


async def _release_accounts(app: App, registration: str) -> None:
    stored = await app.stores.registrations.get(registration)
    for mailbox in stored.value.mailboxes if stored else ():
        await remove_expired_claim(app, mailbox.account, registration)
    for waits in {mailbox.principal_id for mailbox in stored.value.unsettled_mailboxes} if stored else set():
        if waits is not None:
            await app.stores.principals.forget_pending(waits, registration)
