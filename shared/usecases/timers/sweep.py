"""The sweep: proves every day that every grant has its agenda row and every account its directory row."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import Account
from shared.domain.errors import InvalidInput, StaleWrite, Unavailable
from shared.domain.grant import DelegatedGrant
from shared.domain.statistics import CountedRecord, Counters, Sweep, counter_name
from shared.domain.work import Work
from shared.ports import (
    Agenda,
    Clock,
    Directory,
    DirectoryEntry,
    OAuthApps,
    Principals,
    Replace,
    Rows,
    Stored,
    Webhooks,
)
from shared.usecases import use_case
from shared.usecases.events.warn_ahead import WarnAhead
from shared.usecases.events.webhook_care import WebhookCare
from shared.usecases.grants.remove_account import RemoveAccount

log = logging.getLogger(__name__)

AT_ONCE = 64
# A page waits for its slowest record, and a run that ends waits for its page.
RECORD_LASTS = timedelta(minutes=1)

# What there is of a record after mending, and whether it needed it.
type _Left = tuple[CountedRecord | None, bool]


@dataclass(slots=True)
class Run:
    """One run of the sweep: how far it has come, whether it came to the end, and which steps failed."""

    swept: Sweep
    failed: set[str]
    ended: bool = False


@use_case
class SweepGrants:
    """Goes through everything in the order of the keys; when its time is up, the next run goes on from there.

    A step that fails, or one app, webhook or record of it, holds up no other.
    """

    principals: Principals
    agenda: Agenda
    directory: Directory
    remove: RemoveAccount
    apps: OAuthApps
    webhooks: Webhooks
    warn: WarnAhead
    care: WebhookCare
    sweeps: Rows[Sweep]
    counters: Rows[Counters]
    clock: Clock
    record_lasts: timedelta = RECORD_LASTS

    async def __call__(self, until: datetime) -> Sweep:
        """Sweep until the end or until the time is up; `cursor` of the result tells which, `failed` what went wrong."""
        stored = await self.sweeps.get(Sweep(self.clock()).name)
        swept = stored.value if stored and stored.value.cursor else Sweep(self.clock())
        run = Run(swept, set(swept.failed))
        await self._step(run, "apps", self._warn_of_apps(run))
        await self._step(run, "webhooks", self._tidy_webhooks(run, until))
        await self._step(run, "records", self._records(run, until))
        if run.ended:
            await self._step(run, "counters", self._count(run.swept))
        swept = replace(run.swept, failed=tuple(sorted(run.failed)))
        with suppress(StaleWrite):  # another instance's sweep
            await (self.sweeps.insert(swept) if stored is None else self.sweeps.replace(stored, swept))
        told = {"mended": swept.mended, "failed": ",".join(swept.failed), **swept.counts}
        log.info("sweep done" if run.ended else "sweep paused", extra=told)
        return swept

    async def _records(self, run: Run, until: datetime) -> None:
        try:
            await self._pages(run, until)
        except InvalidInput:  # the cursor leads nowhere
            run.swept = Sweep(self.clock())
            raise

    async def _step(self, run: Run, step: str, doing: Awaitable[None], **ids: str) -> None:
        try:
            await doing
        except Exception:
            run.failed.add(step)
            log.exception("sweep step failed", extra={"step": step, **ids})

    async def _warn_of_apps(self, run: Run) -> None:
        for app in await self.apps.all():
            await self._step(run, "apps", self.warn.of_app(app), app=app.id)

    async def _tidy_webhooks(self, run: Run, until: datetime) -> None:
        for webhook in await self.webhooks.all():
            await self._step(run, "webhooks", self.care.tidy(webhook, until), webhook=webhook.id)

    async def _pages(self, run: Run, until: datetime) -> None:
        page: list[CountedRecord] = []
        async for position, record in self.principals.everything(run.swept.cursor):
            page.append(record)
            if len(page) == AT_ONCE:
                run.swept, page = replace(await self._through(run, page), cursor=position), []
                if self.clock() >= until:
                    return
        run.swept = replace(await self._through(run, page), cursor=None)
        run.ended = True

    async def _through(self, run: Run, page: list[CountedRecord]) -> Sweep:
        """Mend what needs it, and count everything as it is afterwards."""
        left = await asyncio.gather(*(self._mend(run, record) for record in page))
        counts = Counter(run.swept.counts)
        counts.update(counter_name(record) for record, _ in left if record is not None)
        return replace(run.swept, counts=dict(counts), mended=run.swept.mended + sum(mended for _, mended in left))

    async def _mend(self, run: Run, record: CountedRecord) -> _Left:
        """A record's failure is its own; with storage or the key away, no other would fare better."""
        try:
            async with asyncio.timeout(self.record_lasts.total_seconds()):
                return await (self._grant(record) if isinstance(record, DelegatedGrant) else self._account(record))
        except Unavailable:
            raise
        except Exception:
            run.failed.add("records")
            principal = record.principal.id if isinstance(record, DelegatedGrant) else record.principal_id
            log.exception("record not swept", extra={"principal": principal})
            return record, False

    async def _grant(self, seen: DelegatedGrant) -> _Left:
        await self.warn.of_grant(seen)
        if await self._is_planned(seen):
            return seen, False
        # What was read may be old by now, and its row done.
        stored = await self.principals.grant(seen.principal.id, seen.app)
        if stored is None or await self._is_planned(stored.value):
            return (stored.value if stored else None), False
        planned = await self._plan(stored)
        log.warning("grant was not planned", extra={"principal": seen.principal.id, "app": seen.app})
        return planned, True

    async def _is_planned(self, grant: DelegatedGrant) -> bool:
        if grant.due is None:
            return True
        return not grant.is_scheduled_too_far_ahead(self.clock()) and await self.agenda.holds(_work(grant, grant.due))

    async def _plan(self, stored: Stored[DelegatedGrant]) -> DelegatedGrant:
        grant, now = stored.value, self.clock()
        if not grant.is_scheduled_too_far_ahead(now):
            await self.agenda.add(_work(grant, grant.due or now))
            return grant
        back = grant.rescheduled(now)
        await self.agenda.add(_work(back, back.due or now))
        with suppress(StaleWrite):  # refreshed just now, and so planned anew
            await self.principals.commit(grant.principal.id, [Replace(back, stored.version)])
        return back

    async def _account(self, account: Account) -> _Left:
        entry = await self.directory.get(account.id)
        if self._is_listed(entry, account):
            return account, False
        try:
            left = await self._mend_entry(entry, account)
        except StaleWrite:  # somebody is binding or removing it right now
            return account, False
        log.warning("account was mended", extra={"principal": account.principal_id})
        return left, True

    def _is_listed(self, entry: Stored[DirectoryEntry] | None, account: Account) -> bool:
        """Whether the directory leads to it, or its claim still runs."""
        if entry is None:
            return False
        holder, claim = entry.value.principal_id, entry.value.claim
        claimed = claim is not None and claim.principal_id == account.principal_id and self.clock() < claim.until
        return claimed or account.principal_id == holder

    async def _mend_entry(self, entry: Stored[DirectoryEntry] | None, account: Account) -> Account | None:
        """The directory decides whose an id is; a claim that ran out is finished if nobody else holds the id."""
        bound = DirectoryEntry(account.id, account.principal_id, account.app)
        if entry is None:
            await self.directory.insert(bound)
            return account
        holder = entry.value.principal_id
        if holder is None or await self.principals.account(holder, account.id) is None:
            await self.directory.replace(entry, bound)
            return account
        # This row lost its id, or never got it, and its process died before the row could go. The claim goes first,
        # so that whoever takes the account over right now has to begin again.
        await self.directory.replace(entry, replace(entry.value, claim=None))
        await self.remove.leftover(account, as_seen=True)
        return None

    async def _count(self, swept: Sweep) -> None:
        exact = Counters(swept.counts, self.clock())
        stored = await self.counters.get(exact.name)
        with suppress(StaleWrite):  # counted on meanwhile; tomorrow's sweep has another chance
            await (self.counters.insert(exact) if stored is None else self.counters.replace(stored, exact))


def _work(grant: DelegatedGrant, due: datetime) -> Work:
    return Work(grant.work, due, grant.principal.id, grant.app)
