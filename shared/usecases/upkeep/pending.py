"""Resume a pending account: probe its mailboxes again, bind those that open, and give up when the time is over."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.audit import Action, AuditOutcome, AuditRecord, set_correlation_id
from shared.domain.caller import can_register
from shared.domain.errors import StaleWrite
from shared.domain.event import EventName, Origin, registration_data
from shared.domain.failure import (
    ENTRA_UNAVAILABLE,
    GRAPH_SETUP,
    GRAPH_UNAVAILABLE,
    NO_ACCESS,
    TOKEN_REFUSALS,
    Failure,
    FailureKind,
)
from shared.domain.invited_mailbox import LINK_CANCELLED, InvitedMailbox, MailboxResult, MailboxState, PendingAccount
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.renewal import is_believed
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
from shared.usecases.sign_in.outcome import record_results
from shared.usecases.sign_in.proof import AccessRefused
from shared.usecases.upkeep.registrations import settle_registration

log = logging.getLogger(__name__)

MIN_TOKEN_LIFETIME = timedelta(minutes=1)
ENDED_STATES = {MailboxState.REPLACED, MailboxState.CANCELLED}
TEMPORARY_CODES = {ENTRA_UNAVAILABLE.code, GRAPH_UNAVAILABLE, GRAPH_SETUP, "account_busy"}


class ProbeResult(NamedTuple):
    """A pending account after a probe, and its mailboxes by account: bound, still waiting, or given up, with a code.

    Bound accounts were removed from the pending account in the transaction that bound them.
    """

    pending: PendingAccount
    bound: Mapping[str, MailboxResult]
    waiting: Mapping[str, str]
    given_up: Mapping[str, str]


async def resume_pending(app: App, work: Work, _until: datetime) -> None:
    """Probe the mailboxes of a pending account once. Works the agenda's `probe` rows.

    A row that the pending account does not wait for is ignored.
    """
    principal_id, registration_id = work.owner, work.item
    stored = await app.stores.principals.pending(principal_id, registration_id)
    if stored is None:
        await settle_registration(app, registration_id, principal_id)
        return
    if stored.value.due != work.due:
        return
    stored_registration = await app.stores.registrations.get(registration_id)
    if stored_registration is None:
        await app.stores.principals.commit(principal_id, [Remove(stored.value, stored.version)])
        return
    registration = stored_registration.value
    set_correlation_id(registration.correlation)
    result = await _probe(app, stored.value, registration)
    if result.bound:
        await record_results(app, registration_id, principal_id, result.bound)
    await _write_pending(app, work, result, registration)
    # A crash may have come before the registration said that it waits, or another waiting person has given up since.
    unrecorded = {
        account_id: MailboxResult(MailboxState.WAITING_FOR_ACCESS, code)
        for account_id, code in result.waiting.items()
        if not _is_waiting(registration, account_id)
    }
    if unrecorded:
        await record_results(app, registration_id, principal_id, unrecorded)
    await settle_registration(app, registration_id, principal_id, result.given_up)
    _record_audit(app, result, registration)


async def _probe(app: App, pending: PendingAccount, registration: PendingRegistration) -> ProbeResult:
    """Try to bind the mailboxes, unless another person bound them or a newer link replaced this one."""
    mailboxes = [mailbox for mailbox in registration.mailboxes if pending.includes(mailbox.account)]
    ended = {
        mailbox.account: mailbox.failure or LINK_CANCELLED for mailbox in mailboxes if mailbox.state in ENDED_STATES
    }
    remaining = [mailbox for mailbox in mailboxes if not mailbox.is_settled]
    if app.clock() >= pending.until:
        codes = {mailbox.account: mailbox.failure or pending.reason for mailbox in remaining}
        return ProbeResult(pending, {}, {}, ended | codes)
    requester = await standing_caller(app, registration.requested_by)
    if not can_register(requester, (mailbox.account for mailbox in remaining)):
        return ProbeResult(pending, {}, {}, ended | {mailbox.account: LINK_WITHDRAWN for mailbox in remaining})
    oauth_app = await app.oauth_apps.get(pending.app)
    if oauth_app is None:
        return ProbeResult(pending, {}, {}, ended | {mailbox.account: APP_UNAVAILABLE for mailbox in remaining})
    results: Mapping[str, MailboxResult] = {}
    if remaining:
        pending, results = await _try_to_bind(app, pending, registration, oauth_app, remaining)
    codes = {account_id: result.code for account_id, result in results.items() if result.code}
    waiting = {account_id: code for account_id, code in codes.items() if _is_worth_waiting(pending, code)}
    given_up = {account_id: code for account_id, code in codes.items() if account_id not in waiting}
    bound = {account_id: result for account_id, result in results.items() if result.state.is_bound}
    return ProbeResult(pending, bound, waiting, ended | given_up)


async def _try_to_bind(
    app: App,
    pending: PendingAccount,
    registration: PendingRegistration,
    oauth_app: OAuthApp,
    mailboxes: Sequence[InvitedMailbox],
) -> tuple[PendingAccount, Mapping[str, MailboxResult]]:
    """Return the pending account with its newest tokens, and the results by account.

    Neither an `invalid_grant` without a known reason nor a refusal of an older access token ends the waiting: Entra
    has to confirm the one, and a new token the other.
    """
    needs_token = pending.access_expires - app.clock() < MIN_TOKEN_LIFETIME
    try:
        if needs_token:
            tokens = await app.microsoft.entra.refresh(oauth_app, pending.refresh_token, principal=pending.principal)
            pending = pending.with_tokens(tokens)
        signed_in = SignedIn(pending.principal, pending.tokens)
        return pending, await bind_invited_mailboxes(app, registration, oauth_app, signed_in, mailboxes)
    except EntraFailed as failed:
        code = _failure_code(failed.failure)
        if not is_believed(failed.failure, pending.doubts):
            pending, code = pending.doubted(), ENTRA_UNAVAILABLE.code
    except AccessRefused as refused:
        code = refused.code
        if code in TOKEN_REFUSALS and not needs_token:
            pending, code = pending.without_access_token(app.clock()), GRAPH_UNAVAILABLE
    return pending, {mailbox.account: MailboxResult(MailboxState.REFUSED, code) for mailbox in mailboxes}


async def _write_pending(app: App, work: Work, result: ProbeResult, registration: PendingRegistration) -> None:
    """Schedule the next probe of mailboxes that still wait, and write events for those that were given up.

    The grant is deleted when no mailbox waits any more. The person's link stays as it was.
    """
    stored = await app.stores.principals.pending(work.owner, work.item)
    if stored is None:
        return
    if stored.value.due != work.due:
        raise StaleWrite  # the person has just started to wait again
    changes: list[Change] = [Remove(stored.value, stored.version)]
    if result.waiting:
        reason = next(iter(result.waiting.values()))
        next_pending = replace(result.pending.after_failed_probe(reason, app.clock()), accounts=tuple(result.waiting))
        await app.stores.agenda.add(Work(WorkKind.PROBE, next_pending.due, work.owner, work.item))
        changes = [Replace(next_pending, stored.version)]
        log.info("access still awaited", extra={"registration": work.item, "code": reason})
    for account_id, code in result.given_up.items():
        if code == LINK_CANCELLED:
            continue  # there is no event, because the caller that cancelled the link knows
        name, data = EventName.REGISTRATION_FAILED, registration_data(registration, code)
        changes.append(Insert(await queue_event(app, Origin.PRINCIPAL, work.owner, name, data, account_id)))
        log.info("access not given", extra={"registration": work.item, "code": code})
    await app.stores.principals.commit(work.owner, changes)


def _record_audit(app: App, result: ProbeResult, registration: PendingRegistration) -> None:
    codes: dict[str, str | None] = {**dict.fromkeys(result.bound), **result.given_up}
    for account_id, code in codes.items():
        app.audit(
            AuditRecord(
                Action.RESUME_SIGN_IN,
                AuditOutcome.REFUSED if code else AuditOutcome.DONE,
                correlation=registration.correlation or registration.id,
                actor=f"person:{result.pending.principal.id}",
                account=account_id,
                target=registration.id,
                code=code,
            )
        )


def _is_waiting(registration: PendingRegistration, account_id: str) -> bool:
    mailbox = registration.mailbox_for(account_id)
    return mailbox is not None and mailbox.state is MailboxState.WAITING_FOR_ACCESS


def _failure_code(failure: Failure) -> str:
    is_temporary = failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}
    return ENTRA_UNAVAILABLE.code if is_temporary else failure.code


def _is_worth_waiting(pending: PendingAccount, code: str) -> bool:
    return code in TEMPORARY_CODES or (pending.kept and code == NO_ACCESS)
