"""Whether the app is well: what its dependencies say, asked once in some seconds however many ask."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import MailbindError
from shared.domain.ttl_cache import SharedCalls
from shared.ports import Clock
from shared.usecases.timers.read_statistics import OpenBreakers

# Anybody may ask, and each look reads a row for each OAuth app.
TRUSTED_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Health:
    """`storage` is the code of what is wrong with it, or None; `success` that Microsoft accepts every OAuth app too."""

    success: bool
    storage: str | None
    seen: datetime


@dataclass(slots=True)
class ReadHealth:
    """Remembers what it saw, an outage too. All who ask during a look share it: storage that hangs takes long."""

    open_breakers: OpenBreakers
    clock: Clock
    _last: Health | None = None
    _looks: SharedCalls = field(default_factory=SharedCalls)

    async def __call__(self) -> Health:
        """What was seen within the last seconds."""
        if self._last is None or not timedelta() <= self.clock() - self._last.seen < TRUSTED_FOR:
            return await self._looks("look", self._look)
        return self._last

    async def _look(self) -> Health:
        self._last = await self._seen()
        return self._last

    async def _seen(self) -> Health:
        try:
            breakers = await self.open_breakers()
        except MailbindError as error:
            return Health(success=False, storage=error.code, seen=self.clock())
        return Health(success=not breakers, storage=None, seen=self.clock())
