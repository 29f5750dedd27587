"""Complete a sign-in: what Entra posts back, from the browser that began it."""

import logging
from collections.abc import Mapping
from datetime import timedelta

from shared.domain.errors import EntraBusy, StaleWrite
from shared.domain.failure import redemption_refusal
from shared.domain.formats import set_correlation_id
from shared.domain.identity import fingerprint
from shared.domain.oauth_app import OAuthApp
from shared.domain.registration import PendingRegistration, SignInAttempt
from shared.domain.secret import Secret
from shared.ports import Clock, Entra, EntraFailed, OAuthApps, Registrations, SignInInvalid, Stored
from shared.usecases import use_case
from shared.usecases.sign_in.bind_signed_in import BindSignedIn
from shared.usecases.sign_in.live_links import DeadLink, LiveLinks
from shared.usecases.sign_in.open_link import APP_UNAVAILABLE
from shared.usecases.sign_in.sign_in_outcome import Outcome, Refused

log = logging.getLogger(__name__)

# Long enough to enrol in a second factor on the way.
ATTEMPT_LASTS = timedelta(hours=1)


@use_case
class CompleteSignIn:
    """Cookie and state first, then the code, then the rules, then the mailbox; binding comes last."""

    registrations: Registrations
    links: LiveLinks
    apps: OAuthApps
    entra: Entra
    bind: BindSignedIn
    clock: Clock

    async def __call__(self, answer: Mapping[str, str], cookie: Secret | None) -> Outcome:
        """`answer` holds the fields of Entra's form_post, or the query of an error."""
        state = answer.get("state", "")
        registration, _, _ = state.partition(".")
        attempt = await self.registrations.attempt(registration, fingerprint(state)) if registration else None
        if attempt is None:
            return Refused("sign_in_unknown")
        if cookie is None or attempt.value.browser != fingerprint(cookie):
            return Refused("browser_mismatch")
        stored = await self.links(registration)
        if isinstance(stored, DeadLink):
            return Refused(stored.code, stored.registration)
        set_correlation_id(stored.value.correlation)
        return await self._once(attempt, stored.value.via_app(attempt.value.app), answer, cookie)

    async def _once(
        self, attempt: Stored[SignInAttempt], asked: PendingRegistration, answer: Mapping[str, str], cookie: Secret
    ) -> Outcome:
        if attempt.value.used or self.clock() >= attempt.value.created + ATTEMPT_LASTS:
            return await self.bind.refuse("sign_in_unknown", asked, cookie, note=False)
        try:
            await self.registrations.use_attempt(attempt)
        except StaleWrite:
            return await self.bind.refuse("sign_in_unknown", asked, cookie, note=False)
        app = await self.apps.get(asked.app)
        if app is None:
            return await self.bind.refuse(APP_UNAVAILABLE, asked, cookie)
        return await self._redeem(app, attempt.value, asked, answer, cookie)

    async def _redeem(
        self,
        app: OAuthApp,
        attempt: SignInAttempt,
        asked: PendingRegistration,
        answer: Mapping[str, str],
        cookie: Secret,
    ) -> Outcome:
        try:
            signed_in = await self.entra.redeem(app, attempt.flow, answer)
        except EntraFailed as failed:
            return await self.bind.refuse(redemption_refusal(failed.failure), asked, cookie)
        except EntraBusy as busy:
            return await self.bind.refuse(str(busy.code), asked, cookie)
        except SignInInvalid as invalid:
            return await self.bind.refuse(invalid.code, asked, cookie)
        log.info("sign-in completed", extra={"registration": asked.id, "principal": signed_in.principal.id})
        return await self.bind(app, asked, signed_in, cookie)
