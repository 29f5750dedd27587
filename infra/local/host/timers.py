"""Timer triggers: each function runs at the times of its NCRONTAB schedule (UTC), one run at a time."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from azure_functions_runtime.bindings.datumdef import Datum
from cronsim import CronSim, CronSimError

from infra.local.host.settings import FunctionInError, resolve
from infra.local.host.worker import Function, FunctionFailedError, Worker

TIMER_TRIGGER = "timerTrigger"
NEVER = datetime.min.replace(tzinfo=UTC)
# NCRONTAB's syntax. cronsim also accepts L, LW, # and 7 for Sunday, which the real host rejects.
FIELD = re.compile(r"(\*|\w+(-\w+)?)(/\d+)?(,(\*|\w+(-\w+)?)(/\d+)?)*")
CRONSIM_ONLY = re.compile(r"(?i)\b(LW?|\dL)\b|\b7\b")
ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # a schedule without a time after this one never fires

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`{second} {minute} {hour} {day} {month} {day-of-week}`; without the first field, second 0.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
    """

    expression: str

    def after(self, moment: datetime) -> datetime:
        """The first time of the schedule that is later than `moment` (UTC)."""
        return next(_iterate(self.expression, moment))


def read_schedule(expression: str) -> Schedule:
    """Parse a schedule. Raises FunctionInError if it is not an NCRONTAB expression."""
    fields = expression.split()
    try:
        is_foreign = CRONSIM_ONLY.search(fields[-1]) or CRONSIM_ONLY.search(fields[-3])
        if is_foreign or not all(map(FIELD.fullmatch, fields)):
            raise FunctionInError(f"{expression!r} is not an NCRONTAB expression")
        next(_iterate(expression, ANY_TIME))
    except (CronSimError, IndexError, StopIteration):
        raise FunctionInError(f"{expression!r} is not an NCRONTAB expression") from None
    return Schedule(expression)


def _iterate(expression: str, moment: datetime) -> CronSim:
    times = CronSim(expression, moment)
    times.day_and = True  # in NCRONTAB day and day-of-week must both match; in cron either is enough
    return times


@dataclass(slots=True)
class Timer:
    """A function and its schedule; `clock` returns the time in UTC."""

    worker: Worker
    function: Function
    schedule: Schedule
    clock: Callable[[], datetime]
    last_run: datetime = NEVER
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, *, past_due: bool = False) -> None:
        """Run the function after the current run has ended. A failure is only logged."""
        async with self.lock:
            started = self.clock()
            status = {
                "Last": self.last_run.isoformat(),
                "LastUpdated": self.last_run.isoformat(),
                "Next": self.schedule.after(started).isoformat(),
            }
            argument = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": status if self.function.trigger.get("useMonitor", True) else None,
                "IsPastDue": past_due,
            }
            self.last_run = started
            try:
                await self.worker.invoke(self.function, Datum(json.dumps(argument), "json"))
            except FunctionFailedError:
                log.warning("next run at its time", extra={"function": self.function.name})

    async def run_on_schedule(self, stopping: asyncio.Event) -> None:
        """Run at each time of the schedule until `stopping` is set.

        If scheduled times passed during a run, one run marked as past due follows at once, and the others are dropped.
        """
        if self.function.trigger.get("runOnStartup"):
            await self.run()
        due = self.schedule.after(self.clock())
        while not await _stops_within((due - self.clock()).total_seconds(), stopping):
            await self.run()
            due = self.schedule.after(due)
            if due < self.clock() and not stopping.is_set():
                await self.run(past_due=True)
            due = max(due, self.schedule.after(self.clock()))


def timers(worker: Worker, clock: Callable[[], datetime]) -> dict[str, Timer]:
    """The app's timers by function name. A function whose schedule cannot be parsed or resolved is in error."""

    def timer(function: Function) -> Timer:
        return Timer(worker, function, read_schedule(resolve(function.trigger["schedule"])), clock)

    return worker.each(TIMER_TRIGGER, timer)


async def _stops_within(seconds: float, stopping: asyncio.Event) -> bool:
    """Wait for the time or the event; whether `stopping` was set."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            return await stopping.wait()
    except TimeoutError:
        return False
