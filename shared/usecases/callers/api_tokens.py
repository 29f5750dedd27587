"""API tokens: look them up, issue them, revoke them."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from shared.domain.caller import TOKEN_ID_PATTERN, ApiToken, Binding, Caller, Scope
from shared.domain.errors import InvalidInput, MailbindError, StaleWrite
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.domain.ttl_cache import TTLCache
from shared.ports import ApiTokens, App, Clock, Stored, retry_on_conflict

log = logging.getLogger(__name__)

# Most calls read no row. A revoked token stops working on every instance within this time.
CACHE_LIFETIME = timedelta(seconds=30)
MAX_CACHED = 10_000


@dataclass(slots=True)
class CachedApiTokens:
    """API tokens by id. Unknown ids have a cache of their own, so that guessing displaces no known token."""

    rows: ApiTokens
    clock: Clock
    _known: TTLCache[Stored[ApiToken]] = field(default_factory=lambda: TTLCache(MAX_CACHED))
    _unknown: TTLCache[bool] = field(default_factory=lambda: TTLCache(MAX_CACHED))
    _recorded_uses: TTLCache[bool] = field(default_factory=lambda: TTLCache(MAX_CACHED))
    _writes: set[asyncio.Task[None]] = field(default_factory=set)
    _revocations: int = 0

    async def get(self, token_id: str) -> ApiToken | None:
        """The token that a caller presents, or None; its use is recorded. Raises StorageUnavailable."""
        now = self.clock()
        stored = await self._stored(token_id, now)
        if stored is not None and not stored.value.is_use_recorded(now) and not self._recorded_uses.get(token_id, now):
            self._recorded_uses.put(token_id, value=True, since=now, until=now + CACHE_LIFETIME)
            write = asyncio.create_task(self._record_use(stored, now))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)
        return stored.value if stored else None

    async def look_up(self, token_id: str) -> ApiToken | None:
        """The token, or None, without recording a use. Raises StorageUnavailable."""
        stored = await self._stored(token_id, self.clock())
        return stored.value if stored else None

    def forget(self, token_id: str) -> None:
        """Drop a token that was revoked in this process."""
        self._revocations += 1
        self._known.discard(token_id)
        self._recorded_uses.discard(token_id)

    async def flush(self) -> None:
        """Wait for writes in progress."""
        await asyncio.gather(*self._writes)

    async def _stored(self, token_id: str, now: datetime) -> Stored[ApiToken] | None:
        if self._unknown.get(token_id, now):
            return None
        return self._known.get(token_id, now) or await self._read(token_id, now)

    async def _read(self, token_id: str, now: datetime) -> Stored[ApiToken] | None:
        """Read and cache a token. `now` is from before the read, because the token may be revoked right after it.

        A token that was revoked in this process during the read is not cached.
        """
        revocations_before = self._revocations
        stored = await self.rows.get(token_id)
        until = now + CACHE_LIFETIME
        if stored is None:
            self._unknown.put(token_id, value=True, since=now, until=until)
            return None
        if revocations_before == self._revocations:
            self._known.put(token_id, stored, now, until)
        return stored

    async def _record_use(self, stored: Stored[ApiToken], now: datetime) -> None:
        """Record the use in the background; the call does not depend on it."""
        try:
            await self.rows.replace(stored, stored.value.with_last_used(now))
        except StaleWrite:
            pass  # recorded by another instance, or revoked
        except MailbindError:
            log.warning("use of api token not noted", extra={"token": stored.value.id})


class TokenWish(NamedTuple):
    """The token that an administrator asks for; see ApiToken."""

    description: str
    scopes: frozenset[Scope]
    binding: Binding | None = None
    addresses: tuple[str, ...] = ()
    expires: datetime | None = None


class Issued(NamedTuple):
    """A new token, which is shown only once."""

    token: Secret
    id: str


async def issue_token(app: App, wish: TokenWish, faults: Mapping[str, str], issuer: Caller) -> Issued:
    """Issue a token. The issuer needs the admin scope and access to all accounts.

    `faults` were found while parsing. Raises InvalidInput with all faults, and Forbidden.
    """
    issuer.require_scope(Scope.ADMIN)
    issuer.require_all_accounts()
    faults = {**_token_faults(app, wish), **faults}
    if faults:
        raise InvalidInput(faults)
    token = Secret(app.entropy(32).hex())
    token_row = ApiToken(
        id=fingerprint(token),
        description=wish.description,
        scopes=wish.scopes,
        created=app.clock(),
        created_by=issuer.id,
        binding=wish.binding,
        addresses=wish.addresses,
        expires=wish.expires,
    )
    await app.stores.api_tokens.insert(token_row)
    log.info("api token issued", extra={"token": token_row.id, "by": issuer.id})
    return Issued(token, token_row.id)


def _token_faults(app: App, wish: TokenWish) -> dict[str, str]:
    faults = {}
    if wish.expires is not None and wish.expires <= app.clock():
        faults["expires"] = '"expires" must be in the future'
    if wish.binding is not None and Scope.ADMIN in wish.scopes:
        faults["scopes"] = '"scopes" must not hold admin for a token that is bound to accounts'
    return faults


async def revoke_token(app: App, id_or_token: str, revoker: Caller) -> str | None:
    """Revoke a token, given its id or the token itself. Returns its id, or None when there is no such token.

    It stops working at once on this instance, and within CACHE_LIFETIME on others. Raises Forbidden and Conflict.
    """
    revoker.require_scope(Scope.ADMIN)
    revoker.require_all_accounts()
    if not TOKEN_ID_PATTERN.fullmatch(id_or_token):
        return None
    for token_id in (id_or_token, fingerprint(id_or_token)):
        # A conflict means that its last use was just recorded, or that another call revoked it.
        if await retry_on_conflict(partial(_remove_token, app, token_id)):
            app.callers.api_tokens.forget(token_id)
            log.info("api token revoked", extra={"token": token_id, "by": revoker.id})
            return token_id
    return None


async def _remove_token(app: App, token_id: str) -> bool:
    stored = await app.stores.api_tokens.get(token_id)
    if stored is not None:
        await app.stores.api_tokens.remove(stored)
    return stored is not None
