"""Sealed text that is too long for one property, kept in several: `name`, `name__2`, `name__3` and so on.

Names of properties follow the rules for identifiers of C# (Understanding the Table service data model).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.domain.errors import NotStorable

# A string property takes 64 KiB of UTF-16 (Understanding the Table service data model); sealed text is ASCII.
MAX_PROPERTY_CHARACTERS = 32 * 1024
# A row takes 1 MiB (as above): so many parts of the three secrets of a grant leave a quarter of it to the rest.
MAX_PARTS = 4


def parted(name: str, sealed: str) -> dict[str, str]:
    """The properties that hold the text, in their order; one where it fits. Raises NotStorable for too many."""
    starts = range(0, max(len(sealed), 1), MAX_PROPERTY_CHARACTERS)
    if len(starts) > MAX_PARTS:
        raise NotStorable
    names = [name, *(f"{name}__{number}" for number in range(2, len(starts) + 1))]
    return {part: sealed[start : start + MAX_PROPERTY_CHARACTERS] for part, start in zip(names, starts, strict=True)}


def whole(entity: Mapping[str, Any], name: str) -> str:
    """The text that was parted. What is missing or mixed up does not open, because it is sealed as one."""
    return "".join(str(entity[part]) for part in _parts(entity, name))


def _parts(entity: Mapping[str, Any], name: str) -> Iterator[str]:
    part, number = name, 2
    while part in entity:
        yield part
        part, number = f"{name}__{number}", number + 1
