"""Timer triggers: keep grants alive, and reap what nobody may ask for any more."""

import logging
from collections.abc import Sequence
from datetime import timedelta

import azure.functions as func

from shared.ports import Clock
from shared.usecases.work_agenda import WorkAgenda

log = logging.getLogger(__name__)

# Well inside host.json's functionTimeout, so that a tick ends by itself and the next one goes on.
TICK = timedelta(minutes=4)


def blueprint(work: WorkAgenda, shards: Sequence[str], reap_shard: str, clock: Clock) -> func.Blueprint:
    """Both timers; their schedules are settings."""
    bp = func.Blueprint()

    @bp.timer_trigger("timer", schedule="%REFRESH_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def refresh_grants(timer: func.TimerRequest) -> None:
        until = clock() + TICK
        done = sum([await work(shard, until) for shard in shards])
        log.info("grants refreshed", extra={"done": done, "past_due": timer.past_due})

    @bp.timer_trigger("timer", schedule="%REAP_SCHEDULE%", run_on_startup=False, use_monitor=True)
    async def reap_registrations(timer: func.TimerRequest) -> None:
        done = await work(reap_shard, clock() + TICK)
        log.info("registrations reaped", extra={"done": done, "past_due": timer.past_due})

    return bp
