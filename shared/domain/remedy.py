"""What happened and what to do, for each code and each of its readers; the texts are in remedies.toml."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Reader(StrEnum):
    """Who reads a text, and so what its action can be."""

    PERSON = "person"
    CALLER = "caller"
    OPERATOR = "operator"


class Remedy(NamedTuple):
    """A title, what happened and why, and what its reader can do. Plain sentences, no personal data."""

    title: str
    what: str
    action: str

    @property
    def message(self) -> str:
        """What happened and what to do, in one text."""
        return f"{self.what} {self.action}"


@cache
def remedies(reader: Reader) -> Mapping[str, Remedy]:
    """All texts for one reader, by code."""
    import tomllib  # noqa: PLC0415 - only failures need the texts

    rows = tomllib.loads(Path(__file__).with_name("remedies.toml").read_text("utf-8"))
    return {code: Remedy(title=row["title"], **row[reader]) for code, row in rows.items() if reader in row}


def remedy(code: str, reader: Reader) -> Remedy:
    """The text for a code; a code without one for this reader gets that of `unknown_failure`."""
    known = remedies(reader)
    return known.get(code, known["unknown_failure"])
