"""Counters of accounts and grants, kept while records are added, changed and removed."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field

from shared.domain.errors import MailbindError
from shared.domain.grant import CountedRecord, DelegatedGrant, counter_name
from shared.domain.work import Counters
from shared.ports import Rows
from shared.usecases.accounts.attention import log_account_change

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StoredTally:
    """Counters that are written in the background. Changes accumulate during a write, so a busy tick writes rarely."""

    rows: Rows[Counters]
    _changes: Counter[str] = field(default_factory=Counter)
    _writing: asyncio.Task[None] | None = None

    def count_change(self, before: CountedRecord | None, after: CountedRecord | None) -> None:
        """Count a record that was added (no `before`), changed, or removed (no `after`); log an account's errors."""
        if not isinstance(before, DelegatedGrant) and not isinstance(after, DelegatedGrant):
            log_account_change(before, after)
        if before is not None and after is not None and counter_name(before) == counter_name(after):
            return
        if before is not None:
            self._changes[counter_name(before)] -= 1
        if after is not None:
            self._changes[counter_name(after)] += 1
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def flush(self) -> None:
        """Wait until everything counted so far is written."""
        while self._writing is not None and not self._writing.done():
            await self._writing

    async def _write(self) -> None:
        while self._changes:
            changes, self._changes = self._changes, Counter()
            try:
                await self._add(changes)
            except MailbindError:
                # The daily sweep counts everything again, and nothing but statistics depends on the counters.
                log.warning("counters not written", extra={"changes": sum(map(abs, changes.values()))})

    async def _add(self, changes: Counter[str]) -> None:
        await self.rows.update(Counters().name, lambda stored: (stored or Counters()).changed_by(changes))
