"""The daily sweep: checks that every grant and account has its rows in the indexes, and counts them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from shared.domain.account import Account
from shared.domain.errors import InvalidInput, StaleWrite, Unavailable
from shared.domain.grant import CountedRecord, DelegatedGrant, counter_name
from shared.domain.work import Counters, Sweep, Work
from shared.ports import App, DirectoryEntry, Replace, Stored
from shared.usecases.accounts.attention import log_attention
from shared.usecases.accounts.change import remove_account_row
from shared.usecases.accounts.mailbox_index import mend_mailbox, remove_unbound_rows
from shared.usecases.events.outbox import warn_of_expiring_secret, warn_of_idle_grant
from shared.usecases.events.webhook_care import tidy_webhook

log = logging.getLogger(__name__)

MAX_RECORDS_AT_ONCE = 64


@dataclass(slots=True)
class SweepRun:
    """One run of the sweep: its progress, which steps failed, and whether it reached the end."""

    progress: Sweep
    failed_steps: set[str]
    ended: bool = False


class Checked(NamedTuple):
    """A record after its check, None when it was removed, and whether it had to be repaired."""

    record: CountedRecord | None
    repaired: bool = False


async def sweep(app: App, until: datetime) -> Sweep:
    """Check all records in the order of their keys until `until`; the next run continues from there.

    In the result, `cursor` is None when the sweep reached the end, and `failed` names the steps that failed. A failure
    of one step, app, webhook or record stops no other.
    """
    new_sweep = Sweep(app.clock())
    stored = await app.stores.sweeps.get(new_sweep.name)
    progress = stored.value if stored else new_sweep
    if progress.cursor is None:
        progress = replace(new_sweep, index_cursor=progress.index_cursor)
    run = SweepRun(progress, set(progress.failed))
    await _step(run, "apps", _warn_of_expiring_secrets(app, run))
    await _step(run, "webhooks", _tidy_webhooks(app, run, until))
    await _step(run, "mailboxes", _check_mailbox_index(app, run, until))
    await _step(run, "records", _check_records(app, run, until))
    if run.ended:
        await _step(run, "counters", _write_counters(app, run.progress))
    result = replace(run.progress, failed=tuple(sorted(run.failed_steps)))
    with suppress(StaleWrite):  # another instance's sweep
        await app.stores.sweeps.put(stored, result)
    fields = {"mended": result.mended, "failed": ",".join(result.failed), **result.counts}
    log.info("sweep done" if run.ended else "sweep paused", extra=fields)
    return result


async def _step(run: SweepRun, step: str, work: Awaitable[None], **ids: str) -> None:
    try:
        await work
    except Exception:
        run.failed_steps.add(step)
        log.exception("sweep step failed", extra={"step": step, **ids})


async def _warn_of_expiring_secrets(app: App, run: SweepRun) -> None:
    for oauth_app in await app.oauth_apps.all():
        await _step(run, "apps", warn_of_expiring_secret(app, oauth_app), app=oauth_app.id)


async def _tidy_webhooks(app: App, run: SweepRun, until: datetime) -> None:
    for webhook in await app.stores.webhooks.all():
        await _step(run, "webhooks", tidy_webhook(app, webhook, until), webhook=webhook.id)


async def _check_mailbox_index(app: App, run: SweepRun, until: datetime) -> None:
    """Remove rows of the index whose account is gone, or has another address."""
    try:
        checked = await remove_unbound_rows(app, run.progress.index_cursor, until)
    except InvalidInput:  # as in `_check_records`
        run.progress = replace(run.progress, index_cursor=None)
        raise
    mended = run.progress.mended + checked.removed
    run.progress = replace(run.progress, index_cursor=checked.cursor, mended=mended)


async def _check_records(app: App, run: SweepRun, until: datetime) -> None:
    page: list[CountedRecord] = []
    try:
        async for position, record in app.stores.principals.everything(run.progress.cursor):
            page.append(record)
            if len(page) == MAX_RECORDS_AT_ONCE:
                run.progress, page = replace(await _check_page(app, run, page), cursor=position), []
                if app.clock() >= until:
                    return
    except InvalidInput:  # the stored cursor is invalid: the next run starts from the beginning
        run.progress = Sweep(app.clock(), index_cursor=run.progress.index_cursor)
        raise
    run.progress = replace(await _check_page(app, run, page), cursor=None)
    run.ended = True


async def _check_page(app: App, run: SweepRun, page: list[CountedRecord]) -> Sweep:
    """Check the records side by side, and count them as they are afterwards."""
    results = await asyncio.gather(*(_check_record(app, run, record) for record in page))
    counts = Counter(run.progress.counts)
    counts.update(counter_name(result.record) for result in results if result.record is not None)
    repairs = sum(result.repaired for result in results)
    return replace(run.progress, counts=dict(counts), mended=run.progress.mended + repairs)


async def _check_record(app: App, run: SweepRun, record: CountedRecord) -> Checked:
    """Check one record. Raises Unavailable when storage or the key is unavailable, because all others would fail too.

    Any other failure concerns this record only.
    """
    try:
        async with asyncio.timeout(app.timeouts.swept_record.total_seconds()):
            if isinstance(record, DelegatedGrant):
                return await _check_grant(app, record)
            return await _check_account(app, record)
    except Unavailable:
        raise
    except Exception:
        run.failed_steps.add("records")
        principal = record.principal.id if isinstance(record, DelegatedGrant) else record.principal_id
        log.exception("record not swept", extra={"principal": principal})
        return Checked(record)


async def _check_grant(app: App, grant: DelegatedGrant) -> Checked:
    await warn_of_idle_grant(app, grant)
    if await _is_on_agenda(app, grant):
        return Checked(grant)
    # The page may be old by now, and the work done.
    stored = await app.stores.principals.grant(grant.principal.id, grant.app)
    if stored is None:
        return Checked(None)
    if await _is_on_agenda(app, stored.value):
        return Checked(stored.value)
    scheduled = await _schedule(app, stored)
    log.warning("grant was not planned", extra={"principal": grant.principal.id, "app": grant.app})
    return Checked(scheduled, repaired=True)


async def _is_on_agenda(app: App, grant: DelegatedGrant) -> bool:
    if grant.due is None:
        return True
    return not grant.is_scheduled_too_far_ahead(app.clock()) and await app.stores.agenda.holds(_work(grant, grant.due))


async def _schedule(app: App, stored: Stored[DelegatedGrant]) -> DelegatedGrant:
    grant, now = stored.value, app.clock()
    if not grant.is_scheduled_too_far_ahead(now):
        await app.stores.agenda.add(_work(grant, grant.due or now))
        return grant
    rescheduled = grant.rescheduled(now)
    await app.stores.agenda.add(_work(rescheduled, rescheduled.due or now))
    with suppress(StaleWrite):  # it was refreshed just now, and so scheduled again
        await app.stores.principals.commit(grant.principal.id, [Replace(rescheduled, stored.version)])
    return rescheduled


async def _check_account(app: App, account: Account) -> Checked:
    if account.last_error is not None:
        # The page may be old by now, and the account well again.
        current = await app.stores.principals.account(account.principal_id, account.id)
        if current is not None:
            log_attention(current.value)
    entry = await app.stores.directory.get(account.id)
    if entry is not None and _refers_to(entry.value, account, app.clock()):
        return Checked(account, repaired=await mend_mailbox(app, account))
    try:
        remaining_account = await _repair_entry(app, entry, account)
    except StaleWrite:  # the account is being bound or removed right now
        return Checked(account)
    if remaining_account is not None:
        await mend_mailbox(app, remaining_account)
    log.warning("account was mended", extra={"principal": account.principal_id})
    return Checked(remaining_account, repaired=True)


def _refers_to(entry: DirectoryEntry, account: Account, now: datetime) -> bool:
    """Whether the entry is the account's, or holds a valid claim of the account's principal."""
    claim = entry.claim
    claimed = claim is not None and claim.principal_id == account.principal_id and now < claim.until
    return claimed or account.principal_id == entry.principal_id


async def _repair_entry(app: App, entry: Stored[DirectoryEntry] | None, account: Account) -> Account | None:
    """Write the account's entry, or remove the account when its id belongs to another principal."""
    bound_entry = DirectoryEntry(account.id, account.principal_id, account.app)
    if entry is None:
        await app.stores.directory.insert(bound_entry)
        return account
    owner = entry.value.principal_id
    if owner is None or await app.stores.principals.account(owner, account.id) is None:
        await app.stores.directory.replace(entry, bound_entry)
        return account
    # The account lost its id, or never got it, and the process died before it removed the row. The claim is removed
    # first, so that a binding which is taking the account over right now has to start again.
    await app.stores.directory.replace(entry, replace(entry.value, claim=None))
    await remove_account_row(app, account, if_unchanged=True)
    return None


async def _write_counters(app: App, finished_sweep: Sweep) -> None:
    counters = Counters(finished_sweep.counts, app.clock())
    stored = await app.stores.counters.get(counters.name)
    with suppress(StaleWrite):  # the counters changed meanwhile; the next sweep corrects them
        await app.stores.counters.put(stored, counters)


def _work(grant: DelegatedGrant, due: datetime) -> Work:
    return Work(grant.work, due, grant.principal.id, grant.app)
