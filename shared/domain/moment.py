"""Moments as texts, and the range that a moment from outside may have."""

from datetime import UTC, datetime

# Whatever is added to or taken from a moment in this range is a moment that Python and Table Storage can still write.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def written(when: datetime) -> str:
    """A moment as the contract writes it: UTC, milliseconds, Z."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_moment(text: str) -> datetime:
    """A date, or a date and time, as ISO 8601 writes them; in UTC when it names no zone.

    Raises ValueError for anything else, and for a moment outside of the years 2000 to 2099.
    """
    when = _aware(datetime.fromisoformat(text))
    if bounded(when) != when:
        raise ValueError("out of range")
    return when.astimezone(UTC)


def bounded(when: datetime) -> datetime:
    """The moment itself, or the end of the range that is nearest to it."""
    return min(max(_aware(when), EARLIEST), LATEST)


def _aware(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)
