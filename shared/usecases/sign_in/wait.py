"""Wait for a mailbox to open without a second sign-in, and record results on the link."""

import logging
from collections.abc import Mapping

from shared.domain.audit import set_correlation_id
from shared.domain.errors import Conflict, StorageUnavailable
from shared.domain.invited_mailbox import MailboxResult, MailboxState, PendingAccount, new_pending_account
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.domain.work import Work, WorkKind
from shared.ports import App, SignedIn, retry_on_conflict
from shared.usecases.events.outbox import refusal_events
from shared.usecases.sign_in.link import UnusableLink, usable_link
from shared.usecases.sign_in.outcome import Carried, Outcome, Refused, Tried, carry_grant, open_carried_grant

log = logging.getLogger(__name__)

KEEP = "keep"
NO_ACCESS = "no_mailbox_access"


async def offer_to_keep_checking(app: App, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret) -> Carried:
    """The form field that carries the grant."""
    return await carry_grant(app, KEEP, asked, signed_in, cookie)


async def keep_checking(app: App, offered: Carried, cookie: Secret | None) -> Outcome:
    """Begin to wait, unless the form field is another browser's or too old, or the link is unusable.

    Nothing of a refused grant is stored until the person asks for it: the page carries it.
    """
    try:
        return await _keep_checking(app, offered, cookie)
    except StorageUnavailable:
        return Refused("storage_unavailable", keep=offered)
    except UnusableLink as link:
        return Refused(link.code, link.registration)


async def _keep_checking(app: App, offered: Carried, cookie: Secret | None) -> Outcome:
    opened = await open_carried_grant(app, KEEP, offered, cookie)
    if opened is None:
        return Refused("sign_in_unknown")
    signed_in = opened.signed_in
    stored = await usable_link(app, offered.registration)
    asked = stored.value
    set_correlation_id(asked.correlation)
    shut = [mailbox.account for mailbox in asked.unsettled_mailboxes if mailbox.failure == NO_ACCESS]
    return await wait_for_mailboxes(
        app,
        asked,
        new_pending_account(
            registration=asked.id,
            accounts=tuple(shut or [mailbox.account for mailbox in asked.unsettled_mailboxes]),
            principal=signed_in.principal,
            app=asked.via_app(opened.app).app,
            tokens=signed_in.tokens,
            kept=True,
            reason=NO_ACCESS,
            now=app.clock(),
        ),
    )


async def wait_for_mailboxes(app: App, asked: PendingRegistration, pending: PendingAccount) -> Outcome:
    """Store the pending account: the agenda's row first, then the account, then the link, unless it became unusable.

    After a crash before the link was written, the first probe writes it.
    """
    principal_id, registration = pending.principal.id, pending.registration
    await app.stores.agenda.add(Work(WorkKind.PROBE, pending.due, principal_id, registration))
    await app.stores.principals.update_pending(
        principal_id, registration, lambda stored: pending.merged_with(stored) if stored else pending
    )
    try:
        await usable_link(app, registration)
    except UnusableLink as unusable:
        await app.stores.principals.forget_pending(principal_id, registration)
        return Refused(unusable.code, asked, principal=principal_id)
    waits = MailboxResult(MailboxState.WAITING_FOR_ACCESS, pending.reason)
    results = dict.fromkeys(pending.accounts, waits)
    recorded = await record_results(app, registration, principal_id, results)
    log.info("access awaited", extra={"registration": registration, "code": pending.reason})
    link = recorded.via_app(pending.app) if recorded else asked
    return Tried(link, results, until=pending.until, principal=principal_id)


async def record_results(
    app: App, registration: str, principal_id: str, results: Mapping[str, MailboxResult], *, gave_up: bool = False
) -> PendingRegistration | None:
    """Record results on the link, and return it; None when it is gone.

    The accounts are the truth. The link only repeats it, so after too many lost races it stays as it is.
    """

    async def attempt() -> PendingRegistration | None:
        link = await app.stores.registrations.get(registration)
        if link is None:
            return None
        after = link.value.after_sign_in(principal_id, results, app.clock(), stop_waiting=gave_up)
        return (await app.stores.registrations.replace(link, after, await refusal_events(app, link.value, after))).value

    try:
        return await retry_on_conflict(attempt)
    except Conflict:
        link = await app.stores.registrations.get(registration)
        return link.value if link else None
