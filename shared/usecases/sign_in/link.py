"""A sign-in link: check that it is usable, show its page in one browser, and send the person to Entra."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.audit import set_correlation_id
from shared.domain.caller import can_register
from shared.domain.claims_challenge import sanitized_claims
from shared.domain.errors import EntraBusy, SealBroken, StaleWrite
from shared.domain.formats import fingerprint, random_token
from shared.domain.hand_out import link_hands_out
from shared.domain.invited_mailbox import LINK_CANCELLED, MailboxState
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, RegistrationStatus, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import App, EntraFailed, Stored
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import standing_caller

log = logging.getLogger(__name__)

LINK_WITHDRAWN = "link_withdrawn"
CONFIRMATION_PURPOSE = "confirm"
OPENED_PURPOSE = "opened"
APP_UNAVAILABLE = "app_unavailable"
BROWSER_MISMATCH = "browser_mismatch"


class UnusableLink(Exception):
    """The link cannot be used; `code` says why, and `registration` is None when there is no such link."""

    def __init__(self, code: str, registration: PendingRegistration | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.registration = registration


async def usable_link(app: App, registration_id: str) -> Stored[PendingRegistration]:
    """Return the registration if its link still works and its caller may still register the accounts.

    Every step of a sign-in reads the registration here, so the caller's authority is checked at the time of use.
    Raises UnusableLink and StorageUnavailable.
    """
    stored = await app.stores.registrations.get(registration_id)
    if stored is None:
        raise UnusableLink("link_unknown")
    if not stored.value.is_usable(app.clock()):
        raise UnusableLink(_end_code(stored.value), stored.value)
    requester = await standing_caller(app, stored.value.requested_by)
    if not can_register(requester, (mailbox.account for mailbox in stored.value.unsettled_mailboxes)):
        raise UnusableLink(LINK_WITHDRAWN, stored.value)
    return stored


def _end_code(registration: PendingRegistration) -> str:
    if registration.unsettled_mailboxes:
        return "link_expired"
    if registration.stage is RegistrationStatus.REPLACED:
        return "link_replaced"
    cancelled = [mailbox.failure for mailbox in registration.mailboxes if mailbox.state is MailboxState.CANCELLED]
    return cancelled[0] or LINK_CANCELLED if cancelled else "link_used"


def browser_cookie(app: App, cookie: Secret | None) -> Secret:
    """Return the browser's cookie, or a new one. Form fields are sealed for it, so no other browser can submit them."""
    return cookie or Secret(random_token(app.entropy))


async def seal_for_browser(app: App, purpose: str, registration_id: str, cookie: Secret, value: Secret) -> str:
    """Seal a form field for one purpose and registration, so that only this browser can submit it."""
    return await app.sealing.sealer.seal(_identity(purpose, registration_id, cookie), value)


async def seal_for_any_browser(app: App, purpose: str, registration_id: str, value: Secret) -> str:
    """Seal a form field for one purpose and registration that any browser can submit."""
    return await app.sealing.sealer.seal(_identity(purpose, registration_id, None), value)


async def is_sealed_for_any_browser(app: App, purpose: str, registration_id: str, field: str) -> bool:
    """Whether `seal_for_any_browser` made this form field."""
    try:
        await app.sealing.sealer.unseal(_identity(purpose, registration_id, None), field)
    except SealBroken:
        return False
    return True


async def unseal_from_browser(
    app: App, purpose: str, registration_id: str, cookie: Secret | None, field: str
) -> Secret | None:
    """Return the sealed value, or None if it was sealed for another browser or page."""
    if cookie is None:
        return None
    try:
        return await app.sealing.sealer.unseal(_identity(purpose, registration_id, cookie), field)
    except SealBroken:
        return None


def _identity(purpose: str, registration_id: str, cookie: Secret | None) -> str:
    return f"browser|{purpose}|{registration_id}|{fingerprint(cookie) if cookie else 'any'}"


class LinkPage(NamedTuple):
    """The page on which the person confirms a registration; `cookie` and `confirmation` tie it to this browser.

    `opened` proves that the link was opened, in any browser. `apps` are the OAuth apps to choose from: one, unless the
    form left the choice to the person. `replaces` are the existing accounts that may get another person or mailbox.
    Without `hand_out`, callers get no tokens of what the link binds.
    """

    registration: PendingRegistration
    apps: Sequence[OAuthApp]
    cookie: Secret
    confirmation: str
    opened: str
    replaces: Sequence[Account] = ()
    hand_out: bool = True


async def open_link(app: App, ticket: Secret, cookie: Secret | None) -> LinkPage:
    """Return the page of a link, which may be opened any number of times until it is completed. Raises UnusableLink."""
    stored = await usable_link(app, fingerprint(ticket))
    set_correlation_id(stored.value.correlation)
    await _record_opened(app, stored)
    page = await link_page(app, stored.value, cookie)
    existing = await _existing_accounts(app, stored.value)
    page = page._replace(
        replaces=existing if stored.value.allow_principal_change or stored.value.change_mailbox else (),
        hand_out=link_hands_out(stored.value, existing, setting=app.config.hand_out),
    )
    if not page.apps:
        raise UnusableLink(APP_UNAVAILABLE, stored.value)
    return page


async def link_page(app: App, registration: PendingRegistration, cookie: Secret | None) -> LinkPage:
    """Return the confirmation page for this browser."""
    cookie = browser_cookie(app, cookie)
    confirmation = await seal_for_browser(
        app, CONFIRMATION_PURPOSE, registration.id, cookie, Secret(CONFIRMATION_PURPOSE)
    )
    opened = await seal_for_any_browser(app, OPENED_PURPOSE, registration.id, Secret(OPENED_PURPOSE))
    return LinkPage(registration, await _apps_to_choose(app, registration), cookie, confirmation, opened)


async def _existing_accounts(app: App, registration: PendingRegistration) -> list[Account]:
    accounts = await asyncio.gather(
        *(find_account(app, mailbox.account) for mailbox in registration.unsettled_mailboxes)
    )
    return [found.account.value for found in accounts if found is not None]


async def _apps_to_choose(app: App, registration: PendingRegistration) -> Sequence[OAuthApp]:
    if not registration.app:
        return [oauth_app for oauth_app in await app.oauth_apps.all() if serves(oauth_app, registration)]
    oauth_app = await app.oauth_apps.get(registration.app)
    return [oauth_app] if oauth_app is not None and serves(oauth_app, registration) else []


async def _record_opened(app: App, stored: Stored[PendingRegistration]) -> None:
    opened = stored.value.opened()
    if opened is stored.value:
        return
    try:
        await app.stores.registrations.replace(stored, opened)
    except StaleWrite:
        return  # Another browser opened the link at the same moment.
    log.info("registration opened", extra={"registration": opened.id})


def serves(oauth_app: OAuthApp, registration: PendingRegistration) -> bool:
    """Whether people may sign in through the app. Several mailboxes need an app whose grants serve several accounts."""
    return oauth_app.enabled and (registration.only_mailbox is not None or oauth_app.credential_reuse)


async def begin_sign_in(
    app: App, registration_id: str, confirmation: str, cookie: Secret | None, app_id: str = "", *, opened: str = ""
) -> Secret:
    """Return the URL to send the browser to, with a `state` that works once, in this browser.

    `app_id` is the OAuth app, for a link that leaves the choice to the person. `opened` is a field of Mailbind's own
    page; it must be empty unless the browser confirms that the request comes from that page. Raises UnusableLink.
    """
    if cookie is None or not (
        await unseal_from_browser(app, CONFIRMATION_PURPOSE, registration_id, cookie, confirmation)
        # Two tabs of a browser without a cookie get one each, and the browser keeps only the later one.
        or await is_sealed_for_any_browser(app, OPENED_PURPOSE, registration_id, opened)
    ):
        raise UnusableLink(BROWSER_MISMATCH)
    registration = (await usable_link(app, registration_id)).value
    set_correlation_id(registration.correlation)
    return await _begin_at_entra(app, registration if registration.app else registration.via_app(app_id), cookie)


async def _begin_at_entra(app: App, registration: PendingRegistration, cookie: Secret) -> Secret:
    oauth_app = await app.oauth_apps.get(registration.app)
    if oauth_app is None or not serves(oauth_app, registration):
        raise UnusableLink(APP_UNAVAILABLE, registration)
    existing = await _existing_accounts(app, registration)
    state = Secret(f"{registration.id}.{random_token(app.entropy)}")
    try:
        url, flow = await app.microsoft.entra.begin(
            oauth_app,
            state=state,
            login_hint=_login_hint(registration, existing),
            claims=await _pending_claims(app, registration, existing),
        )
    except EntraFailed as failed:
        raise UnusableLink(failed.failure.code, registration) from None
    except EntraBusy as busy:
        raise UnusableLink(str(busy.code), registration) from None
    await app.stores.registrations.add_attempt(
        SignInAttempt(fingerprint(state), registration.id, fingerprint(cookie), app.clock(), flow, app=oauth_app.id)
    )
    log.info("sign-in begun", extra={"registration": registration.id})
    return Secret(url)


async def _pending_claims(app: App, registration: PendingRegistration, existing: list[Account]) -> str | None:
    """The claims of a challenge that the sign-in must satisfy (Entra: claims challenges)."""
    demanded = [registration.claims, *(account.last_error.claims for account in existing if account.last_error)]
    if claims := next(filter(None, map(sanitized_claims, demanded)), None):
        return claims
    for principal_id, app_id in {(account.principal_id, account.app) for account in existing}:
        grant = await app.stores.principals.grant(principal_id, app_id)
        if grant is not None and (
            claims := grant.value.sign_in_claims(app.clock(), refused=registration.failure is not None)
        ):
            return claims
    return None


def _login_hint(registration: PendingRegistration, existing: list[Account]) -> str | None:
    """The expected person. Never the shared mailbox: it cannot sign in."""
    if expected_email := registration.expected_email:
        return next((each.sign_in_name for each in existing if each.is_authorized_by(expected_email)), expected_email)
    if existing:
        sign_in_names = {account.sign_in_name for account in existing}
        return sign_in_names.pop() if len(sign_in_names) == 1 and not registration.allow_principal_change else None
    return None if registration.delegated or registration.only_mailbox is None else registration.only_mailbox.email
