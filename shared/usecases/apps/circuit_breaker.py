"""Entra behind a circuit breaker for each OAuth app: while the app itself is refused, no grant is refreshed."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.clouds import Resource
from shared.domain.errors import StaleWrite
from shared.domain.event import Event, EventName, Origin, breaker_data, new_event, next_event_time
from shared.domain.failure import Failure, FailureKind
from shared.domain.oauth_app import BREAKER_OPEN_CODE, BREAKER_TRIAL_INTERVAL, CircuitBreaker, OAuthApp
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import Agenda, App, Clock, Entra, EntraFailed, Entropy, Rows, SignedIn, Stored
from shared.usecases.events.outbox import outbox_row

log = logging.getLogger(__name__)

CACHE_LIFETIME = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last read of a breaker, and when."""

    breaker: Stored[CircuitBreaker] | None
    at: datetime


@dataclass(slots=True)
class CircuitBreakerEntra:
    """An Entra in front of another one. While a circuit breaker is open, one trial call a minute finds out the state.

    It learns from the token endpoint's answers about stored grants and from verifications, never from a sign-in.
    """

    inner: Entra
    breakers: Rows[CircuitBreaker]
    agenda: Agenda
    clock: Clock
    entropy: Entropy
    _seen: dict[str, Seen] = field(default_factory=dict)

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """People may always try; the page tells them what is wrong."""
        return await self.inner.begin(app, state=state, login_hint=login_hint, claims=claims)

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Redeem the code, whatever the circuit breaker says."""
        return await self._for_browser(app, self.inner.redeem(app, flow, answer))

    async def finish(self, app: OAuthApp, refresh_token: Secret) -> TokenSet:
        """Renew what a browser carries since its code was redeemed, whatever the circuit breaker says."""
        return await self._for_browser(app, self.inner.refresh(app, refresh_token))

    async def refresh(
        self, app: OAuthApp, refresh_token: Secret, resource: Resource | None = None, claims: str | None = None
    ) -> TokenSet:
        """Refresh, unless the app is known to be refused and this is not the trial call."""
        breaker = await self._breaker(app.id)
        if breaker is not None and breaker.value.is_open and not await self._take_trial(breaker):
            raise EntraFailed(Failure(FailureKind.APP_FAULT, breaker.value.code, breaker.value.aadsts))
        try:
            tokens = await self.inner.refresh(app, refresh_token, resource, claims)
        except EntraFailed as failed:
            await self._learn(app, failed.failure)
            raise
        await self._learn(app, None)
        return tokens

    def around(self, inner: Entra) -> "CircuitBreakerEntra":
        """The same circuit breakers around another Entra."""
        return replace(self, inner=inner)

    async def verified(self, app: OAuthApp, failure: Failure | None) -> None:
        """Learn from a verification, which also remembers what is wrong with the app's configuration."""
        self._seen.pop(app.id, None)
        await self._breaker(app.id)
        if failure is not None and failure.kind is FailureKind.APP_FAULT:
            await self._open(app, failure)
        else:
            await self._learn(app, failure)

    async def forgive(self, app: OAuthApp) -> None:
        """The app was changed: whatever was wrong with it is to be found out anew."""
        self._seen.pop(app.id, None)
        await self._breaker(app.id)
        await self._close(app)

    async def _for_browser[T](self, app: OAuthApp, call: Awaitable[T]) -> T:
        """Learn nothing: no request without a caller's token changes a circuit breaker, not even by a true answer.

        A refusal of the app itself is logged for operators. The timer, callers and verifications find out the same.
        """
        try:
            return await call
        except EntraFailed as failed:
            if failed.failure.code == BREAKER_OPEN_CODE:
                _log_fault(app, failed.failure)
            raise

    async def _breaker(self, app: str) -> Stored[CircuitBreaker] | None:
        seen, now = self._seen.get(app), self.clock()
        if seen is None or not timedelta() <= now - seen.at < CACHE_LIFETIME:
            seen = Seen(await self.breakers.get(app), now)
            self._seen[app] = seen
        return seen.breaker

    async def _take_trial(self, breaker: Stored[CircuitBreaker]) -> bool:
        now = self.clock()
        if now < breaker.value.trial:
            return False
        try:
            taken = await self.breakers.replace(breaker, breaker.value.with_next_trial(now))
        except StaleWrite:
            self._seen.pop(breaker.value.app, None)  # another caller's trial, or it is closed already
            return False
        self._seen[breaker.value.app] = Seen(taken, now)
        return True

    async def _learn(self, app: OAuthApp, failure: Failure | None) -> None:
        """Open for a refused credential; any answer that got past the credential closes."""
        if failure is not None and failure.code == BREAKER_OPEN_CODE:
            await self._open(app, failure)
        elif failure is None or failure.kind not in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}:
            await self._close(app)

    async def _open(self, app: OAuthApp, failure: Failure) -> None:
        now = self.clock()
        opened = CircuitBreaker(app.id, failure.code, now, now + BREAKER_TRIAL_INTERVAL, failure.aadsts)
        before = await self._breaker(app.id)
        if before is not None and before.value.is_open >= opened.is_open:
            return
        with suppress(StaleWrite):  # open already, and operators were told
            news = await self._news(EventName.OAUTH_APP_ERROR, opened, now)
            self._seen[app.id] = Seen(await self.breakers.put(before, opened, news), now)
            _log_fault(app, failure)

    async def _close(self, app: OAuthApp) -> None:
        seen = self._seen.get(app.id)
        if seen is None or seen.breaker is None:
            return
        self._seen[app.id] = Seen(None, self.clock())
        with suppress(StaleWrite):  # somebody else closed it
            # Behind the event that it opened, whatever the clock says.
            at = next_event_time(seen.breaker.value.since, self.clock())
            await self.breakers.remove(
                seen.breaker, await self._news(EventName.OAUTH_APP_RECOVERED, seen.breaker.value, at)
            )
            log.warning("oauth app recovered", extra={"app": app.id})

    async def _news(self, name: EventName, breaker: CircuitBreaker, at: datetime) -> list[Event]:
        """Told of breakers that hold calls back; what a verification found was answered to who asked for it."""
        if not breaker.is_open:
            return []
        event = new_event(
            Origin.OAUTH_APP,
            breaker.app,
            name,
            breaker_data(breaker),
            now=self.clock(),
            suffix=self.entropy(8),
            counts_at=at,
        )
        await self.agenda.add(outbox_row(event, at))
        return [event]


def _log_fault(app: OAuthApp, failure: Failure) -> None:
    log.error("oauth app fault", extra={"app": app.id, "code": failure.code, "aadsts": failure.aadsts})


async def open_breakers(app: App) -> Sequence[CircuitBreaker]:
    """The circuit breakers that are open now. Costs one read for each OAuth app."""
    found = await asyncio.gather(*(app.stores.breakers.get(oauth_app.id) for oauth_app in await app.oauth_apps.all()))
    return [stored.value for stored in found if stored is not None and stored.value.is_open]
