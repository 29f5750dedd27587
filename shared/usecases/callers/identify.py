"""Identify callers by their bearer token or by their id, and record the applications that call."""

import asyncio
import hmac
import logging
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from shared.domain.caller import (
    TOKEN_ID_PATTERN,
    Address,
    Caller,
    CallingApplication,
    EntraTrust,
    Scope,
    entra_caller_id,
    unrecorded_application,
)
from shared.domain.errors import InvalidToken, MailbindError
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.domain.ttl_cache import TTLCache
from shared.ports import App, Clock, Config, Rows
from shared.usecases.callers.api_tokens import CACHE_LIFETIME, MAX_CACHED

log = logging.getLogger(__name__)

MAX_TOKEN_LENGTH = 16 * 1024  # Front ends accept no longer header.
JWT_DOTS = 2
INVALID = "Bad token"
ADMINISTRATOR = Caller("administrator", "administrator", frozenset({Scope.ADMIN}))


async def identify_caller(app: App, bearer: Secret, address: Address | None) -> Caller:
    """The caller with this bearer token, calling from that address.

    Tokens are compared by their SHA-256, so timing reveals nothing about a secret. The administrator's is compared in
    constant time as well. Raises InvalidToken, Forbidden and Unavailable.
    """
    config, text = app.config, bearer.reveal()
    if not text.isascii() or len(text) > MAX_TOKEN_LENGTH:
        raise InvalidToken(INVALID)
    token_id = fingerprint(text)
    if _has_administrator(config) and hmac.compare_digest(token_id, config.admin_token_sha256):
        return ADMINISTRATOR
    if app.callers.entra is not None and text.count(".") == JWT_DOTS:
        return await app.callers.entra(bearer)
    is_api_token = config.token_callers and TOKEN_ID_PATTERN.fullmatch(text)
    token = await app.callers.api_tokens.get(token_id) if is_api_token else None
    if token is None:
        raise InvalidToken(INVALID)
    return token.caller(app.clock(), address)


async def standing_caller(app: App, caller_id: str) -> Caller | None:
    """The caller with this id as it is now; None when it was revoked, expired, or is disabled by the settings.

    Cached for up to 30 seconds. The administrator is a role, not a secret: what it created stays valid as long as the
    settings contain an administrator token, even a different one. A token's allowed networks restrict calls only, so
    they do not matter here. Raises StorageUnavailable.
    """
    config = app.config
    kind, _, name = caller_id.partition(":")
    if caller_id == ADMINISTRATOR.id:
        return ADMINISTRATOR if _has_administrator(config) else None
    if kind == "token" and config.token_callers:
        token = await app.callers.api_tokens.look_up(name)
        return token.current_caller(app.clock()) if token is not None else None
    if kind == "entra" and name and config.entra_trust is not None:
        known = await app.callers.applications.get(_with_tenant(caller_id, name, config.entra_trust))
        return known.caller(config.entra_trust, app.clock())
    return None


def _has_administrator(config: Config) -> bool:
    return config.token_callers and bool(config.admin_token_sha256)


def _with_tenant(caller_id: str, client: str, trust: EntraTrust) -> str:
    """The id in its present form. Older ids, `entra:{client id}`, contain no tenant.

    With several trusted tenants an older id is ambiguous, so it stays as it is and belongs to no known application.
    """
    if "/" in client or len(trust.tenants) != 1:
        return caller_id
    return entra_caller_id(next(iter(trust.tenants)), client)


@dataclass(slots=True)
class CachedApplications:
    """Applications that call, by caller id. Each row is written when the roles change, and once a day."""

    rows: Rows[CallingApplication]
    clock: Clock
    _known: TTLCache[CallingApplication] = field(default_factory=lambda: TTLCache(MAX_CACHED))
    _writes: set[asyncio.Task[None]] = field(default_factory=set)

    def record(self, seen: CallingApplication) -> None:
        """Record what a verified token says, in the background."""
        known = self._known.get(seen.id, self.clock())
        if known is not None and not known.updated_by(seen).needs_write(known):
            return
        write = asyncio.create_task(self._write(seen))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    async def get(self, caller_id: str) -> CallingApplication:
        """The application that a caller id names. Raises StorageUnavailable."""
        now = self.clock()
        return self._known.get(caller_id, now) or await self._read(caller_id, now)

    async def flush(self) -> None:
        """Wait for writes in progress."""
        await asyncio.gather(*self._writes)

    async def _read(self, caller_id: str, now: datetime) -> CallingApplication:
        unrecorded = unrecorded_application(caller_id, now)
        application = await self.rows.update(caller_id, lambda stored: stored or unrecorded)
        self._cache(application, now)
        return application

    async def _write(self, seen: CallingApplication) -> None:
        try:
            recorded = await self.rows.update(seen.id, partial(_updated_record, seen))
        except MailbindError:
            log.warning("calling application not recorded", extra={"caller": seen.id})
            return
        if recorded is not None and recorded.last_seen == seen.last_seen:
            log.info("calling application recorded", extra={"caller": seen.id})
        self._cache(recorded.updated_by(seen) if recorded else seen, self.clock())

    def _cache(self, application: CallingApplication, now: datetime) -> None:
        self._known.put(application.id, application, now, now + CACHE_LIFETIME)


def _updated_record(seen: CallingApplication, stored: CallingApplication | None) -> CallingApplication | None:
    if stored is None:
        # Anyone in the tenant can get a token without a role, and it allows nothing.
        return seen if seen.scopes else None
    updated = stored.updated_by(seen)
    return updated if updated.needs_write(stored) else stored
