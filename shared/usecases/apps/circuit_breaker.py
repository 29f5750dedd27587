"""Entra behind a circuit breaker for each OAuth app: while Entra refuses the app itself, no grant is refreshed."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

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

BREAKER_CACHE_LIFETIME = timedelta(seconds=15)


class CachedBreaker(NamedTuple):
    """A circuit breaker as it was last read, and when."""

    breaker: Stored[CircuitBreaker] | None
    read_at: datetime


@dataclass(slots=True)
class CircuitBreakerEntra:
    """An Entra with circuit breakers around another one. While a breaker is open, one call a minute is tried.

    Answers of the token endpoint about stored grants and verifications change it, sign-ins never do.
    """

    inner: Entra
    breakers: Rows[CircuitBreaker]
    agenda: Agenda
    clock: Clock
    entropy: Entropy
    _cache: dict[str, CachedBreaker] = field(default_factory=dict)

    async def begin(
        self, app: OAuthApp, *, state: Secret, login_hint: str | None, claims: str | None
    ) -> tuple[str, Secret]:
        """Begin a sign-in regardless of the circuit breaker; the page tells people what is wrong."""
        return await self.inner.begin(app, state=state, login_hint=login_hint, claims=claims)

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Redeem the code regardless of the circuit breaker."""
        return await self._for_browser(app, self.inner.redeem(app, flow, answer))

    async def finish(self, app: OAuthApp, refresh_token: Secret) -> TokenSet:
        """Refresh the grant that a browser carries, regardless of the circuit breaker."""
        return await self._for_browser(app, self.inner.refresh(app, refresh_token))

    async def refresh(
        self, app: OAuthApp, refresh_token: Secret, resource: Resource | None = None, claims: str | None = None
    ) -> TokenSet:
        """Refresh. Raises EntraFailed at once while the breaker is open and no trial is due."""
        breaker = await self._breaker(app.id)
        if breaker is not None and breaker.value.is_open and not await self._take_trial(breaker):
            raise EntraFailed(Failure(FailureKind.APP_FAULT, breaker.value.code, breaker.value.aadsts))
        try:
            tokens = await self.inner.refresh(app, refresh_token, resource, claims)
        except EntraFailed as failed:
            await self._record(app, failed.failure)
            raise
        await self._record(app, None)
        return tokens

    def around(self, inner: Entra) -> "CircuitBreakerEntra":
        """The same circuit breakers around another Entra."""
        return replace(self, inner=inner)

    async def record_verification(self, app: OAuthApp, failure: Failure | None) -> None:
        """Record the result of a verification, including faults in the app's configuration."""
        self._cache.pop(app.id, None)
        await self._breaker(app.id)
        if failure is not None and failure.kind is FailureKind.APP_FAULT:
            await self._open(app, failure)
        else:
            await self._record(app, failure)

    async def close_breaker(self, app: OAuthApp) -> None:
        """Close the breaker, because the app was changed."""
        self._cache.pop(app.id, None)
        await self._breaker(app.id)
        await self._close(app)

    async def _for_browser[T](self, app: OAuthApp, call: Awaitable[T]) -> T:
        """Make a call that does not change the breaker, because anyone can cause it.

        A refusal of the app itself is logged for operators. The timer, callers and verifications open the breaker.
        """
        try:
            return await call
        except EntraFailed as failed:
            if failed.failure.code == BREAKER_OPEN_CODE:
                _log_fault(app, failed.failure)
            raise

    async def _breaker(self, app: str) -> Stored[CircuitBreaker] | None:
        """The app's breaker. An open one is always read again, because another instance may have closed it."""
        cached, now = self._cache.get(app), self.clock()
        is_fresh = cached is not None and timedelta() <= now - cached.read_at < BREAKER_CACHE_LIFETIME
        if cached is None or not is_fresh or (cached.breaker is not None and cached.breaker.value.is_open):
            cached = CachedBreaker(await self.breakers.get(app), now)
            self._cache[app] = cached
        return cached.breaker

    async def _take_trial(self, breaker: Stored[CircuitBreaker]) -> bool:
        now = self.clock()
        if now < breaker.value.trial:
            return False
        try:
            taken = await self.breakers.replace(breaker, breaker.value.with_next_trial(now))
        except StaleWrite:
            self._cache.pop(breaker.value.app, None)  # another caller's trial, or closed already
            return False
        self._cache[breaker.value.app] = CachedBreaker(taken, now)
        return True

    async def _record(self, app: OAuthApp, failure: Failure | None) -> None:
        """Open the breaker for a refused credential, close it when the credential was accepted."""
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
        with suppress(StaleWrite):  # another instance opened it, with an event
            events = await self._events(EventName.OAUTH_APP_ERROR, opened, now)
            self._cache[app.id] = CachedBreaker(await self.breakers.put(before, opened, events), now)
            _log_fault(app, failure)

    async def _close(self, app: OAuthApp) -> None:
        cached = self._cache.get(app.id)
        if cached is None or cached.breaker is None:
            return
        self._cache[app.id] = CachedBreaker(None, self.clock())
        with suppress(StaleWrite):  # another instance closed it
            breaker = cached.breaker.value
            # Later than the event that it opened, even if the clock went back.
            at = next_event_time(breaker.since, self.clock())
            await self.breakers.remove(cached.breaker, await self._events(EventName.OAUTH_APP_RECOVERED, breaker, at))
            log.warning("oauth app recovered", extra={"app": app.id})

    async def _events(self, name: EventName, breaker: CircuitBreaker, at: datetime) -> list[Event]:
        """The event about a breaker. There is none for a closed one, whose fault only a verification has found."""
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
    """The open circuit breakers. Reads one row for each OAuth app."""
    ids = [oauth_app.id for oauth_app in await app.oauth_apps.all()]
    breakers = await asyncio.gather(*map(app.stores.breakers.get, ids))
    return [stored.value for stored in breakers if stored is not None and stored.value.is_open]
