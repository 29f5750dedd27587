"""Answers as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def printable(value: object) -> str:
    """As text that moves no cursor: names come from people whom nobody has to trust."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(printable, value)) or "-"
        case _:
            return "".join(letter if letter.isprintable() else "?" for letter in str(value))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be; the last one is not padded."""
    lines = [list(heads), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def leaves(body: Mapping[str, Any]) -> str:
    """Every value of an object on a line of its own, behind its path."""
    found = list(_leaves(body, ""))
    width = max((len(name) for name, _ in found), default=0)
    return "\n".join(f"{name.ljust(width)}  {printable(value)}" for name, value in found)


def _leaves(body: Mapping[str, Any], before: str) -> Iterator[tuple[str, object]]:
    for name, value in body.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value
