"""Complete a sign-in: check what Entra posts back, redeem the code, prove access, bind, and say what happened."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shared.domain.audit import set_correlation_id
from shared.domain.errors import EntraBusy, StaleWrite, StorageUnavailable
from shared.domain.failure import FailureKind, redemption_refusal
from shared.domain.formats import fingerprint
from shared.domain.invited_mailbox import MailboxResult, MailboxState, new_pending_account
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import App, EntraFailed, SignedIn, SignInInvalid, Stored
from shared.usecases.events.outbox import refusal_events
from shared.usecases.sign_in.binding import bind_invited_mailboxes
from shared.usecases.sign_in.link import APP_UNAVAILABLE, UnusableLink, link_page, usable_link
from shared.usecases.sign_in.outcome import Carried, Outcome, Refused, Tried, carry_grant, open_carried_grant
from shared.usecases.sign_in.proof import AccessRefused
from shared.usecases.sign_in.wait import NO_ACCESS, offer_to_keep_checking, record_results, wait_for_mailboxes

log = logging.getLogger(__name__)

# Long enough to enrol in a second factor on the way.
ATTEMPT_LASTS = timedelta(hours=1)
FINISH = "finish"
# Signing in again through the same link would end the same way.
FINAL = {
    "link_used",
    "link_replaced",
    "link_expired",
    "link_withdrawn",
    "link_cancelled",
    "account_removed",
    "other_kind",
    "other_mailbox",
    "other_app",
    "same_mailbox",
}


async def complete_sign_in(app: App, answer: Mapping[str, str], cookie: Secret | None) -> Outcome:
    """The outcome of a sign-in that Entra sends back; `answer` holds the fields of its form_post, or an error's query.

    Cookie and state are checked first, then the code, the rules and the mailbox; binding comes last.
    """
    state = answer.get("state", "")
    registration, _, _ = state.partition(".")
    attempt = await app.stores.registrations.attempt(registration, fingerprint(state)) if registration else None
    if attempt is None:
        return Refused("sign_in_unknown")
    if cookie is None or attempt.value.browser != fingerprint(cookie):
        return Refused("browser_mismatch")
    try:
        stored = await usable_link(app, registration)
    except UnusableLink as link:
        return Refused(link.code, link.registration)
    set_correlation_id(stored.value.correlation)
    return await _redeem_once(app, attempt, stored.value.via_app(attempt.value.app), answer, cookie)


async def _redeem_once(
    app: App, attempt: Stored[SignInAttempt], asked: PendingRegistration, answer: Mapping[str, str], cookie: Secret
) -> Outcome:
    if attempt.value.used or app.clock() >= attempt.value.created + ATTEMPT_LASTS:
        return await refuse_sign_in(app, "sign_in_unknown", asked, cookie, note=False)
    if not await app.stores.registrations.use_attempt(attempt):
        return await refuse_sign_in(app, "sign_in_unknown", asked, cookie, note=False)
    oauth_app = await app.oauth_apps.get(asked.app)
    if oauth_app is None:
        return await refuse_sign_in(app, APP_UNAVAILABLE, asked, cookie)
    return await _redeem(app, oauth_app, attempt.value, asked, answer, cookie)


async def _redeem(
    app: App,
    oauth_app: OAuthApp,
    attempt: SignInAttempt,
    asked: PendingRegistration,
    answer: Mapping[str, str],
    cookie: Secret,
) -> Outcome:
    try:
        signed_in = await app.microsoft.entra.redeem(oauth_app, attempt.flow, answer)
    except EntraFailed as failed:
        return await refuse_sign_in(app, redemption_refusal(failed.failure), asked, cookie)
    except EntraBusy as busy:
        return await refuse_sign_in(app, str(busy.code), asked, cookie)
    except SignInInvalid as invalid:
        return await refuse_sign_in(app, invalid.code, asked, cookie)
    log.info("sign-in completed", extra={"registration": asked.id, "principal": signed_in.principal.id})
    return await conclude_sign_in(app, oauth_app, asked, signed_in, cookie)


async def conclude_sign_in(
    app: App, oauth_app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret
) -> Outcome:
    """Prove access and bind. When storage fails, the page carries the grant, because no code is redeemed twice."""
    try:
        outcome = await _conclude(app, oauth_app, asked, signed_in, cookie)
    except StorageUnavailable:
        log.warning("storage failed after a sign-in", extra={"registration": asked.id})
        carried = await carry_grant(app, FINISH, asked, signed_in, cookie)
        outcome = Refused("storage_unavailable", asked, finish=carried)
    return replace(outcome, principal=signed_in.principal.id)


async def finish_sign_in(app: App, offered: Carried, cookie: Secret | None) -> Outcome:
    """Continue a sign-in that storage interrupted. While storage is down, the page carries the grant on."""
    try:
        return await _finish(app, offered, cookie)
    except (StorageUnavailable, EntraBusy) as unavailable:
        return Refused(str(unavailable.code), finish=offered)


async def refuse_sign_in(
    app: App, code: str, asked: PendingRegistration, cookie: Secret, *, keep: Carried | None = None, note: bool = True
) -> Refused:
    """Record the refusal on the link, and offer to start over where that may help."""
    if note:
        await _note_refusal(app, asked, code)
    again = None if code in FINAL else await link_page(app, asked, cookie)
    return Refused(code, asked, again=again, keep=keep)


async def _conclude(
    app: App, oauth_app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret
) -> Outcome:
    try:
        results = await bind_invited_mailboxes(app, asked, oauth_app, signed_in)
    except AccessRefused as refused:
        keep = await offer_to_keep_checking(app, asked, signed_in, cookie) if refused.code == NO_ACCESS else None
        return await refuse_sign_in(app, refused.code, asked, cookie, keep=keep)
    away = [account for account, result in results.items() if result.state is MailboxState.WAITING_FOR_ACCESS]
    tried = {account: result for account, result in results.items() if account not in away}
    link = await record_results(app, asked.id, signed_in.principal.id, tried) if tried else None
    outcome = Tried(link.via_app(oauth_app.id) if link else asked, results)
    if away:
        waits = await _wait_for_graph(app, oauth_app, asked, signed_in, tuple(away))
        if isinstance(waits, Refused):
            return waits
        outcome = waits
    codes = {result.code for result in tried.values() if result.code}
    return replace(
        outcome,
        results=results,
        again=await link_page(app, asked, cookie) if codes - FINAL else None,
        keep=await offer_to_keep_checking(app, asked, signed_in, cookie) if NO_ACCESS in codes else None,
    )


async def _wait_for_graph(
    app: App, oauth_app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, accounts: tuple[str, ...]
) -> Outcome:
    return await wait_for_mailboxes(
        app,
        asked,
        new_pending_account(
            registration=asked.id,
            accounts=accounts,
            principal=signed_in.principal,
            app=oauth_app.id,
            tokens=signed_in.tokens,
            kept=False,
            reason="graph_unavailable",
            now=app.clock(),
        ),
    )


async def _finish(app: App, offered: Carried, cookie: Secret | None) -> Outcome:
    opened = await open_carried_grant(app, FINISH, offered, cookie)
    if opened is None or cookie is None:
        return Refused("sign_in_unknown")
    signed_in = opened.signed_in
    try:
        stored = await usable_link(app, offered.registration)
    except UnusableLink as link:
        return _ended(link.registration, link.code, signed_in)
    asked = stored.value.via_app(opened.app)
    set_correlation_id(asked.correlation)
    oauth_app = await app.oauth_apps.get(asked.app)
    if oauth_app is None:
        return await refuse_sign_in(app, APP_UNAVAILABLE, asked, cookie)
    try:
        tokens = await app.microsoft.entra.finish(oauth_app, signed_in.tokens.refresh_token)
    except EntraFailed as failed:
        if failed.failure.kind in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}:
            return Refused(failed.failure.code, asked, finish=offered)
        return await refuse_sign_in(app, failed.failure.code, asked, cookie)
    return await conclude_sign_in(app, oauth_app, asked, SignedIn(signed_in.principal, tokens), cookie)


async def _note_refusal(app: App, asked: PendingRegistration, code: str) -> None:
    log.info("mailbox refused", extra={"registration": asked.id, "code": code})
    # Another browser's outcome for the same link is newer than ours; and without storage the person hears it alone.
    with suppress(StaleWrite, StorageUnavailable):
        stored = await app.stores.registrations.get(asked.id)
        if stored is not None:
            refused = stored.value.with_refusal(code)
            await app.stores.registrations.replace(stored, refused, await refusal_events(app, stored.value, refused))


def _ended(asked: PendingRegistration | None, code: str, signed_in: SignedIn) -> Outcome:
    """The binding was written before its answer was lost: then this is the person who bound, and no stranger."""
    ours = {
        mailbox.account: MailboxResult(mailbox.state, email=mailbox.email)
        for mailbox in (asked.mailboxes if asked else ())
        if mailbox.state.is_bound and mailbox.principal_id == signed_in.principal.id
    }
    return Tried(asked, ours) if asked and ours else Refused(code, asked)
