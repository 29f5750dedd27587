"""A browser that comes back from Microsoft twice: it sees the end of its first return.

People press reload, and proxies send a request again. The code is redeemed once, so the later request waits for the
end of the earlier one.
"""

import asyncio
from contextlib import suppress

from shared.domain.audit import set_correlation_id
from shared.domain.errors import StaleWrite, StorageUnavailable
from shared.domain.invited_mailbox import MailboxResult
from shared.domain.registration import SIGN_IN_COMPLETED, PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import App, Stored
from shared.usecases.sign_in.link import link_page, seal_for_browser, unseal_from_browser
from shared.usecases.sign_in.outcome import FINAL_CODES, CarriedField, Completed, Outcome, Refused

LOOK_PURPOSE = "look"
POLL_SECONDS = 0.5


async def record_end(app: App, used: Stored[SignInAttempt], outcome: Outcome) -> None:
    """Record how the sign-in ended, for a browser that comes back again. Without it, that browser has to start over."""
    ended = outcome.code if isinstance(outcome, Refused) else SIGN_IN_COMPLETED
    with suppress(StaleWrite, StorageUnavailable):
        await app.stores.registrations.end_attempt(used, ended, outcome.principal)


async def look_again(app: App, carried: CarriedField, cookie: Secret | None) -> Outcome:
    """The end of the sign-in that the page says is in progress."""
    attempt_id = await unseal_from_browser(app, LOOK_PURPOSE, carried.registration, cookie, carried.field)
    stored = await app.stores.registrations.attempt(carried.registration, attempt_id.reveal()) if attempt_id else None
    if stored is None or cookie is None:
        return Refused("sign_in_unknown")
    return await end_of_attempt(app, stored.value, cookie)


async def end_of_attempt(app: App, attempt: SignInAttempt, cookie: Secret) -> Outcome:
    """Wait a moment for the end of a used attempt, and return it; the cookie is that of the attempt's browser."""
    current: SignInAttempt | None = attempt
    until = app.clock() + app.timeouts.repeated_return
    while current is not None and (not current.used or current.is_in_progress(app.clock())) and app.clock() < until:
        await asyncio.sleep(POLL_SECONDS)
        stored = await app.stores.registrations.attempt(attempt.registration, attempt.id)
        current = stored.value if stored else None
    registration = await app.stores.registrations.get(attempt.registration)
    if current is None or registration is None:
        return Refused("sign_in_unknown")
    set_correlation_id(registration.value.correlation)
    return await _end(app, current, registration.value.via_app(current.app), cookie)


async def _end(app: App, attempt: SignInAttempt, registration: PendingRegistration, cookie: Secret) -> Outcome:
    if attempt.is_in_progress(app.clock()):
        field = await seal_for_browser(app, LOOK_PURPOSE, registration.id, cookie, Secret(attempt.id))
        return Refused("sign_in_in_progress", registration, look=CarriedField(registration.id, field))
    code = attempt.ended or "sign_in_unknown"
    again = await link_page(app, registration, cookie) if registration.is_usable(app.clock()) else None
    if code != SIGN_IN_COMPLETED:
        return Refused(code, registration, None if code in FINAL_CODES else again, principal=attempt.principal)
    results = {
        mailbox.account: MailboxResult(mailbox.state, mailbox.failure, mailbox.email)
        for mailbox in registration.mailboxes
        if mailbox.is_refused or (attempt.principal and mailbox.principal_id == attempt.principal)
    }
    if not results:  # the link was replaced or cancelled meanwhile
        return Refused("sign_in_unknown", registration, again, principal=attempt.principal)
    return Completed(registration, results, again, principal=attempt.principal)
