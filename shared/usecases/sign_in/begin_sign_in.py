"""Begin a sign-in: from the confirmed page to Entra."""

import asyncio
import base64
import logging

from shared.domain.account import Account
from shared.domain.errors import EntraBusy
from shared.domain.formats import set_correlation_id
from shared.domain.identity import fingerprint
from shared.domain.registration import PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import Clock, Entra, EntraFailed, Entropy, OAuthApps, Principals, Registrations
from shared.usecases import use_case
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.sign_in.browser_binding import BrowserBinding
from shared.usecases.sign_in.live_links import DeadLink, LiveLinks
from shared.usecases.sign_in.open_link import APP_UNAVAILABLE, BROWSER_MISMATCH, CONFIRM, OPENED, serves

log = logging.getLogger(__name__)


@use_case
class BeginSignIn:
    """Makes a `state` that works once, in this browser."""

    registrations: Registrations
    links: LiveLinks
    principals: Principals
    find: FindAccount
    apps: OAuthApps
    entra: Entra
    binding: BrowserBinding
    clock: Clock
    entropy: Entropy

    async def __call__(
        self, registration: str, confirmation: str, cookie: Secret | None, chosen: str = "", *, opened: str = ""
    ) -> Secret | DeadLink:
        """The URL to send the browser to; `chosen` is the OAuth app where the person may choose.

        `opened` comes from a page of ours in this browser, and is empty where the browser does not say so.
        """
        if cookie is None or not (
            await self.binding.unseal(CONFIRM, registration, cookie, confirmation)
            # Two tabs of a browser that has no cookie yet get one each, and the browser keeps the later one.
            or await self.binding.is_sealed_for_any(OPENED, registration, opened)
        ):
            return DeadLink(BROWSER_MISMATCH)
        stored = await self.links(registration)
        if isinstance(stored, DeadLink):
            return stored
        asked = stored.value
        set_correlation_id(asked.correlation)
        return await self._begin(asked if asked.app else asked.via_app(chosen), cookie)

    async def _begin(self, asked: PendingRegistration, cookie: Secret) -> Secret | DeadLink:
        app = await self.apps.get(asked.app)
        if app is None or not serves(app, asked):
            return DeadLink(APP_UNAVAILABLE, asked)
        found = await asyncio.gather(*(self.find(mailbox.account) for mailbox in asked.unsettled_mailboxes))
        holders = [one.account.value for one in found if one is not None]
        state = Secret(f"{asked.id}.{base64.urlsafe_b64encode(self.entropy(32)).rstrip(b'=').decode()}")
        try:
            url, flow = await self.entra.begin(
                app, state=state, login_hint=_login_hint(asked, holders), claims=await self._claims(asked, holders)
            )
        except EntraFailed as failed:
            return DeadLink(failed.failure.code, asked)
        except EntraBusy as busy:
            return DeadLink(str(busy.code), asked)
        await self.registrations.add_attempt(
            SignInAttempt(fingerprint(state), asked.id, fingerprint(cookie), self.clock(), flow, app=app.id)
        )
        log.info("sign-in begun", extra={"registration": asked.id})
        return Secret(url)

    async def _claims(self, asked: PendingRegistration, holders: list[Account]) -> str | None:
        """The claims of a challenge that the sign-in has to meet (Entra: claims challenges)."""
        for principal_id, app in {(holder.principal_id, holder.app) for holder in holders}:
            grant = await self.principals.grant(principal_id, app)
            if grant is not None and (
                claims := grant.value.sign_in_claims(self.clock(), refused=asked.failure is not None)
            ):
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
