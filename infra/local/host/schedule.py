"""Timer schedules: NCRONTAB expressions, read in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from infra.local.host.settings import FunctionInError

# What NCRONTAB has. cronsim also knows L, LW, # and Sunday as 7, which the real host refuses.
FIELD = re.compile(r"(\*|\w+(-\w+)?)(/\d+)?(,(\*|\w+(-\w+)?)(/\d+)?)*")
FOREIGN = re.compile(r"(?i)\b(LW?|\dL)\b|\b7\b")
ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)  # a schedule that has no time after it has none at all


@dataclass(frozen=True, slots=True)
class Schedule:
    """`{second} {minute} {hour} {day} {month} {day-of-week}`; without the first field, second 0.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
    """

    expression: str

    def after(self, moment: datetime) -> datetime:
        """First time of the schedule that is later than this moment (UTC)."""
        return next(_read(self.expression, moment))


def read_schedule(expression: str) -> Schedule:
    """Read a schedule. Raises FunctionInError when it is none."""
    fields = expression.split()
    try:
        if not all(map(FIELD.fullmatch, fields)) or FOREIGN.search(fields[-1]) or FOREIGN.search(fields[-3]):
            raise FunctionInError(f"{expression!r} is not an NCRONTAB expression")
        next(_read(expression, ANY_DAY))
    except (CronSimError, IndexError, StopIteration):
        raise FunctionInError(f"{expression!r} is not an NCRONTAB expression") from None
    return Schedule(expression)


def _read(expression: str, moment: datetime) -> CronSim:
    schedule = CronSim(expression, moment)
    schedule.day_and = True  # NCRONTAB wants day and day-of-week to match both, where cron takes either
    return schedule
