"""Warnings that were given."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Warned:
    """The end of a credential that was warned of. `id` names whose; see `secret_of`."""

    id: str
    expires: datetime


def secret_of(app: str) -> str:
    """The id for an OAuth app's credential; no app's own id holds a `~`."""
    return f"{app}~secret"
