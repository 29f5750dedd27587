"""The breaker of an OAuth app: open while Microsoft refuses the app itself."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

TRIAL_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Breaker:
    """An open breaker. At `trial` one call may find out whether the app is accepted again."""

    app: str
    code: str
    since: datetime
    trial: datetime
    aadsts: int | None = None

    def tried(self, now: datetime) -> "Breaker":
        """With the next trial after this one."""
        return replace(self, trial=now + TRIAL_EVERY)
