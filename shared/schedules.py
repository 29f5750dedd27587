"""Timer and queue triggers. Each function starts one use case, under a correlation id of its own.

    refresh_grants      every minute        works what is due, and hands long backlogs over
    work_shard          for each message    works one backlog that was handed over
    deliver_events      every ten seconds   delivers events to webhooks
    reap_registrations  every five minutes  deletes what has expired, and logs gauges
    sweep_grants        every night         checks every grant and account

The schedules are settings; infra/app/function.bicep has these.
"""

import logging
from datetime import datetime

import azure.functions as func
import msgspec

from shared.domain.audit import set_correlation_id
from shared.ports import App
from shared.usecases.events.delivery import deliver_events as deliver
from shared.usecases.upkeep.sweep import sweep
from shared.usecases.upkeep.tick import RUN_TIME, run_tick, tidy, work_handed_over_shard

log = logging.getLogger(__name__)


class ShardMessage(msgspec.Struct, forbid_unknown_fields=True):
    """The message that hands a shard over: its rows that were due by then are to be worked."""

    shard: str
    due_by: datetime


def blueprint(app: App, *, queue: str) -> func.Blueprint:
    """The functions. `queue` is the name of the queue that shards are handed over by."""
    schedules = func.Blueprint()

    @schedules.timer_trigger("timer", schedule="%REFRESH_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def refresh_grants(timer: func.TimerRequest) -> None:
        _correlate(app)
        if timer.past_due:
            log.warning("tick is late")
        await run_tick(app)

    @schedules.queue_trigger("message", queue_name=queue, connection="AzureWebJobsStorage")
    async def work_shard(message: func.QueueMessage) -> None:
        _correlate(app)
        # A message of another shape raises here, and ends in the poison queue.
        handover = msgspec.json.decode(message.get_body(), type=ShardMessage)
        await work_handed_over_shard(app, handover.shard, handover.due_by)

    # A schedule below a minute cannot be monitored (Azure Functions, timer trigger: useMonitor). The next run makes up
    # for one that is missed.
    @schedules.timer_trigger("timer", schedule="%DELIVER_SCHEDULE%", run_on_startup=False, use_monitor=False)
    async def deliver_events(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
        _correlate(app)
        await deliver(app, app.clock() + RUN_TIME)

    @schedules.timer_trigger("timer", schedule="%REAP_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def reap_registrations(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
        _correlate(app)
        await tidy(app)

    @schedules.timer_trigger("timer", schedule="%SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def sweep_grants(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
        _correlate(app)
        await sweep(app, app.clock() + RUN_TIME)

    return schedules


def _correlate(app: App) -> None:
    set_correlation_id(app.entropy(16).hex())
