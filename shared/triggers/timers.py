"""Timer and queue triggers: keep grants alive, share a backlog, reap, sweep."""

import logging
from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.domain.formats import set_correlation_id
from shared.domain.statistics import Sweep, Tick
from shared.ports import Clock, Entropy
from shared.triggers.shard_message import read_shard_message
from shared.usecases.upkeep.tick import RUN_TIME

log = logging.getLogger(__name__)


def blueprint(
    tick: Callable[..., Awaitable[Tick]],
    shard: Callable[..., Awaitable[None]],
    sweep: Callable[..., Awaitable[Sweep]],
    deliver: Callable[..., Awaitable[bool]],
    tidy: Callable[..., Awaitable[None]],
    clock: Clock,
    entropy: Entropy,
    *,
    queue: str,
) -> func.Blueprint:
    """The timers, whose schedules are settings, and the queue that shards are handed over by."""
    bp = func.Blueprint()

    def begin() -> None:
        """Each run has a correlation id of its own."""
        set_correlation_id(entropy(16).hex())

    @bp.timer_trigger("timer", schedule="%REFRESH_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def refresh_grants(timer: func.TimerRequest) -> None:
        begin()
        if timer.past_due:
            log.warning("tick is late")
        await tick()

    @bp.queue_trigger("message", queue_name=queue, connection="AzureWebJobsStorage")
    async def work_shard(message: func.QueueMessage) -> None:
        begin()
        await shard(*read_shard_message(message.get_body()))

    @bp.timer_trigger("timer", schedule="%REAP_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def reap_registrations(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
        begin()
        await tidy()

    # A schedule below a minute is not monitored (Azure Functions, timer trigger: useMonitor); the next run makes up for
    # one that is missed.
    @bp.timer_trigger("timer", schedule="%DELIVER_SCHEDULE%", run_on_startup=False, use_monitor=False)
    async def deliver_events(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
        begin()
        await deliver(clock() + RUN_TIME)

    @bp.timer_trigger("timer", schedule="%SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def sweep_grants(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the binding's name
        begin()
        await sweep(clock() + RUN_TIME)

    return bp
