"""Data keys: what secrets are sealed with, themselves wrapped by the key-encryption key."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

# How long a process may go on sealing without having looked for a newer data key.
NOTICED_WITHIN = timedelta(minutes=1)
# How long a process that cannot open the newest data key may go on sealing under the one before it.
SUCCEEDED_WITHIN = timedelta(minutes=10)
# A data key is forgotten only this long after a newer one came. By then nobody seals under it (NOTICED_WITHIN and
# SUCCEEDED_WITHIN), and the last write that did has landed or failed (host.json: functionTimeout, 10 minutes).
FORGOTTEN_AFTER = timedelta(hours=1)

FIRST = "0" * 20


@dataclass(frozen=True, slots=True)
class DataKey:
    """`id` sorts by age; `wrapped_by` names the key-encryption key and its version; `wrapped` is base64."""

    id: str
    wrapped: str
    wrapped_by: str
    created: datetime


def next_id(newest: DataKey | None, at: datetime) -> str:
    """The id of the data key that is due `at` a moment: milliseconds in 12 hexadecimal digits, and 8 more.

    It follows from what was there before, so whoever makes the same key at the same time meets the other's row.
    """
    if newest is None:
        return FIRST
    milliseconds = max(int(at.timestamp() * 1000), int(newest.id[:12], 16) + 1)
    return f"{milliseconds:012x}{hashlib.sha256(newest.id.encode()).hexdigest()[:8]}"


def sealing_order(keys: Sequence[DataKey], now: datetime) -> list[DataKey]:
    """The data keys that may seal, the best first, out of all of them, the oldest first."""
    allowed = [key for key, later in pairwise(keys) if now - later.created < SUCCEEDED_WITHIN]
    return [*keys[-1:], *reversed(allowed)]


def forgettable(keys: Sequence[DataKey], now: datetime) -> list[DataKey]:
    """The data keys that nobody seals under any more, out of all of them, the oldest first."""
    return [key for key, later in pairwise(keys) if now - later.created >= FORGOTTEN_AFTER]
