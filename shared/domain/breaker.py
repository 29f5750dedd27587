"""The breaker of an OAuth app: open while Microsoft refuses the app itself."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

TRIAL_EVERY = timedelta(minutes=1)
# Only what is wrong with the credential is wrong for everybody; a configuration may be wrong for one tenant.
OPENS = "app_credential"


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is wrong with an app. At `trial` one call may find out whether the app is accepted again."""

    app: str
    code: str
    since: datetime
    trial: datetime
    aadsts: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it holds back the app's calls; otherwise it only remembers what a verification found."""
        return self.code == OPENS

    def tried(self, now: datetime) -> "Breaker":
        """With the next trial after this one."""
        return replace(self, trial=now + TRIAL_EVERY)
