"""Known applications: what is recorded of applications that call with Entra's tokens."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.caller import CallingApplication, unrecorded_application
from shared.domain.errors import MailbindError, StaleWrite
from shared.domain.ttl_cache import TTLCache
from shared.ports import Clock, Rows, Stored
from shared.usecases.callers.known_tokens import REMEMBERED, TRUSTED_FOR

log = logging.getLogger(__name__)

MAX_WRITE_ATTEMPTS = 8


@dataclass(slots=True)
class KnownApplications:
    """One row for each application: written when its roles change and once a day, beside the call that shows it."""

    rows: Rows[CallingApplication]
    clock: Clock
    _known: TTLCache[CallingApplication] = field(default_factory=lambda: TTLCache(REMEMBERED))
    _notes: set[asyncio.Task[None]] = field(default_factory=set)

    def note(self, seen: CallingApplication) -> None:
        """Record what a verified token said. The call does not wait for it."""
        known = self._known.get(seen.id, self.clock())
        if known is not None and not known.updated_by(seen).needs_write(known):
            return
        note = asyncio.create_task(self._note(seen))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def get(self, caller_id: str) -> CallingApplication:
        """What is known of an application that once made something. Raises StorageUnavailable."""
        now = self.clock()
        return self._known.get(caller_id, now) or await self._read(caller_id, now)

    async def settled(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._notes)

    async def _read(self, caller_id: str, now: datetime) -> CallingApplication:
        stored = await self.rows.get(caller_id)
        if stored is None:
            try:
                stored = await self.rows.insert(unrecorded_application(caller_id, now))
            except StaleWrite:  # it called just now, or another instance asked too
                return await self._read(caller_id, now)
        self._remember(stored.value, now)
        return stored.value

    async def _note(self, seen: CallingApplication) -> None:
        try:
            for _ in range(MAX_WRITE_ATTEMPTS):
                try:
                    self._remember(await self._written(await self.rows.get(seen.id), seen), self.clock())
                except StaleWrite:
                    continue
                return
        except MailbindError:
            pass
        log.warning("calling application not recorded", extra={"caller": seen.id})

    async def _written(self, stored: Stored[CallingApplication] | None, seen: CallingApplication) -> CallingApplication:
        if stored is None:
            # Without a role it made nothing; anybody in the tenant can get such a token.
            return (await self.rows.insert(seen)).value if seen.scopes else seen
        merged = stored.value.updated_by(seen)
        if merged.needs_write(stored.value):
            await self.rows.replace(stored, merged)
            log.info("calling application recorded", extra={"caller": seen.id})
        return merged

    def _remember(self, application: CallingApplication, now: datetime) -> None:
        self._known.put(application.id, application, now, now + TRUSTED_FOR)
