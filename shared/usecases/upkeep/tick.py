"""What the timers run: due work of grants and registrations, shards that were handed over, and tidying."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from shared.domain.errors import StaleWrite
from shared.domain.grant import DelegatedGrant
from shared.domain.tokens import TokenRequest
from shared.domain.work import HANDOVER_LIFETIME, REAP_SHARD, Handover, Tick, Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.tokens.probe import probe_mailboxes
from shared.usecases.tokens.refresh import refresh_grant
from shared.usecases.upkeep.agenda import EARLY, FAILED, Handler, Limits, Worked, work_rows
from shared.usecases.upkeep.pending import resume_pending
from shared.usecases.upkeep.registrations import expire_registration, reap_registration
from shared.usecases.upkeep.statistics import read_statistics

log = logging.getLogger(__name__)

# Well inside host.json's functionTimeout, so that a run ends by itself and the next one goes on.
RUN_TIME = timedelta(minutes=4)
# Whoever wrote the agenda's row is about to write the grant's; after this long they no longer are.
GRACE = timedelta(minutes=1)


async def run_tick(app: App) -> Tick:
    """Work all shards of grants, and hand a shard with many rows left over to another instance.

    A shard that was handed over is skipped until its handover expires.
    """
    began = app.clock()
    shards = app.stores.agenda.shards
    begins = dict(zip(shards, await asyncio.gather(*map(partial(_begin_of, app), shards)), strict=True))
    worked = await work_agenda(app, begins, Limits(began + RUN_TIME, app.config.tick_rows))
    over = [shard for shard, result in worked.items() if result.more and await _hand_over(app, shard, began)]
    tick = Tick(began, app.clock(), _sum(worked), tuple(over))
    await app.tally.settled()
    await _note_tick(app, tick)
    took = {"milliseconds": round(tick.seconds * 1000)}
    log.info("tick done", extra={**tick.outcomes, **took, "handed_over": len(over)})
    return tick


async def work_agenda(
    app: App, shards: Mapping[str, datetime | None], limits: Limits, due_by: datetime | None = None
) -> dict[str, Worked]:
    """Work what is due in these shards, with the timers' own clients of Microsoft; see `work_rows`."""
    return await work_rows(app.for_timers(), HANDLERS, shards, limits=limits, due_by=due_by)


async def work_shard(app: App, shard: str, due_by: datetime) -> None:
    """Work a backlog that was handed over, in as many turns as it takes."""
    until = app.clock() + RUN_TIME
    worked = (await work_agenda(app, {shard: None}, Limits(until), due_by=due_by))[shard]
    log.info("shard worked", extra={"shard": shard, **worked.outcomes})
    await app.tally.settled()
    held = await app.stores.handovers.get(shard)
    if held is None or held.value.due_by != due_by:
        return
    with suppress(StaleWrite):  # it took too long, and the timer has the shard again
        if worked.more:
            await app.stores.handovers.replace(held, Handover(shard, due_by, app.clock() + HANDOVER_LIFETIME))
            await app.shard_queue.send(shard, due_by)
        else:
            await app.stores.handovers.remove(held)


async def _begin_of(app: App, shard: str) -> datetime | None:
    held = await app.stores.handovers.get(shard)
    return held.value.due_by if held is not None and app.clock() < held.value.expires else None


async def _hand_over(app: App, shard: str, due_by: datetime) -> bool:
    handover = Handover(shard, due_by, app.clock() + HANDOVER_LIFETIME)
    held = await app.stores.handovers.get(shard)
    if held is not None and app.clock() < held.value.expires:
        return False
    with suppress(StaleWrite):  # another instance hands the same shard over
        await app.stores.handovers.put(held, handover)
        await app.shard_queue.send(shard, due_by)
        return True
    return False


async def _note_tick(app: App, tick: Tick) -> None:
    stored = await app.stores.ticks.get(tick.name)
    with suppress(StaleWrite):  # another instance's run ended at the same moment
        await app.stores.ticks.put(stored, tick)


def _sum(worked: dict[str, Worked]) -> dict[str, int]:
    return dict(sum((result.outcomes for result in worked.values()), Counter()))


async def tidy(app: App) -> None:
    """Delete expired registrations and empty rate limit buckets, log gauges, and look at the poison queue.

    A function on the poison queue would poll it all day, and the host gives it no message that is not base64.
    """
    until = app.clock() + RUN_TIME
    worked = await work_agenda(app, {REAP_SHARD: None}, Limits(until))
    log.info("registrations reaped", extra=dict(worked[REAP_SHARD].outcomes))
    await app.rate_limit.forget(until)
    found = await read_statistics(app)
    log.info("state", extra=found.gauges(app.clock()))
    if messages := await app.shard_queue.poisoned():
        # A handover ends by itself, and then the timer has the shard again.
        log.error("shard messages failed for good", extra={"messages": messages})


async def keep_grant_alive(app: App, work: Work, until: datetime) -> str:
    """Refresh the grant if this is what it waits for, or go on with a probe that has begun.

    The grant's own row decides: an agenda row of another time is left over from an earlier plan.

    Returns `refreshed`, `probed`, `leftover`, or the kind of failure; `failed` when new tokens could not be stored.
    """
    stored = await app.stores.principals.grant(work.owner, work.item)
    if stored is None or stored.value.due != work.due:
        return "leftover" if app.clock() - work.due >= GRACE else EARLY
    if stored.value.probing is not None and stored.value.has_usable_token(app.clock()):
        return await _go_on_probing(app, stored, until)
    refreshed = await refresh_grant(app, stored, TokenRequest(stored.value.next_resource(app.clock())))
    if refreshed is None:
        return "leftover"
    if not refreshed.stored:
        return FAILED
    if refreshed.failure is not None:
        return refreshed.failure.kind
    if refreshed.grant.value.is_probe_due(app.clock()):
        # Changed meanwhile, it is still due for a probe, and gets one after its next refresh.
        with suppress(StaleWrite):
            await probe_mailboxes(app, refreshed.grant, until)
    return "refreshed"


async def _go_on_probing(app: App, stored: Stored[DelegatedGrant], until: datetime) -> str:
    try:
        await probe_mailboxes(app, stored, until)
    except StaleWrite:  # its plan may still be the one of this row
        return EARLY
    return "probed"


HANDLERS: Mapping[WorkKind, Handler] = {
    WorkKind.REFRESH: keep_grant_alive,
    WorkKind.KEEPALIVE: keep_grant_alive,
    WorkKind.PROBE: resume_pending,
    WorkKind.REAP: reap_registration,
    WorkKind.EXPIRE: expire_registration,
}
