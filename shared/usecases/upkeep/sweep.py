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
from shared.domain.grant import CountedRecord, DelegatedGrant, counter_name
from shared.domain.work import Counters, Sweep, Work
from shared.ports import (
    App,
    DirectoryEntry,
    Replace,
    Stored,
)
from shared.usecases.accounts.change import remove_leftover
from shared.usecases.events.warnings import warn_of_expiring_secret, warn_of_idle_grant
from shared.usecases.events.webhook_care import tidy_webhook

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


async def sweep(app: App, until: datetime) -> Sweep:
    """Sweep until the end or until the time is up; `cursor` of the result tells which, `failed` what went wrong.

    Goes through everything in the order of the keys; when its time is up, the next run goes on from there.

    A step that fails, or one app, webhook or record of it, holds up no other.
    """
    stored = await app.stores.sweeps.get(Sweep(app.clock()).name)
    swept = stored.value if stored and stored.value.cursor else Sweep(app.clock())
    run = Run(swept, set(swept.failed))
    await _step(run, "apps", _warn_of_apps(app, run))
    await _step(run, "webhooks", _tidy_webhooks(app, run, until))
    await _step(run, "records", _sweep_records(app, run, until))
    if run.ended:
        await _step(run, "counters", _write_counters(app, run.swept))
    swept = replace(run.swept, failed=tuple(sorted(run.failed)))
    with suppress(StaleWrite):  # another instance's sweep
        await app.stores.sweeps.put(stored, swept)
    told = {"mended": swept.mended, "failed": ",".join(swept.failed), **swept.counts}
    log.info("sweep done" if run.ended else "sweep paused", extra=told)
    return swept


async def _sweep_records(app: App, run: Run, until: datetime) -> None:
    try:
        await _sweep_pages(app, run, until)
    except InvalidInput:  # the cursor leads nowhere
        run.swept = Sweep(app.clock())
        raise


async def _step(run: Run, step: str, doing: Awaitable[None], **ids: str) -> None:
    try:
        await doing
    except Exception:
        run.failed.add(step)
        log.exception("sweep step failed", extra={"step": step, **ids})


async def _warn_of_apps(app: App, run: Run) -> None:
    for oauth_app in await app.oauth_apps.all():
        await _step(run, "apps", warn_of_expiring_secret(app, oauth_app), app=oauth_app.id)


async def _tidy_webhooks(app: App, run: Run, until: datetime) -> None:
    for webhook in await app.stores.webhooks.all():
        await _step(run, "webhooks", tidy_webhook(app, webhook, until), webhook=webhook.id)


async def _sweep_pages(app: App, run: Run, until: datetime) -> None:
    page: list[CountedRecord] = []
    async for position, record in app.stores.principals.everything(run.swept.cursor):
        page.append(record)
        if len(page) == AT_ONCE:
            run.swept, page = replace(await _sweep_page(app, run, page), cursor=position), []
            if app.clock() >= until:
                return
    run.swept = replace(await _sweep_page(app, run, page), cursor=None)
    run.ended = True


async def _sweep_page(app: App, run: Run, page: list[CountedRecord]) -> Sweep:
    """Mend what needs it, and count everything as it is afterwards."""
    left = await asyncio.gather(*(_mend(app, run, record) for record in page))
    counts = Counter(run.swept.counts)
    counts.update(counter_name(record) for record, _ in left if record is not None)
    return replace(run.swept, counts=dict(counts), mended=run.swept.mended + sum(mended for _, mended in left))


async def _mend(app: App, run: Run, record: CountedRecord) -> _Left:
    """A record's failure is its own; with storage or the key away, no other would fare better."""
    try:
        async with asyncio.timeout(app.timeouts.swept_record.total_seconds()):
            return await (
                _mend_grant(app, record) if isinstance(record, DelegatedGrant) else _mend_account(app, record)
            )
    except Unavailable:
        raise
    except Exception:
        run.failed.add("records")
        principal = record.principal.id if isinstance(record, DelegatedGrant) else record.principal_id
        log.exception("record not swept", extra={"principal": principal})
        return record, False


async def _mend_grant(app: App, seen: DelegatedGrant) -> _Left:
    await warn_of_idle_grant(app, seen)
    if await _is_planned(app, seen):
        return seen, False
    # What was read may be old by now, and its row done.
    stored = await app.stores.principals.grant(seen.principal.id, seen.app)
    if stored is None or await _is_planned(app, stored.value):
        return (stored.value if stored else None), False
    planned = await _plan(app, stored)
    log.warning("grant was not planned", extra={"principal": seen.principal.id, "app": seen.app})
    return planned, True


async def _is_planned(app: App, grant: DelegatedGrant) -> bool:
    if grant.due is None:
        return True
    return not grant.is_scheduled_too_far_ahead(app.clock()) and await app.stores.agenda.holds(_work(grant, grant.due))


async def _plan(app: App, stored: Stored[DelegatedGrant]) -> DelegatedGrant:
    grant, now = stored.value, app.clock()
    if not grant.is_scheduled_too_far_ahead(now):
        await app.stores.agenda.add(_work(grant, grant.due or now))
        return grant
    back = grant.rescheduled(now)
    await app.stores.agenda.add(_work(back, back.due or now))
    with suppress(StaleWrite):  # refreshed just now, and so planned anew
        await app.stores.principals.commit(grant.principal.id, [Replace(back, stored.version)])
    return back


async def _mend_account(app: App, account: Account) -> _Left:
    entry = await app.stores.directory.get(account.id)
    if _is_listed(app, entry, account):
        return account, False
    try:
        left = await _mend_entry(app, entry, account)
    except StaleWrite:  # somebody is binding or removing it right now
        return account, False
    log.warning("account was mended", extra={"principal": account.principal_id})
    return left, True


def _is_listed(app: App, entry: Stored[DirectoryEntry] | None, account: Account) -> bool:
    """Whether the directory leads to it, or its claim still runs."""
    if entry is None:
        return False
    holder, claim = entry.value.principal_id, entry.value.claim
    claimed = claim is not None and claim.principal_id == account.principal_id and app.clock() < claim.until
    return claimed or account.principal_id == holder


async def _mend_entry(app: App, entry: Stored[DirectoryEntry] | None, account: Account) -> Account | None:
    """The directory decides whose an id is; a claim that ran out is finished if nobody else holds the id."""
    bound = DirectoryEntry(account.id, account.principal_id, account.app)
    if entry is None:
        await app.stores.directory.insert(bound)
        return account
    holder = entry.value.principal_id
    if holder is None or await app.stores.principals.account(holder, account.id) is None:
        await app.stores.directory.replace(entry, bound)
        return account
    # This row lost its id, or never got it, and its process died before the row could go. The claim goes first,
    # so that whoever takes the account over right now has to begin again.
    await app.stores.directory.replace(entry, replace(entry.value, claim=None))
    await remove_leftover(app, account, as_seen=True)
    return None


async def _write_counters(app: App, swept: Sweep) -> None:
    exact = Counters(swept.counts, app.clock())
    stored = await app.stores.counters.get(exact.name)
    with suppress(StaleWrite):  # counted on meanwhile; tomorrow's sweep has another chance
        await app.stores.counters.put(stored, exact)


def _work(grant: DelegatedGrant, due: datetime) -> Work:
    return Work(grant.work, due, grant.principal.id, grant.app)
