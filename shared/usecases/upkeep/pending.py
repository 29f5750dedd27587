"""Resume a pending account: probe again, bind when the mailbox opens, give up when patience ends."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.audit import Action, AuditOutcome, AuditRecord, set_correlation_id
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName, Origin, registration_data
from shared.domain.failure import FailureKind
from shared.domain.invited_mailbox import LINK_CANCELLED, MailboxResult, MailboxState, PendingAccount
from shared.domain.registration import PendingRegistration
from shared.domain.webhook import can_register
from shared.domain.work import Work, WorkKind
from shared.ports import (
    App,
    Change,
    EntraFailed,
    Insert,
    Remove,
    Replace,
    SignedIn,
)
from shared.usecases.callers.identify import standing_caller
from shared.usecases.events.outbox import queue_event
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.link import APP_UNAVAILABLE, LINK_WITHDRAWN
from shared.usecases.sign_in.proof import AccessRefused
from shared.usecases.sign_in.wait import NO_ACCESS, record_results
from shared.usecases.upkeep.registrations import settle_link

log = logging.getLogger(__name__)

STILL_GOOD = timedelta(minutes=1)
ENDED = {MailboxState.REPLACED, MailboxState.CANCELLED}
PASSES = {"entra_unavailable", "graph_unavailable", "account_busy"}


@dataclass(frozen=True, slots=True)
class Looked:
    """The grant after a look at its mailboxes, and by account what came of it: a code where it is not bound.

    What is bound left the pending account in the same transaction.
    """

    pending: PendingAccount
    bound: Mapping[str, MailboxResult]
    waits: Mapping[str, str]
    over: Mapping[str, str]


async def resume_pending(app: App, work: Work, _until: datetime) -> None:
    """Probe once; a row that the pending account does not wait for means nothing.

    Works the agenda's `probe` rows.
    """
    stored = await app.stores.principals.pending(work.owner, work.item)
    if stored is None:
        await settle_link(app, work.item, work.owner)
        return
    if stored.value.due != work.due:
        return
    link = await app.stores.registrations.get(work.item)
    if link is None:
        await app.stores.principals.commit(work.owner, [Remove(stored.value, stored.version)])
        return
    set_correlation_id(link.value.correlation)
    looked = await _look(app, stored.value, link.value)
    if looked.bound:
        await record_results(app, work.item, work.owner, looked.bound)
    await _write_looked(app, work, looked, link.value)
    # A crash came before the link said so, or somebody else who waited too has given up since.
    unsaid = [account for account in looked.waits if not _waits(link.value, account)]
    said = {account: MailboxResult(MailboxState.WAITING_FOR_ACCESS, looked.waits[account]) for account in unsaid}
    if said:
        await record_results(app, work.item, work.owner, said)
    await settle_link(app, work.item, work.owner, looked.over)
    _audit(app, looked, link.value)


async def _look(app: App, pending: PendingAccount, asked: PendingRegistration) -> Looked:
    """Somebody else may have bound a mailbox by now, or made a newer link for its account."""
    mine = [mailbox for mailbox in asked.mailboxes if pending.includes(mailbox.account)]
    ended = {m.account: m.failure or LINK_CANCELLED for m in mine if m.state in ENDED}
    left = [mailbox for mailbox in mine if not mailbox.is_settled]
    if app.clock() >= pending.until:
        over = {mailbox.account: mailbox.failure or pending.reason for mailbox in left}
        return Looked(pending, {}, {}, ended | over)
    if not can_register(await standing_caller(app, asked.requested_by), (mailbox.account for mailbox in left)):
        return Looked(pending, {}, {}, ended | {mailbox.account: LINK_WITHDRAWN for mailbox in left})
    oauth_app = await app.oauth_apps.get(pending.app)
    if oauth_app is None:
        return Looked(pending, {}, {}, ended | {mailbox.account: APP_UNAVAILABLE for mailbox in left})
    results: Mapping[str, MailboxResult]
    try:
        if left and pending.access_expires - app.clock() < STILL_GOOD:
            pending = pending.with_tokens(await app.microsoft.entra.refresh(oauth_app, pending.refresh_token))
        signed_in = SignedIn(pending.principal, pending.tokens)
        results = await bind_invited_mailboxes(app, asked, oauth_app, signed_in, left) if left else {}
    except (EntraFailed, AccessRefused) as failed:
        # The same for all mailboxes.
        results = {mailbox.account: MailboxResult(MailboxState.REFUSED, _code(failed)) for mailbox in left}
    codes = {account: result.code for account, result in results.items() if result.code}
    waits = {account: code for account, code in codes.items() if _patient(pending, code)}
    over = {account: code for account, code in codes.items() if account not in waits}
    bound = {account: result for account, result in results.items() if result.state.is_bound}
    return Looked(pending, bound, waits, ended | over)


async def _write_looked(app: App, work: Work, looked: Looked, asked: PendingRegistration) -> None:
    """Wait on for what still may open, and tell of what does not; the last one takes the grant along.

    The person's link stays what it was.
    """
    stored = await app.stores.principals.pending(work.owner, work.item)
    if stored is None:
        return
    if stored.value.due != work.due:
        raise StaleWrite  # the person has just begun to wait anew
    changes: list[Change] = [Remove(stored.value, stored.version)]
    if looked.waits:
        reason = next(iter(looked.waits.values()))
        after = replace(looked.pending.after_failed_probe(reason, app.clock()), accounts=tuple(looked.waits))
        await app.stores.agenda.add(Work(WorkKind.PROBE, after.due, work.owner, work.item))
        changes = [Replace(after, stored.version)]
        log.info("access still awaited", extra={"registration": work.item, "code": reason})
    for account, code in looked.over.items():
        if code == LINK_CANCELLED:
            continue  # the caller who ended the link knows
        name, data = EventName.REGISTRATION_FAILED, registration_data(asked, code)
        changes.append(Insert(await queue_event(app, Origin.PRINCIPAL, work.owner, name, data, account)))
        log.info("access not given", extra={"registration": work.item, "code": code})
    await app.stores.principals.commit(work.owner, changes)


def _audit(app: App, looked: Looked, asked: PendingRegistration) -> None:
    for account in looked.bound:
        _record_audit(app, looked.pending, asked, account)
    for account, code in looked.over.items():
        _record_audit(app, looked.pending, asked, account, code)


def _record_audit(
    app: App, pending: PendingAccount, asked: PendingRegistration, account: str, code: str | None = None
) -> None:
    app.audit(
        AuditRecord(
            Action.RESUME_SIGN_IN,
            AuditOutcome.REFUSED if code else AuditOutcome.DONE,
            correlation=asked.correlation or asked.id,
            actor=f"person:{pending.principal.id}",
            account=account,
            target=asked.id,
            code=code,
        )
    )


def _waits(link: PendingRegistration, account: str) -> bool:
    mailbox = link.mailbox_for(account)
    return mailbox is not None and mailbox.state is MailboxState.WAITING_FOR_ACCESS


def _code(failed: EntraFailed | AccessRefused) -> str:
    if isinstance(failed, AccessRefused):
        return failed.code
    transient = failed.failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}
    return "entra_unavailable" if transient else failed.failure.code


def _patient(pending: PendingAccount, code: str) -> bool:
    return code in PASSES or (pending.kept and code == NO_ACCESS)
