"""The sweep: proves every day that every grant has its agenda row and every account its directory row."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from shared.domain.account import Account
from shared.domain.errors import StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.statistics import Counters, Sweep, label
from shared.domain.work import Work
from shared.ports import Agenda, Clock, Directory, DirectoryEntry, Principals, Replace, Rows, Stored
from shared.usecases import use_case
from shared.usecases.remove_account import RemoveAccount
from shared.usecases.warn_ahead import WarnAhead
from shared.usecases.webhook_care import WebhookCare

log = logging.getLogger(__name__)

AT_ONCE = 64


@use_case
class SweepGrants:
    """Goes through everything in the order of the keys; when its time is up, the next run goes on from there."""

    principals: Principals
    agenda: Agenda
    directory: Directory
    remove: RemoveAccount
    warn: WarnAhead
    webhooks: WebhookCare
    sweeps: Rows[Sweep]
    counters: Rows[Counters]
    clock: Clock

    async def __call__(self, until: datetime) -> Sweep:
        """Sweep until the end or until the time is up; `cursor` of the result tells which."""
        await self.warn.of_apps()
        await self.webhooks.tidy()
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

    async def _grant(self, seen: DelegatedGrant) -> int:
        await self.warn.of_grant(seen)
        if await self._is_planned(seen):
            return 0
        # What was read may be old by now, and its row done.
        stored = await self.principals.grant(seen.principal.id, seen.app)
        if stored is None or await self._is_planned(stored.value):
            return 0
        await self._plan(stored)
        log.warning("grant was not planned", extra={"principal": seen.principal.id, "app": seen.app})
        return 1

    async def _is_planned(self, grant: DelegatedGrant) -> bool:
        if grant.due is None:
            return True
        return not grant.astray_at(self.clock()) and await self.agenda.holds(_work(grant, grant.due))

    async def _plan(self, stored: Stored[DelegatedGrant]) -> None:
        grant, now = stored.value, self.clock()
        if not grant.astray_at(now):
            await self.agenda.add(_work(grant, grant.due or now))
            return
        back = grant.recalled(now)
        await self.agenda.add(_work(back, back.due or now))
        with suppress(StaleWrite):  # refreshed just now, and so planned anew
            await self.principals.commit(grant.principal.id, [Replace(back, stored.version)])

    async def _account(self, account: Account) -> int:
        entry = await self.directory.get(account.id)
        with suppress(StaleWrite):  # somebody is binding or removing it right now
            if not await self._mend_entry(entry, account):
                return 0
            log.warning("account was mended", extra={"principal": account.principal_id})
        return 1

    async def _mend_entry(self, entry: Stored[DirectoryEntry] | None, account: Account) -> bool:
        """The directory decides whose an id is; a claim that ran out is finished if nobody else holds the id."""
        bound = DirectoryEntry(account.id, account.principal_id, account.app)
        if entry is None:
            await self.directory.insert(bound)
            return True
        holder, claim = entry.value.principal_id, entry.value.claim
        if account.principal_id == holder:
            return False
        if claim is not None and claim.principal_id == account.principal_id and self.clock() < claim.until:
            return False
        if holder is None or await self.principals.account(holder, account.id) is None:
            await self.directory.replace(entry, bound)
        else:
            # This row lost its id, or never got it, and its process died before the row could go. The claim goes first,
            # so that whoever takes the account over right now has to begin again.
            await self.directory.replace(entry, replace(entry.value, claim=None))
            await self.remove.leftover(account, as_seen=True)
        return True

    async def _count(self, swept: Sweep) -> None:
        exact = Counters(swept.counts, self.clock())
        stored = await self.counters.get(exact.name)
        with suppress(StaleWrite):  # counted on meanwhile; tomorrow's sweep has another chance
            await (self.counters.insert(exact) if stored is None else self.counters.replace(stored, exact))


def _work(grant: DelegatedGrant, due: datetime) -> Work:
    return Work(grant.work, due, grant.principal.id, grant.app)
