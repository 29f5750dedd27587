"""The end of a registration: settle what waited, mark it as expired, delete it a week later."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from shared.domain.account import Account
from shared.domain.audit import set_correlation_id
from shared.domain.errors import RowUnreadable
from shared.domain.event import Event, EventName
from shared.domain.failure import NO_ACCESS
from shared.domain.invited_mailbox import InvitedMailbox, MailboxResult, MailboxState
from shared.domain.registration import PendingRegistration, RegistrationStatus, reaping_work
from shared.domain.work import Work
from shared.ports import App, retry_on_conflict
from shared.usecases.accounts.read import find_account
from shared.usecases.events.outbox import link_event
from shared.usecases.sign_in.write_binding import remove_expired_claim
from shared.usecases.upkeep.agenda import EARLY, UNFINISHED

log = logging.getLogger(__name__)

# Outcomes of agenda rows.
EXPIRED = "expired"
SETTLED = "settled"


async def settle_registration(
    app: App, registration_id: str, principal_id: str, codes: Mapping[str, str] | None = None
) -> None:
    """Record what happened to the mailboxes that waited for this principal; `codes` say by account why not bound.

    The pending account and its mailboxes change in one transaction, and the registration follows. After a crash
    between the two, the registration would wait for ever, so every probe that finds no pending account calls this.

    A mailbox is recorded as waiting only after its pending account was stored. So a mailbox that waits without being
    part of the pending account is settled.
    """

    async def attempt() -> None:
        stored = await app.stores.registrations.get(registration_id)
        mailboxes = stored.value.mailboxes if stored else ()
        waiting = [mailbox for mailbox in mailboxes if mailbox.is_waiting_for(principal_id)]
        pending = await app.stores.principals.pending(principal_id, registration_id) if waiting else None
        results = {
            mailbox.account: await _read_result(app, registration_id, principal_id, mailbox, codes or {})
            for mailbox in waiting
            if pending is None or not pending.value.includes(mailbox.account)
        }
        if stored is not None and results:
            settled = stored.value.after_sign_in(principal_id, results, app.clock(), stop_waiting=True)
            await app.stores.registrations.replace(stored, settled)

    await retry_on_conflict(attempt)


async def _read_result(
    app: App, registration_id: str, principal_id: str, mailbox: InvitedMailbox, codes: Mapping[str, str]
) -> MailboxResult:
    found = await find_account(app, mailbox.account)
    account = found.account.value if found else None
    if account is not None and account.registration == registration_id and account.principal_id == principal_id:
        return _bound_result(account)
    code = codes.get(mailbox.account) or mailbox.failure or NO_ACCESS
    return MailboxResult(MailboxState.REFUSED, code)


def _bound_result(account: Account) -> MailboxResult:
    """The result for the registration that bound the account."""
    state = MailboxState.NEW if account.created == account.bound else MailboxState.EXISTING
    return MailboxResult(state, email=account.email)


async def end_link(app: App, work: Work, _until: datetime) -> str:
    """Schedule the deletion of a registration, and mark it as expired. Works the agenda's `expire` rows.

    Until the deletion is in the agenda, the `expire` row alone sees to the end of the registration.
    """
    await app.stores.agenda.add(reaping_work(work))
    return await _expire(app, work.owner)


async def _expire(app: App, registration_id: str) -> str:
    """Mark a registration as expired, once, with its event.

    A registration that is completed or replaced, that waits for access, or that is being bound does not expire.
    """

    async def attempt() -> str:
        stored = await app.stores.registrations.get(registration_id)
        if stored is None or stored.value.stage is RegistrationStatus.EXPIRED:
            return SETTLED
        if stored.value.has_binding_in_progress(app.clock()):
            return EARLY
        if stored.value.status_at(app.clock()) is not RegistrationStatus.EXPIRED:
            return SETTLED
        set_correlation_id(stored.value.correlation)
        registration = await _with_bound_accounts(app, stored.value)
        events = [await _expiry_event(app, registration)] if registration.unsettled_mailboxes else []
        ended = registration if registration.completed else registration.expired()
        await app.stores.registrations.replace(stored, ended, events)
        return EXPIRED if events else SETTLED

    return await retry_on_conflict(attempt)


async def _expiry_event(app: App, registration: PendingRegistration) -> Event:
    codes = {mailbox.failure or registration.failure for mailbox in registration.unsettled_mailboxes}
    code = codes.pop() if len(codes) == 1 else registration.failure
    account_ids = [mailbox.account for mailbox in registration.unsettled_mailboxes]
    return await link_event(app, registration, EventName.REGISTRATION_EXPIRED, account_ids, code)


async def _with_bound_accounts(app: App, registration: PendingRegistration) -> PendingRegistration:
    """Add accounts that were bound by a process which died before it updated the registration."""
    for mailbox in registration.unsettled_mailboxes:
        found = await find_account(app, mailbox.account)
        if found is not None and found.account.value.registration == registration.id:
            account = found.account.value
            results = {mailbox.account: _bound_result(account)}
            registration = registration.after_sign_in(account.principal_id, results, app.clock())
    return registration


async def reap_registration(app: App, work: Work, until: datetime) -> str | None:
    """Delete a registration with its sign-in attempts, a week after it expired. Works the agenda's `reap` rows.

    Waiting for access lasts at most a day and starts before the link expires. So it has ended by now, and a grant that
    is still stored for it is deleted too. A row with an account belongs to an API request without a registration.
    """
    if work.item:
        await remove_expired_claim(app, work.item, work.owner)
        return None
    with suppress(RowUnreadable):  # an unreadable registration is deleted all the same
        await _expire(app, work.owner)  # after a stop of a week, both rows are due at the same time
        await _delete_leftovers(app, work.owner)
    while not await app.stores.registrations.forget(work.owner):
        if app.clock() >= until:
            return UNFINISHED
    log.info("registration reaped", extra={"registration": work.owner})
    return None


async def _delete_leftovers(app: App, registration_id: str) -> None:
    """Delete the claims and pending accounts of a registration."""
    stored = await app.stores.registrations.get(registration_id)
    if stored is None:
        return
    for mailbox in stored.value.mailboxes:
        await remove_expired_claim(app, mailbox.account, registration_id)
    for principal_id in filter(None, {mailbox.principal_id for mailbox in stored.value.unsettled_mailboxes}):
        await app.stores.principals.forget_pending(principal_id, registration_id)
