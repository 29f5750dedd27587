"""Entra behind a circuit breaker for each OAuth app: while Entra refuses its credential, no grant is refreshed.

Other refusals of the app itself are recorded in the same row, for operators, and hold no call back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.account import Principal
from shared.domain.clouds import Resource
from shared.domain.errors import StaleWrite
from shared.domain.event import Event, EventName, Origin, breaker_data, new_event, next_event_time
from shared.domain.failure import Failure, FailureKind
from shared.domain.oauth_app import (
    BREAKER_TRIAL_INTERVAL,
    FAULT_RETENTION,
    CircuitBreaker,
    OAuthApp,
    concerns_app,
    concerns_authority,
)
from shared.domain.secret import Secret
from shared.domain.tokens import TokenSet
from shared.ports import Agenda, App, Clock, Entra, EntraFailed, Entropy, Rows, SignedIn, Stored
from shared.usecases.events.outbox import outbox_row

log = logging.getLogger(__name__)

BREAKER_CACHE_LIFETIME = timedelta(seconds=15)


class RefusedApp(NamedTuple):
    """An OAuth app that Microsoft refuses, and why."""

    app: OAuthApp
    fault: CircuitBreaker


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
        """Begin a sign-in regardless of the circuit breaker; the page tells people what is wrong.

        That the authority cannot be read is recorded: no browser can cause that.
        """
        try:
            begun = await self.inner.begin(app, state=state, login_hint=login_hint, claims=claims)
        except EntraFailed as failed:
            if concerns_authority(failed.failure.code, failed.failure.aadsts):
                await self._open(app, failed.failure)
            raise
        recorded = await self._breaker(app.id)
        if recorded is not None and concerns_authority(recorded.value.code, recorded.value.aadsts):
            await self._close(app)
        return begun

    async def redeem(self, app: OAuthApp, flow: Secret, answer: Mapping[str, str]) -> SignedIn:
        """Redeem the code regardless of the circuit breaker."""
        return await self._for_browser(app, self.inner.redeem(app, flow, answer))

    async def finish(self, app: OAuthApp, refresh_token: Secret, principal: Principal) -> TokenSet:
        """Refresh the grant that a browser carries, regardless of the circuit breaker."""
        return await self._for_browser(app, self.inner.refresh(app, refresh_token, principal=principal))

    async def refresh(
        self,
        app: OAuthApp,
        refresh_token: Secret,
        resource: Resource | None = None,
        claims: str | None = None,
        *,
        principal: Principal | None = None,
    ) -> TokenSet:
        """Refresh. Raises EntraFailed at once while the breaker is open and no trial is due."""
        breaker, trial = await self._breaker(app.id), None
        if breaker is not None and breaker.value.is_open:
            trial = await self._take_trial(breaker)
            if trial is None:
                raise EntraFailed(Failure(FailureKind.APP_FAULT, breaker.value.code, breaker.value.aadsts))
        try:
            tokens = await self.inner.refresh(app, refresh_token, resource, claims, principal=principal)
        except EntraFailed as failed:
            await self._record(app, failed.failure, trial)
            raise
        await self._record(app, None, trial)
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
        elif failure is None:
            await self._close(app)
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
            if concerns_app(failed.failure.code, failed.failure.aadsts):
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

    async def _take_trial(self, breaker: Stored[CircuitBreaker]) -> Stored[CircuitBreaker] | None:
        """The breaker with the time of the next trial, or None if this trial is not due or another caller's."""
        if (now := self.clock()) < breaker.value.trial:
            return None
        with suppress(StaleWrite):  # another caller's trial, or closed already
            return await self.breakers.replace(breaker, breaker.value.with_next_trial(now))
        return None

    async def _record(
        self, app: OAuthApp, failure: Failure | None, trial: Stored[CircuitBreaker] | None = None
    ) -> None:
        """Open the breaker, or record another refusal of the app; close it when the app was accepted.

        After a trial, the breaker is as the trial wrote it: others may have read an older one meanwhile.
        """
        if trial is not None:
            self._cache[app.id] = CachedBreaker(trial, self.clock())
        if failure is not None and concerns_app(failure.code, failure.aadsts):
            await self._open(app, failure)
            return
        accepted = failure is None or failure.kind not in {FailureKind.TRANSIENT, FailureKind.APP_FAULT}
        if accepted and not self._may_concern_another_tenant(app):
            await self._close(app)

    def _may_concern_another_tenant(self, app: OAuthApp) -> bool:
        cached = self._cache.get(app.id)
        if cached is None or cached.breaker is None or cached.breaker.value.is_open:
            return False
        return app.has_several_tenants and self.clock() < cached.breaker.value.trial

    async def _open(self, app: OAuthApp, failure: Failure) -> None:
        now = self.clock()
        opened = CircuitBreaker(app.id, failure.code, now, now, failure.aadsts)
        opened = replace(opened, trial=now + (BREAKER_TRIAL_INTERVAL if opened.is_open else FAULT_RETENTION))
        before = await self._breaker(app.id)
        if before is not None and before.value.covers(opened):
            await self._retain(app, before)
            return
        with suppress(StaleWrite):  # another instance opened it, with an event
            events = await self._events(EventName.OAUTH_APP_ERROR, opened, now)
            self._cache[app.id] = CachedBreaker(await self.breakers.put(before, opened, events), now)
            _log_fault(app, failure)

    async def _retain(self, app: OAuthApp, fault: Stored[CircuitBreaker]) -> None:
        """A recorded fault was seen again. It is written at most twice an hour."""
        now = self.clock()
        if fault.value.is_open or not app.has_several_tenants or fault.value.trial - now > FAULT_RETENTION / 2:
            return
        with suppress(StaleWrite):  # another instance did
            retained = await self.breakers.replace(fault, replace(fault.value, trial=now + FAULT_RETENTION))
            self._cache[app.id] = CachedBreaker(retained, now)

    async def _close(self, app: OAuthApp) -> None:
        cached = self._cache.get(app.id)
        if cached is None or cached.breaker is None:
            return
        self._cache[app.id] = CachedBreaker(None, self.clock())
        breaker = cached.breaker.value
        # Later than the event that it opened, even if the clock went back.
        at = next_event_time(breaker.since, self.clock())
        try:
            await self.breakers.remove(cached.breaker, await self._events(EventName.OAUTH_APP_RECOVERED, breaker, at))
        except StaleWrite:  # another instance closed it, or takes a trial
            self._cache.pop(app.id, None)
        else:
            log.warning("oauth app recovered", extra={"app": app.id})

    async def _events(self, name: EventName, breaker: CircuitBreaker, at: datetime) -> list[Event]:
        """The event about a breaker, unless only a verification can have found its fault."""
        if not breaker.has_event:
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
    fields = {"code": failure.code, "aadsts": failure.aadsts, "trace": failure.trace}
    log.error("oauth app fault", extra={"app": app.id, **fields})


async def refused_apps(app: App, ids: Iterable[str] | None = None) -> Sequence[RefusedApp]:
    """The OAuth apps that Microsoft refuses, of all or of these. Reads one row for each."""
    known = {oauth_app.id: oauth_app for oauth_app in await app.oauth_apps.all()}
    asked = [known[app_id] for app_id in (known if ids is None else sorted(set(ids))) if app_id in known]
    faults = await asyncio.gather(*(app.stores.breakers.get(oauth_app.id) for oauth_app in asked))
    return [RefusedApp(oauth_app, fault.value) for oauth_app, fault in zip(asked, faults, strict=True) if fault]
