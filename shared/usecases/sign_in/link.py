"""A sign-in link: whether it is usable, its page in one browser, and the way to Entra."""

import asyncio
import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.audit import set_correlation_id
from shared.domain.errors import EntraBusy, SealBroken, StaleWrite
from shared.domain.formats import fingerprint
from shared.domain.invited_mailbox import LINK_CANCELLED, MailboxState
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, RegistrationStatus, SignInAttempt
from shared.domain.secret import Secret
from shared.domain.webhook import can_register
from shared.ports import App, EntraFailed, Stored
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import standing_caller

log = logging.getLogger(__name__)

WITHDRAWN = "link_withdrawn"
CONFIRM = "confirm"
OPENED = "opened"
APP_UNAVAILABLE = "app_unavailable"
BROWSER_MISMATCH = "browser_mismatch"


class UnusableLink(Exception):
    """The link cannot be used; `code` says why, and `registration` is None when there is no such link."""

    def __init__(self, code: str, registration: PendingRegistration | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.registration = registration


async def usable_link(app: App, registration: str) -> Stored[PendingRegistration]:
    """The registration behind a link that works, and whose caller may still register its accounts.

    Every step of a sign-in reads its link here, so that a caller's authority is checked when it is used. Raises
    UnusableLink and StorageUnavailable.
    """
    stored = await app.stores.registrations.get(registration)
    if stored is None:
        raise UnusableLink("link_unknown")
    if not stored.value.is_usable(app.clock()):
        raise UnusableLink(_end_of(stored.value), stored.value)
    requester = await standing_caller(app, stored.value.requested_by)
    if not can_register(requester, (mailbox.account for mailbox in stored.value.unsettled_mailboxes)):
        raise UnusableLink(WITHDRAWN, stored.value)
    return stored


def _end_of(link: PendingRegistration) -> str:
    if link.unsettled_mailboxes:
        return "link_expired"
    if link.stage is RegistrationStatus.REPLACED:
        return "link_replaced"
    cancelled = [mailbox.failure for mailbox in link.mailboxes if mailbox.state is MailboxState.CANCELLED]
    return cancelled[0] or LINK_CANCELLED if cancelled else "link_used"


def browser_cookie(app: App, known: Secret | None) -> Secret:
    """The browser's cookie, or a new one. Form fields are sealed for it, so that no other browser can submit them."""
    return known or Secret(base64.urlsafe_b64encode(app.entropy(32)).rstrip(b"=").decode())


async def seal_for_browser(app: App, purpose: str, registration: str, cookie: Secret, what: Secret) -> str:
    """A form field for one purpose and registration that only this browser can submit."""
    return await app.sealing.sealer.seal(_identity(purpose, registration, cookie), what)


async def seal_for_any_browser(app: App, purpose: str, registration: str, what: Secret) -> str:
    """A form field for one purpose and registration that any browser can submit."""
    return await app.sealing.sealer.seal(_identity(purpose, registration, None), what)


async def is_sealed_for_any_browser(app: App, purpose: str, registration: str, field: str) -> bool:
    """Whether a form field is one that `seal_for_any_browser` made."""
    try:
        await app.sealing.sealer.unseal(_identity(purpose, registration, None), field)
    except SealBroken:
        return False
    return True


async def unseal_from_browser(
    app: App, purpose: str, registration: str, cookie: Secret | None, field: str
) -> Secret | None:
    """What was sealed, or None when it comes from another browser or page."""
    if cookie is None:
        return None
    try:
        return await app.sealing.sealer.unseal(_identity(purpose, registration, cookie), field)
    except SealBroken:
        return None


def _identity(purpose: str, registration: str, cookie: Secret | None) -> str:
    return f"browser|{purpose}|{registration}|{fingerprint(cookie) if cookie else 'any'}"


@dataclass(frozen=True, slots=True)
class LinkPage:
    """The registration to confirm; `cookie` and `confirmation` tie it to this browser.

    `opened` proves that the link was opened, in whichever browser.
    `apps` are the OAuth apps to choose from: one, unless the form left it to the person. `replaces` are the accounts
    that exist and may get another person or mailbox.
    """

    registration: PendingRegistration
    apps: Sequence[OAuthApp]
    cookie: Secret
    confirmation: str
    opened: str
    replaces: Sequence[Account] = ()


async def open_link(app: App, ticket: Secret, cookie: Secret | None) -> LinkPage:
    """The page behind a ticket. A link may be opened again and again until it is completed. Raises UnusableLink."""
    stored = await usable_link(app, fingerprint(ticket))
    set_correlation_id(stored.value.correlation)
    await _note_opened(app, stored)
    page = replace(await link_page(app, stored.value, cookie), replaces=await _replaced_accounts(app, stored.value))
    if not page.apps:
        raise UnusableLink(APP_UNAVAILABLE, stored.value)
    return page


async def link_page(app: App, registration: PendingRegistration, cookie: Secret | None) -> LinkPage:
    """The confirmation page for this browser."""
    cookie = browser_cookie(app, cookie)
    confirmation = await seal_for_browser(app, CONFIRM, registration.id, cookie, Secret(CONFIRM))
    opened = await seal_for_any_browser(app, OPENED, registration.id, Secret(OPENED))
    return LinkPage(registration, await _apps_to_choose(app, registration), cookie, confirmation, opened)


async def _replaced_accounts(app: App, registration: PendingRegistration) -> Sequence[Account]:
    if not registration.allow_principal_change and not registration.change_mailbox:
        return ()
    found = await asyncio.gather(*(find_account(app, mailbox.account) for mailbox in registration.unsettled_mailboxes))
    return [one.account.value for one in found if one is not None]


async def _apps_to_choose(app: App, registration: PendingRegistration) -> Sequence[OAuthApp]:
    if not registration.app:
        return [oauth_app for oauth_app in await app.oauth_apps.all() if serves(oauth_app, registration)]
    oauth_app = await app.oauth_apps.get(registration.app)
    return [oauth_app] if oauth_app is not None and serves(oauth_app, registration) else []


async def _note_opened(app: App, stored: Stored[PendingRegistration]) -> None:
    opened = stored.value.opened()
    if opened is stored.value:
        return
    try:
        await app.stores.registrations.replace(stored, opened)
    except StaleWrite:
        return  # Another browser opened the link at the same moment.
    log.info("registration opened", extra={"registration": opened.id})


def serves(oauth_app: OAuthApp, registration: PendingRegistration) -> bool:
    """Whether people may sign in through the app for this: several mailboxes need one that lets a grant serve them."""
    return oauth_app.enabled and (registration.only_mailbox is not None or oauth_app.credential_reuse)


async def begin_sign_in(
    app: App, registration: str, confirmation: str, cookie: Secret | None, chosen: str = "", *, opened: str = ""
) -> Secret:
    """The URL to send the browser to, with a `state` that works once, in this browser.

    `chosen` is the id of the OAuth app, for a link that leaves the choice to the person. `opened` comes from a page of
    ours, and is empty where the browser does not say so. Raises UnusableLink.
    """
    if cookie is None or not (
        await unseal_from_browser(app, CONFIRM, registration, cookie, confirmation)
        # Two tabs of a browser that has no cookie yet get one each, and the browser keeps the later one.
        or await is_sealed_for_any_browser(app, OPENED, registration, opened)
    ):
        raise UnusableLink(BROWSER_MISMATCH)
    stored = await usable_link(app, registration)
    asked = stored.value
    set_correlation_id(asked.correlation)
    return await _begin_at_entra(app, asked if asked.app else asked.via_app(chosen), cookie)


async def _begin_at_entra(app: App, asked: PendingRegistration, cookie: Secret) -> Secret:
    oauth_app = await app.oauth_apps.get(asked.app)
    if oauth_app is None or not serves(oauth_app, asked):
        raise UnusableLink(APP_UNAVAILABLE, asked)
    found = await asyncio.gather(*(find_account(app, mailbox.account) for mailbox in asked.unsettled_mailboxes))
    holders = [one.account.value for one in found if one is not None]
    state = Secret(f"{asked.id}.{base64.urlsafe_b64encode(app.entropy(32)).rstrip(b'=').decode()}")
    try:
        url, flow = await app.microsoft.entra.begin(
            oauth_app,
            state=state,
            login_hint=_login_hint(asked, holders),
            claims=await _pending_claims(app, asked, holders),
        )
    except EntraFailed as failed:
        raise UnusableLink(failed.failure.code, asked) from None
    except EntraBusy as busy:
        raise UnusableLink(str(busy.code), asked) from None
    await app.stores.registrations.add_attempt(
        SignInAttempt(fingerprint(state), asked.id, fingerprint(cookie), app.clock(), flow, app=oauth_app.id)
    )
    log.info("sign-in begun", extra={"registration": asked.id})
    return Secret(url)


async def _pending_claims(app: App, asked: PendingRegistration, holders: list[Account]) -> str | None:
    """The claims of a challenge that the sign-in has to meet (Entra: claims challenges)."""
    for principal_id, app_id in {(holder.principal_id, holder.app) for holder in holders}:
        grant = await app.stores.principals.grant(principal_id, app_id)
        if grant is not None and (claims := grant.value.sign_in_claims(app.clock(), refused=asked.failure is not None)):
            return claims
    return None


def _login_hint(asked: PendingRegistration, holders: list[Account]) -> str | None:
    """The expected person. Never the shared mailbox: it cannot sign in."""
    if asked.expected_email:
        return asked.expected_email
    if holders:
        known = {holder.sign_in_name for holder in holders}
        return known.pop() if len(known) == 1 and not asked.allow_principal_change else None
    return None if asked.delegated or asked.only_mailbox is None else asked.only_mailbox.email
