"""Complete a sign-in: what Entra posts back, from the browser that began it."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import StaleWrite
from shared.domain.keys import fingerprint
from shared.domain.oauth_app import OAuthApp
from shared.domain.pending_account import wait_for_access
from shared.domain.registration import BindOutcome, PendingRegistration, RegistrationStatus, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import (
    Clock,
    Entra,
    EntraFailed,
    GraphUnavailable,
    OAuthApps,
    Registrations,
    SignedIn,
    SignInInvalid,
    Stored,
)
from shared.usecases.bind_proven import BindProven
from shared.usecases.keep_checking import KeepChecking
from shared.usecases.open_link import LinkPage, OpenLink
from shared.usecases.prove_access import AccessRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Completed:
    """Bound: the person goes back to the caller's page."""

    registration: PendingRegistration
    email: str
    outcome: BindOutcome


@dataclass(frozen=True, slots=True)
class Waiting:
    """Signed in; the mailbox is being checked again until `until`."""

    registration: PendingRegistration
    code: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed. `again` starts over in this browser while the link works; `keep` asks to keep checking."""

    code: str
    registration: PendingRegistration | None = None
    again: LinkPage | None = None
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class CompleteSignIn:
    """Cookie and state first, then the code, then the rules, then the mailbox; binding comes last."""

    registrations: Registrations
    apps: OAuthApps
    entra: Entra
    link: OpenLink
    bind: BindProven
    keep: KeepChecking
    clock: Clock

    async def __call__(self, answer: Mapping[str, str], cookie: Secret | None) -> Completed | Waiting | Refused:
        """`answer` holds the fields of Entra's form_post, or the query of an error."""
        state = answer.get("state", "")
        registration, _, _ = state.partition(".")
        attempt = await self.registrations.attempt(registration, fingerprint(state)) if registration else None
        if attempt is None:
            return Refused("sign_in_unknown")
        if cookie is None or attempt.value.browser != fingerprint(cookie):
            return Refused("browser_mismatch")
        stored = await self.registrations.get(registration)
        if stored is None:
            return Refused("link_unknown")
        return await self._once(attempt, stored.value, answer, cookie)

    async def _once(
        self, attempt: Stored[SignInAttempt], asked: PendingRegistration, answer: Mapping[str, str], cookie: Secret
    ) -> Completed | Waiting | Refused:
        if asked.stage is RegistrationStatus.COMPLETED:
            return Refused("link_used", asked)
        if attempt.value.used:
            return await self._refuse("sign_in_unknown", asked, cookie, note=False)
        if not asked.usable(self.clock()):
            return Refused("link_expired", asked)
        try:
            await self.registrations.use_attempt(attempt)
        except StaleWrite:
            return await self._refuse("sign_in_unknown", asked, cookie, note=False)
        app = self.apps.get(asked.app)
        if app is None:
            return await self._refuse("app_configuration", asked, cookie)
        return await self._redeem(app, attempt.value, asked, answer, cookie)

    async def _redeem(
        self,
        app: OAuthApp,
        attempt: SignInAttempt,
        asked: PendingRegistration,
        answer: Mapping[str, str],
        cookie: Secret,
    ) -> Completed | Waiting | Refused:
        try:
            signed_in = await self.entra.redeem(app, attempt.flow, answer)
        except EntraFailed as failed:
            code = (
                "sign_in_unknown"
                if failed.failure.code == "needs_sign_in" and "error" not in answer
                else failed.failure.code
            )
            return await self._refuse(code, asked, cookie)
        except SignInInvalid as invalid:
            return await self._refuse(invalid.code, asked, cookie)
        log.info("sign-in completed", extra={"registration": asked.id, "principal": signed_in.principal.id})
        return await self._bind(app, asked, signed_in, cookie)

    async def _bind(
        self, app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret
    ) -> Completed | Waiting | Refused:
        try:
            bound = await self.bind(asked, app, signed_in)
        except AccessRefused as refused:
            keep = await self.keep.offer(asked, signed_in, cookie) if refused.code == "no_mailbox_access" else None
            return await self._refuse(refused.code, asked, cookie, keep=keep)
        except GraphUnavailable:
            return await self._wait_out(app, asked, signed_in, cookie)
        return Completed(asked, bound.account.email, bound.outcome)

    async def _wait_out(
        self, app: OAuthApp, asked: PendingRegistration, signed_in: SignedIn, cookie: Secret
    ) -> Waiting | Refused:
        pending = wait_for_access(
            registration=asked.id,
            principal=signed_in.principal,
            app=app.id,
            tokens=signed_in.tokens,
            kept=False,
            reason="graph_unavailable",
            now=self.clock(),
        )
        if not await self.keep.wait(pending):
            return await self._refuse("link_used", asked, cookie, note=False)
        return Waiting(asked, pending.reason, pending.until)

    async def _refuse(
        self, code: str, asked: PendingRegistration, cookie: Secret, *, keep: str | None = None, note: bool = True
    ) -> Refused:
        if note:
            await self._note(asked, code)
        if code == "link_used":
            return Refused(code, asked)
        return Refused(code, asked, again=await self.link.page(asked, cookie), keep=keep)

    async def _note(self, asked: PendingRegistration, code: str) -> None:
        log.info("mailbox refused", extra={"registration": asked.id, "code": code})
        stored = await self.registrations.get(asked.id)
        if stored is None or stored.value.stage is RegistrationStatus.COMPLETED:
            return
        with suppress(StaleWrite):  # another browser's outcome for the same link is newer than ours
            await self.registrations.replace(stored, stored.value.refused(code))
