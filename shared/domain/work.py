"""Work on the agenda: what is due when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WorkKind(StrEnum):
    """What there can be to do."""

    REFRESH = "refresh"
    KEEPALIVE = "keepalive"
    PROBE = "probe"
    REAP = "reap"
    EVENT = "event"
    EXPIRE = "expire"
    DELIVER = "deliver"


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the agenda. `owner` is a principal's or registration's id, `item` what of theirs is meant.

    The item is an OAuth app for `refresh` and `keepalive`, a registration for `probe`, the account of a request that no
    registration stands for, or empty, for `reap`, and empty for `expire`. For `event`, owner is the event's place and
    item its id; for `deliver`, owner is a webhook.
    """

    kind: WorkKind
    due: datetime
    owner: str
    item: str = ""
