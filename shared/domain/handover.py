"""Handovers: backlogs of a shard that other instances work."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# A worker that stays away this long has died; its shard is the timer's again.
GOOD_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Handover:
    """Rows of a shard that were due by `due_by` are somebody else's until `expires`."""

    shard: str
    due_by: datetime
    expires: datetime
