"""Open a link: what the person sees before they go to Microsoft."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.formats import set_correlation_id
from shared.domain.identity import fingerprint
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration
from shared.domain.secret import Secret
from shared.ports import OAuthApps, Registrations, Stored
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.sign_in.browser_binding import BrowserBinding
from shared.usecases.sign_in.live_links import DeadLink, LiveLinks

log = logging.getLogger(__name__)

CONFIRM = "confirm"
OPENED = "opened"
APP_UNAVAILABLE = "app_unavailable"
BROWSER_MISMATCH = "browser_mismatch"


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


@use_case
class OpenLink:
    """Opening a link may happen any number of times before it is completed."""

    registrations: Registrations
    links: LiveLinks
    find: FindAccount
    apps: OAuthApps
    binding: BrowserBinding

    async def __call__(self, ticket: Secret, cookie: Secret | None) -> LinkPage | DeadLink:
        """The page behind a ticket."""
        stored = await self.links(fingerprint(ticket))
        if isinstance(stored, DeadLink):
            return stored
        set_correlation_id(stored.value.correlation)
        await self._note(stored)
        page = replace(await self.page(stored.value, cookie), replaces=await self._replaces(stored.value))
        return page if page.apps else DeadLink(APP_UNAVAILABLE, stored.value)

    async def page(self, registration: PendingRegistration, cookie: Secret | None) -> LinkPage:
        """The confirmation page for this browser."""
        cookie = self.binding.cookie(cookie)
        confirmation = await self.binding.seal(CONFIRM, registration.id, cookie, Secret(CONFIRM))
        opened = await self.binding.seal_for_any(OPENED, registration.id, Secret(OPENED))
        return LinkPage(registration, await self._apps(registration), cookie, confirmation, opened)

    async def _replaces(self, registration: PendingRegistration) -> Sequence[Account]:
        if not registration.allow_principal_change and not registration.change_mailbox:
            return ()
        found = await asyncio.gather(*(self.find(mailbox.account) for mailbox in registration.unsettled_mailboxes))
        return [one.account.value for one in found if one is not None]

    async def _apps(self, registration: PendingRegistration) -> Sequence[OAuthApp]:
        if not registration.app:
            return [app for app in await self.apps.all() if serves(app, registration)]
        app = await self.apps.get(registration.app)
        return [app] if app is not None and serves(app, registration) else []

    async def _note(self, stored: Stored[PendingRegistration]) -> None:
        opened = stored.value.opened()
        if opened is stored.value:
            return
        try:
            await self.registrations.replace(stored, opened)
        except StaleWrite:
            return  # Another browser opened the link at the same moment.
        log.info("registration opened", extra={"registration": opened.id})


def serves(app: OAuthApp, registration: PendingRegistration) -> bool:
    """Whether people may sign in through the app for this: several mailboxes need one that lets a grant serve them."""
    return app.enabled and (registration.only_mailbox is not None or app.credential_reuse)
