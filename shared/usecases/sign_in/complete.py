"""Complete a sign-in: check what Entra posts back, redeem the code, prove access, bind, and return the outcome."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from shared.domain.audit import set_correlation_id
from shared.domain.errors import EntraBusy, StaleWrite, StorageUnavailable, Unavailable
from shared.domain.failure import GRAPH_UNAVAILABLE, NO_ACCESS, FailureKind
from shared.domain.formats import fingerprint
from shared.domain.invited_mailbox import MailboxState, new_pending_account
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.domain.sign_in_refusal import fresh_grant_refusal, redemption_refusal
from shared.ports import App, EntraFailed, SignedIn, SignInInvalid, Stored
from shared.usecases.events.outbox import refusal_events
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.link import APP_UNAVAILABLE, UnusableLink, link_page, usable_link
from shared.usecases.sign_in.outcome import (
    FINAL_CODES,
    KEEP_CHECKING_PURPOSE,
    CarriedField,
    Completed,
    Outcome,
    Refused,
    bound_by,
    carry_grant,
    open_carried_grant,
    record_results,
    wait_for_mailboxes,
)
from shared.usecases.sign_in.proof import AccessRefused
from shared.usecases.sign_in.repeated import end_of_attempt, record_end

log = logging.getLogger(__name__)

# Long enough to set up a second factor during the sign-in.
ATTEMPT_LIFETIME = timedelta(hours=1)
FINISH_PURPOSE = "finish"


async def complete_sign_in(app: App, response: Mapping[str, str], cookie: Secret | None) -> Outcome:
    """Complete a sign-in with Entra's response: the fields of its form post, or the query of an error.

    Cookie and state are checked first, then the code, the rules and the mailbox. Binding comes last.
    """
    state = response.get("state", "")
    registration_id, _, _ = state.partition(".")
    attempt = None
    if registration_id:
        attempt = await app.stores.registrations.attempt(registration_id, fingerprint(state))
    if attempt is None:
        return Refused("sign_in_unknown")
    if cookie is None or attempt.value.browser != fingerprint(cookie):
        return Refused("browser_mismatch")
    if attempt.value.used:
        return await end_of_attempt(app, attempt.value, cookie)
    return await _complete_once(app, attempt, response, cookie)


async def _complete_once(
    app: App, attempt: Stored[SignInAttempt], response: Mapping[str, str], cookie: Secret
) -> Outcome:
    try:
        stored = await usable_link(app, attempt.value.registration)
    except UnusableLink as link:
        return Refused(link.code, link.registration)
    registration = stored.value.via_app(attempt.value.app)
    set_correlation_id(registration.correlation)
    if app.clock() >= attempt.value.created + ATTEMPT_LIFETIME:
        again = await link_page(app, registration, cookie)
        return Refused("sign_in_unknown", registration, again=again)
    used = await app.stores.registrations.use_attempt(attempt, app.clock())
    if used is None:
        return await end_of_attempt(app, attempt.value, cookie)
    try:
        outcome = await _redeem(app, attempt.value.flow, registration, response, cookie)
    except Exception:
        await record_end(app, used, Refused("sign_in_unknown"))
        raise
    await record_end(app, used, outcome)
    return outcome


async def _redeem(
    app: App, flow: Secret, registration: PendingRegistration, response: Mapping[str, str], cookie: Secret
) -> Outcome:
    oauth_app = await app.oauth_apps.get(registration.app)
    if oauth_app is None:
        return await _refuse(app, APP_UNAVAILABLE, registration, cookie)
    try:
        signed_in = await app.microsoft.entra.redeem(oauth_app, flow, response)
    except EntraFailed as error:
        return await _refuse(app, redemption_refusal(error.failure), registration, cookie)
    except EntraBusy as error:
        return await _refuse(app, str(error.code), registration, cookie)
    except SignInInvalid as error:
        return await _refuse(app, error.code, registration, cookie)
    log.info("sign-in completed", extra={"registration": registration.id, "principal": signed_in.principal.id})
    return await conclude_sign_in(app, oauth_app, registration, signed_in, cookie)


async def finish_sign_in(app: App, carried: CarriedField, cookie: Secret | None) -> Outcome:
    """Continue a sign-in that an outage interrupted. While it lasts, the page carries the grant on."""
    try:
        return await _finish(app, carried, cookie)
    except Unavailable as error:
        return Refused(str(error.code), finish=carried)


async def _finish(app: App, carried: CarriedField, cookie: Secret | None) -> Outcome:
    opened = await open_carried_grant(app, FINISH_PURPOSE, carried, cookie)
    if opened is None or cookie is None:
        return Refused("sign_in_unknown")
    signed_in = opened.signed_in
    try:
        stored = await usable_link(app, carried.registration)
    except UnusableLink as link:
        return _outcome_of_ended_link(link, signed_in)
    registration = stored.value.via_app(opened.app)
    set_correlation_id(registration.correlation)
    oauth_app = await app.oauth_apps.get(registration.app)
    if oauth_app is None:
        return await _refuse(app, APP_UNAVAILABLE, registration, cookie)
    try:
        tokens = await app.microsoft.entra.finish(oauth_app, signed_in.tokens.refresh_token, signed_in.principal)
    except EntraFailed as error:
        if error.failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}:
            return Refused(error.failure.code, registration, finish=carried)
        return await _refuse(app, fresh_grant_refusal(error.failure), registration, cookie)
    return await conclude_sign_in(app, oauth_app, registration, SignedIn(signed_in.principal, tokens), cookie)


def _outcome_of_ended_link(link: UnusableLink, signed_in: SignedIn) -> Outcome:
    """If the binding was written before storage failed, the link is used up, and its person gets the result."""
    registration, principal_id = link.registration, signed_in.principal.id
    bound = bound_by(registration, principal_id) if registration else {}
    return Completed(registration, bound) if registration and bound else Refused(link.code, registration)


async def conclude_sign_in(
    app: App, oauth_app: OAuthApp, registration: PendingRegistration, signed_in: SignedIn, cookie: Secret
) -> Outcome:
    """Prove access and bind. In an outage, the page carries the grant, because a code is redeemed only once."""
    try:
        outcome = await _conclude(app, oauth_app, registration, signed_in, cookie)
    except Unavailable as error:
        log.warning("storage failed after a sign-in", extra={"registration": registration.id, "code": error.code})
        carried = await carry_grant(app, FINISH_PURPOSE, registration, signed_in, cookie)
        outcome = Refused(str(error.code), registration, finish=carried)
    return outcome._replace(principal=signed_in.principal.id)


async def _conclude(
    app: App, oauth_app: OAuthApp, registration: PendingRegistration, signed_in: SignedIn, cookie: Secret
) -> Outcome:
    try:
        results = await bind_invited_mailboxes(app, registration, oauth_app, signed_in)
    except AccessRefused as refused:
        refusal = await _refuse(app, refused.code, registration, cookie, claims=refused.claims)
        refusal = refusal._replace(compared=refused.compared)
        if refused.code != NO_ACCESS:
            return refusal
        return refusal._replace(keep=await carry_grant(app, KEEP_CHECKING_PURPOSE, registration, signed_in, cookie))
    waiting = tuple(
        account_id for account_id, result in results.items() if result.state is MailboxState.WAITING_FOR_ACCESS
    )
    settled = {account_id: result for account_id, result in results.items() if account_id not in waiting}
    recorded = await record_results(app, registration.id, signed_in.principal.id, settled) if settled else None
    outcome: Outcome = Completed(recorded.via_app(oauth_app.id) if recorded else registration, results)
    if waiting:
        pending = new_pending_account(
            registration=registration.id,
            accounts=waiting,
            principal=signed_in.principal,
            app=oauth_app.id,
            tokens=signed_in.tokens,
            kept=False,
            reason=GRAPH_UNAVAILABLE,
            now=app.clock(),
        )
        outcome = await wait_for_mailboxes(app, registration, pending)
    if isinstance(outcome, Refused):
        return outcome
    codes = {result.code for result in settled.values() if result.code}
    keep = None
    if NO_ACCESS in codes:
        keep = await carry_grant(app, KEEP_CHECKING_PURPOSE, registration, signed_in, cookie)
    again = await link_page(app, registration, cookie) if codes - FINAL_CODES else None
    return outcome._replace(results=results, again=again, keep=keep)


async def _refuse(
    app: App, code: str, registration: PendingRegistration, cookie: Secret, *, claims: str | None = None
) -> Refused:
    """Record the refusal on the registration. The page lets the person start over if that may help."""
    log.info("mailbox refused", extra={"registration": registration.id, "code": code})
    # After a conflict, the newer result of another browser stays. If storage fails, only the person learns the reason.
    with suppress(StaleWrite, StorageUnavailable):
        stored = await app.stores.registrations.get(registration.id)
        if stored is not None:
            refused = stored.value.with_refusal(code, claims)
            events = await refusal_events(app, stored.value, refused)
            await app.stores.registrations.replace(stored, refused, events)
    again = None if code in FINAL_CODES else await link_page(app, registration, cookie)
    return Refused(code, registration, again=again)
