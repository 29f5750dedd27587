"""Open a link: what the person sees before they go to Microsoft."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.correlation import correlate
from shared.domain.errors import StaleWrite
from shared.domain.keys import fingerprint
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, RegistrationStatus
from shared.domain.secret import Secret
from shared.ports import Clock, OAuthApps, Registrations, Stored
from shared.usecases import use_case
from shared.usecases.sign_in.browser_binding import BrowserBinding

log = logging.getLogger(__name__)

CONFIRM = "confirm"
APP_UNAVAILABLE = "app_unavailable"


@dataclass(frozen=True, slots=True)
class LinkPage:
    """The registration to confirm; `cookie` and `confirmation` tie it to this browser.

    `apps` are the OAuth apps to choose from: one, unless the form left it to the person.
    """

    registration: PendingRegistration
    apps: Sequence[OAuthApp]
    cookie: Secret
    confirmation: str


@dataclass(frozen=True, slots=True)
class DeadLink:
    """A link that leads nowhere any more, and why."""

    code: str
    registration: PendingRegistration | None = None


@use_case
class OpenLink:
    """Opening a link may happen any number of times before it is completed."""

    registrations: Registrations
    apps: OAuthApps
    binding: BrowserBinding
    clock: Clock

    async def __call__(self, ticket: Secret, cookie: Secret | None) -> LinkPage | DeadLink:
        """The page behind a ticket."""
        stored = await self.registrations.get(fingerprint(ticket))
        dead = dead_link(stored, self.clock)
        if stored is None or dead:
            return dead or DeadLink("link_unknown")
        correlate(stored.value.correlation)
        await self._note(stored)
        page = await self.page(stored.value, cookie)
        return page if page.apps else DeadLink(APP_UNAVAILABLE, stored.value)

    async def page(self, registration: PendingRegistration, cookie: Secret | None) -> LinkPage:
        """The confirmation page for this browser."""
        cookie = self.binding.cookie(cookie)
        confirmation = await self.binding.seal(CONFIRM, registration.id, cookie, Secret(CONFIRM))
        return LinkPage(registration, await self._apps(registration), cookie, confirmation)

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
    return app.enabled and (registration.single is not None or app.credential_reuse)


def dead_link(stored: Stored[PendingRegistration] | None, clock: Clock) -> DeadLink | None:
    """Why a link leads nowhere, or None while it works."""
    if stored is None:
        return DeadLink("link_unknown")
    if stored.value.usable(clock()):
        return None
    if stored.value.open:
        return DeadLink("link_expired", stored.value)
    replaced = stored.value.stage is RegistrationStatus.REPLACED
    return DeadLink("link_replaced" if replaced else "link_used", stored.value)
