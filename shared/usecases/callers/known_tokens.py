"""Look up API tokens: a row that was read is trusted for half a minute, so that most calls cost no read."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.caller import ApiToken
from shared.domain.errors import MailbindError, StaleWrite
from shared.domain.ttl_cache import TTLCache
from shared.ports import ApiTokens, Clock, Stored

log = logging.getLogger(__name__)

# A token that was revoked stops within this time on every instance.
TRUSTED_FOR = timedelta(seconds=30)
REMEMBERED = 10_000


@dataclass(slots=True)
class KnownTokens:
    """Tokens that exist and those that do not are remembered apart, so that guessing displaces nobody."""

    rows: ApiTokens
    clock: Clock
    _known: TTLCache[Stored[ApiToken]] = field(default_factory=lambda: TTLCache(REMEMBERED))
    _unknown: TTLCache[bool] = field(default_factory=lambda: TTLCache(REMEMBERED))
    _noted: TTLCache[bool] = field(default_factory=lambda: TTLCache(REMEMBERED))
    _notes: set[asyncio.Task[None]] = field(default_factory=set)
    _revocations: int = 0

    async def get(self, token_id: str) -> ApiToken | None:
        """The token that somebody shows, or None; its use is noted. Raises StorageUnavailable."""
        now = self.clock()
        stored = await self._stored(token_id, now)
        if stored is not None and not stored.value.is_use_recorded(now) and not self._noted.get(token_id, now):
            self._noted.put(token_id, value=True, since=now, until=now + TRUSTED_FOR)
            note = asyncio.create_task(self._note(stored, now))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        return stored.value if stored else None

    async def look_up(self, token_id: str) -> ApiToken | None:
        """The token, or None, without anybody using it. Raises StorageUnavailable."""
        stored = await self._stored(token_id, self.clock())
        return stored.value if stored else None

    def forget(self, token_id: str) -> None:
        """Stop trusting a token that was revoked here just now."""
        self._revocations += 1
        self._known.discard(token_id)
        self._noted.discard(token_id)

    async def settled(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._notes)

    async def _stored(self, token_id: str, now: datetime) -> Stored[ApiToken] | None:
        if self._unknown.get(token_id, now):
            return None
        return self._known.get(token_id, now) or await self._read(token_id, now)

    async def _read(self, token_id: str, now: datetime) -> Stored[ApiToken] | None:
        """`now` is from before the read, because what was read may have been revoked right after.

        Where that was here and during the read, it is not remembered: the token stops at once.
        """
        before = self._revocations
        stored = await self.rows.get(token_id)
        until = now + TRUSTED_FOR
        if stored is None:
            self._unknown.put(token_id, value=True, since=now, until=until)
            return None
        if before == self._revocations:
            self._known.put(token_id, stored, now, until)
        return stored

    async def _note(self, stored: Stored[ApiToken], now: datetime) -> None:
        """Note the use beside the call, which does not wait and does not care whether it could be written."""
        try:
            await self.rows.replace(stored, stored.value.with_last_used(now))
        except StaleWrite:
            pass  # noted by another instance, or revoked
        except MailbindError:
            log.warning("use of api token not noted", extra={"token": stored.value.id})
