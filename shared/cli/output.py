"""What commands print: printable text, tables that fit the terminal, ages, and red for trouble."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TextIO

RED, DEFAULT_COLOR = "\x1b[31m", "\x1b[0m"
GAP = "  "
COMFORTABLE_COLUMN_WIDTH = 8  # columns become narrower only when all of them are this narrow
SHORT_ID_CHARACTERS = 12
EXPIRY_WARNING_PERIOD = timedelta(days=14)
UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


@dataclass(frozen=True)
class Result:
    """The API's response, a text for people, and whether the command succeeded."""

    body: dict[str, Any]
    text: str
    success: bool = True


class Trouble(NamedTuple):
    """A value that somebody has to look at: red on a terminal."""

    value: object


def printable(value: object) -> str:
    """A value as text without control characters, because names come from people who are not trusted."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(printable, value)) or "-"
        case Trouble():
            return printable(value.value)
        case _:
            return "".join(letter if letter.isprintable() else "?" for letter in str(value))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table. On a terminal it fits: long cells are cut, those of the first column last."""
    lines = [headings, *rows]
    widths = [max(map(display_width, map(printable, column))) for column in zip(*lines, strict=True)]
    widths = fitted_widths(widths, _terminal_width(sys.stdout))
    return "\n".join(GAP.join(map(_cell, line, widths)).rstrip() for line in lines)


def fitted_widths(widths: Sequence[int], terminal_width: int | None) -> list[int]:
    """Column widths that fit: the widest column shrinks, the first one only when the others are narrow."""
    fitted = list(widths)
    if terminal_width is None:
        return fitted
    excess = sum(fitted) + len(GAP) * (len(fitted) - 1) - terminal_width
    for minimum in (COMFORTABLE_COLUMN_WIDTH, 1):
        for shrinking in (range(1, len(fitted)), range(1)):
            while excess > 0 and (wide := [column for column in shrinking if fitted[column] > minimum]):
                fitted[max(wide, key=fitted.__getitem__)] -= 1
                excess -= 1
    return fitted


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns of a terminal; what does not fit is replaced by …."""
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def display_width(text: str) -> int:
    """The number of columns that a terminal needs for a text (Unicode Standard Annex 11)."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def short_id(identity: str) -> str:
    """A long hexadecimal id as a terminal shows it. Commands accept the beginning of an id."""
    return cut(identity, SHORT_ID_CHARACTERS + 1) if sys.stdout.isatty() else identity


def account_filter(item: Mapping[str, Any]) -> object:
    """The accounts that a webhook or an API token is limited to."""
    prefix = item["accountPrefix"]
    return item["accounts"] or (f"{prefix}…" if prefix else "all")


def summary(rows: Iterable[tuple[str, object]]) -> str:
    """Labels and values, one pair a line, without the values that are None."""
    known = [(label, value) for label, value in rows if value is not None and value != Trouble(None)]
    width = max((len(label) for label, _ in known), default=0)
    return "\n".join(f"{label.ljust(width)}{GAP}{_colored(value, printable(value))}" for label, value in known)


def values(body: Mapping[str, Any]) -> str:
    """Every value of an object on a line of its own, after its path."""
    return summary((path, printable(value)) for path, value in _walk(body, ""))


def relative_time(timestamp: str | None) -> str | None:
    """How long ago a timestamp of the API was, or in how long it will be."""
    return age(datetime.fromisoformat(timestamp), datetime.now(UTC)) if timestamp else None


def age(timestamp: datetime, now: datetime) -> str:
    """The time between, in words, such as "3 hours ago" or "in 2 days"."""
    distance = abs(now - timestamp)
    unit, length = next(((unit, length) for unit, length in UNITS if distance >= length), (None, None))
    if length is None:
        return "just now" if timestamp <= now else "in less than a minute"
    number = round(distance / length)
    phrase = f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{phrase} ago" if timestamp <= now else f"in {phrase}"


def expiry(timestamp: str | None) -> object:
    """When something expires, in words; trouble if it did, or will soon."""
    is_near = timestamp is not None and datetime.fromisoformat(timestamp) < datetime.now(UTC) + EXPIRY_WARNING_PERIOD
    return Trouble(relative_time(timestamp)) if is_near else relative_time(timestamp)


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal that understands escape sequences."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def red(text: str) -> str:
    """A text in red, if standard output is a terminal and NO_COLOR (no-color.org) is not set."""
    is_colored = is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")
    return f"{RED}{text}{DEFAULT_COLOR}" if is_colored else text


def _terminal_width(stream: TextIO) -> int | None:
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _cell(value: object, width: int) -> str:
    text = cut(printable(value), width)
    return _colored(value, text) + " " * (width - display_width(text))


def _colored(value: object, text: str) -> str:
    return red(text) if isinstance(value, Trouble) and value.value is not None else text


def _walk(body: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in body.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
