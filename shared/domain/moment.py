"""Moments as texts."""

from datetime import UTC, datetime


def written(when: datetime) -> str:
    """A moment as the contract writes it: UTC, milliseconds, Z."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
