"""What the timers run: due work of grants and registrations, shards that were handed over, and tidying."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from shared.domain.errors import StaleWrite
from shared.domain.formats import format_timestamp
from shared.domain.grant import DelegatedGrant
from shared.domain.tokens import TokenRequest
from shared.domain.work import HANDOVER_LIFETIME, REAP_SHARD, Handover, Tick, Work, WorkKind
from shared.ports import App, Stored
from shared.usecases.tokens.probe import probe_mailboxes
from shared.usecases.tokens.refresh import refresh_grant
from shared.usecases.upkeep.agenda import EARLY, FAILED, Handler, Limits, ShardResult, work_shards
from shared.usecases.upkeep.pending import resume_pending
from shared.usecases.upkeep.registrations import end_link, reap_registration
from shared.usecases.upkeep.statistics import read_statistics
from shared.usecases.upkeep.submissions import work_submission

log = logging.getLogger(__name__)

# Well below host.json's functionTimeout, so that a run ends by itself and the next one continues.
RUN_TIME = timedelta(minutes=4)
# An agenda row is written just before its grant. A row that is older than this, with a grant that does not wait for
# it, is a leftover.
LEFTOVER_AGE = timedelta(minutes=1)


async def run_tick(app: App) -> Tick:
    """Work all shards of grants, and hand a shard with many rows left over to another instance.

    A shard that was handed over is skipped, up to the due time of its handover, until the handover expires.
    """
    began = app.clock()
    shards = app.stores.agenda.shards
    start_times = await asyncio.gather(*(_handed_over_up_to(app, shard) for shard in shards))
    limits = Limits(began + RUN_TIME, app.config.tick_rows)
    results = await work_agenda(app, dict(zip(shards, start_times, strict=True)), limits)
    handed_over = [shard for shard, result in results.items() if result.more and await _hand_over(app, shard, began)]
    outcomes = sum((result.outcomes for result in results.values()), Counter())
    tick = Tick(began, app.clock(), dict(outcomes), tuple(handed_over))
    await app.tally.flush()
    stored = await app.stores.ticks.get(tick.name)
    with suppress(StaleWrite):  # another instance's run ended at the same moment
        await app.stores.ticks.put(stored, tick)
    duration = {"milliseconds": round(tick.seconds * 1000)}
    log.info("tick done", extra={**tick.outcomes, **duration, "handed_over": len(handed_over)})
    return tick


async def work_agenda(
    app: App, shards: Mapping[str, datetime | None], limits: Limits, due_by: datetime | None = None
) -> dict[str, ShardResult]:
    """Work what is due in these shards, with the clients of Microsoft that timers have; see `work_shards`."""
    return await work_shards(app.for_timers(), HANDLERS, shards, limits=limits, due_by=due_by)


async def work_handed_over_shard(app: App, shard: str, due_by: datetime) -> None:
    """Work a backlog that was handed over, in as many runs as it takes."""
    limits = Limits(app.clock() + RUN_TIME)
    result = (await work_agenda(app, {shard: None}, limits, due_by))[shard]
    log.info("shard worked", extra={"shard": shard, **result.outcomes})
    await app.tally.flush()
    stored = await app.stores.handovers.get(shard)
    if stored is None or stored.value.due_by != due_by:
        return
    with suppress(StaleWrite):  # this run took too long, and the timer works the shard again
        if result.more:
            await app.stores.handovers.replace(stored, Handover(shard, due_by, app.clock() + HANDOVER_LIFETIME))
            await app.shard_queue.send(shard, due_by)
        else:
            await app.stores.handovers.remove(stored)


async def _handed_over_up_to(app: App, shard: str) -> datetime | None:
    stored = await app.stores.handovers.get(shard)
    return stored.value.due_by if stored is not None and app.clock() < stored.value.expires else None


async def _hand_over(app: App, shard: str, due_by: datetime) -> bool:
    stored = await app.stores.handovers.get(shard)
    if stored is not None and app.clock() < stored.value.expires:
        return False
    with suppress(StaleWrite):  # another instance hands the same shard over
        await app.stores.handovers.put(stored, Handover(shard, due_by, app.clock() + HANDOVER_LIFETIME))
        await app.shard_queue.send(shard, due_by)
        return True
    return False


async def tidy(app: App) -> None:
    """Delete expired registrations and empty rate limit buckets, log gauges, and check the poison queue.

    The poison queue has no function of its own: it would poll the queue all day, and the host passes it no message
    that is not base64.
    """
    until = app.clock() + RUN_TIME
    results = await work_agenda(app, {REAP_SHARD: None}, Limits(until))
    log.info("registrations reaped", extra=dict(results[REAP_SHARD].outcomes))
    await app.rate_limit.forget(until)
    statistics = await read_statistics(app)
    log.info("state", extra=statistics.gauges(app.clock()))
    for refused in statistics.refused_apps:
        fault = refused.fault
        since = {"since": format_timestamp(fault.since)}
        log.error(
            "oauth app refused", extra={"app": refused.app.id, "code": fault.code, "aadsts": fault.aadsts, **since}
        )
    await _log_expiring_secrets(app)
    if message_count := await app.shard_queue.poisoned():
        # The handovers of these shards expire, and then the timer works them again.
        log.error("shard messages failed for good", extra={"messages": message_count})


async def _log_expiring_secrets(app: App) -> None:
    """Log each app whose credential expires soon, as often as the gauges, so that the alert ends with its renewal."""
    for oauth_app in await app.oauth_apps.all():
        if expires := oauth_app.secret_expiry_within(app.config.warn_ahead, app.clock()):
            fields = {"app": oauth_app.id, "expires": format_timestamp(expires)}
            log.warning("oauth app secret expires", extra=fields)


async def keep_grant_alive(app: App, work: Work, until: datetime) -> str:
    """Refresh a grant if it waits for this row, or continue a probe of its mailboxes.

    The grant's own row decides: an agenda row with another time is left over from an earlier schedule.

    Returns `refreshed`, `probed`, `leftover`, or the kind of failure; `failed` when new tokens could not be stored.
    """
    stored = await app.stores.principals.grant(work.owner, work.item)
    if stored is None or stored.value.due != work.due:
        return "leftover" if app.clock() - work.due >= LEFTOVER_AGE else EARLY
    if stored.value.probing is not None and stored.value.has_usable_token(app.clock()):
        return await _continue_probe(app, stored, until)
    refreshed = await refresh_grant(app, stored, TokenRequest(stored.value.next_resource(app.clock())))
    if refreshed is None:
        return "leftover"
    if not refreshed.stored:
        return FAILED
    if refreshed.failure is not None:
        return refreshed.failure.kind
    if refreshed.grant.value.is_probe_due(app.clock()):
        # If the grant changed meanwhile, its probe stays due and follows the next refresh.
        with suppress(StaleWrite):
            await probe_mailboxes(app, refreshed.grant, until)
    return "refreshed"


async def _continue_probe(app: App, stored: Stored[DelegatedGrant], until: datetime) -> str:
    try:
        await probe_mailboxes(app, stored, until)
    except StaleWrite:  # the grant may still wait for this row
        return EARLY
    return "probed"


HANDLERS: Mapping[WorkKind, Handler] = {
    WorkKind.REFRESH: keep_grant_alive,
    WorkKind.KEEPALIVE: keep_grant_alive,
    WorkKind.PROBE: resume_pending,
    WorkKind.REAP: reap_registration,
    WorkKind.EXPIRE: end_link,
    WorkKind.SEND: work_submission,
}
