"""The sweep: proves every day that every grant has its agenda row and every account its directory row."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.statistics import Counters, Sweep, label
from shared.domain.work import Work
from shared.ports import Agenda, Clock, Directory, DirectoryEntry, Principals, Rows
from shared.usecases.find_account import FindAccount
from shared.usecases.remove_account import RemoveAccount

log = logging.getLogger(__name__)

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class SweepGrants:
    """Goes through everything in the order of the keys; when its time is up, the next run goes on from there."""

    principals: Principals
    agenda: Agenda
    directory: Directory
    find: FindAccount
    remove: RemoveAccount
    sweeps: Rows[Sweep]
    counters: Rows[Counters]
    clock: Clock

    async def __call__(self, until: datetime) -> Sweep:
        """Sweep until the end or until the time is up; `cursor` of the result tells which."""
        stored = await self.sweeps.get(Sweep(self.clock()).name)
        swept = stored.value if stored and stored.value.cursor else Sweep(self.clock())
        counts, mended, cursor = Counter(swept.counts), swept.mended, swept.cursor
        page: list[DelegatedGrant | Account] = []
        ended = True
        async for position, record in self.principals.everything(cursor):
            page.append(record)
            if len(page) == AT_ONCE:
                mended += sum(await asyncio.gather(*map(self._mend, page)))
                counts.update(map(label, page))
                page, cursor = [], position
                if self.clock() >= until:
                    ended = False
                    break
        mended += sum(await asyncio.gather(*map(self._mend, page)))
        counts.update(map(label, page))
        result = Sweep(swept.began, dict(counts), mended, None if ended else cursor)
        with suppress(StaleWrite):  # another instance's sweep
            await (self.sweeps.insert(result) if stored is None else self.sweeps.replace(stored, result))
        if ended:
            await self._count(result)
        log.info("sweep done" if ended else "sweep paused", extra={"mended": mended, **counts})
        return result

    async def _mend(self, record: DelegatedGrant | Account) -> int:
        return await (self._grant(record) if isinstance(record, DelegatedGrant) else self._account(record))

    async def _grant(self, grant: DelegatedGrant) -> int:
        if grant.due is None:
            return 0
        work = Work(grant.work, grant.due, grant.principal.id, grant.app)
        if await self.agenda.holds(work):
            return 0
        # What was read may be old by now: a row too many is harmless.
        await self.agenda.add(work)
        log.warning("agenda row was missing", extra={"principal": grant.principal.id, "app": grant.app})
        return 1

    async def _account(self, account: Account) -> int:
        entry = await self.directory.get(account.id)
        with suppress(StaleWrite):  # somebody is binding or removing it right now
            if entry is None:
                await self.directory.insert(DirectoryEntry(account.id, account.principal_id, account.app))
            elif account.principal_id in {
                entry.value.principal_id,
                entry.value.claim and entry.value.claim.principal_id,
            }:
                return 0
            elif await self.find.behind(entry) is None:
                await self.directory.replace(entry, DirectoryEntry(account.id, account.principal_id, account.app))
            else:
                # The directory decides: this row lost a race for its id, and its process died before it could go.
                await self.remove.leftover(account)
            log.warning("account was mended", extra={"principal": account.principal_id})
        return 1

    async def _count(self, swept: Sweep) -> None:
        exact = Counters(swept.counts, self.clock())
        stored = await self.counters.get(exact.name)
        with suppress(StaleWrite):  # counted on meanwhile; tomorrow's sweep has another chance
            await (self.counters.insert(exact) if stored is None else self.counters.replace(stored, exact))
