"""Timer triggers: each function runs at its schedule, one run at a time."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from azure_functions_runtime.bindings.datumdef import Datum

from infra.local.host.schedule import Schedule, read_schedule
from infra.local.host.settings import resolve
from infra.local.host.worker import Function, FunctionFailedError, Worker

TIMER_TRIGGER = "timerTrigger"
NEVER = datetime.min.replace(tzinfo=UTC)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Timer:
    """A function and its schedule; `clock` tells the time in UTC."""

    worker: Worker
    function: Function
    schedule: Schedule
    clock: Callable[[], datetime]
    last: datetime = NEVER
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, *, past_due: bool = False) -> None:
        """Run the function now, or as soon as the run before has ended; a failure is logged, and that is all."""
        async with self.one_at_a_time:
            started = self.clock()
            status = {
                "Last": self.last.isoformat(),
                "LastUpdated": self.last.isoformat(),
                "Next": self.schedule.after(started).isoformat(),
            }
            argument = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": status if self.function.trigger.get("useMonitor", True) else None,
                "IsPastDue": past_due,
            }
            self.last = started
            try:
                await self.worker.invoke(self.function, Datum(json.dumps(argument), "json"))
            except FunctionFailedError:
                log.warning("next run at its time", extra={"function": self.function.name})

    async def keep_time(self, stopping: asyncio.Event) -> None:
        """Run at each time of the schedule until `stopping` is set.

        When times went by during a run, one late run follows at once, marked as past due; the others are dropped.
        """
        if self.function.trigger.get("runOnStartup"):
            await self.run()
        due = self.schedule.after(self.clock())
        while not await _within((due - self.clock()).total_seconds(), stopping):
            await self.run()
            due = self.schedule.after(due)
            if due < self.clock() and not stopping.is_set():
                await self.run(past_due=True)
            due = max(due, self.schedule.after(self.clock()))


def timers(worker: Worker, clock: Callable[[], datetime]) -> dict[str, Timer]:
    """Timers of the app by function name; one whose schedule cannot be read or resolved is in error."""
    return worker.each(
        TIMER_TRIGGER, lambda one: Timer(worker, one, read_schedule(resolve(one.trigger["schedule"])), clock)
    )


async def _within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait for so long; tell whether the host began to stop meanwhile."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            return await stopping.wait()
    except TimeoutError:
        return False
