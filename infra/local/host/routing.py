"""Route templates of HTTP triggers and the choice among them, as ASP.NET Core makes it.

https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from infra.local.host.settings import HostError

PARAMETER = re.compile(r"\{(?P<star>\**)(?P<name>\w+)(?::(?P<constraint>\w+))?(?P<optional>\?)?\}")
CONSTRAINTS: Final = {
    "int": re.compile(r"[+-]?\d{1,10}"),
    "long": re.compile(r"[+-]?\d{1,19}"),
    "guid": re.compile(r"(?i)[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}"),
    "alpha": re.compile(r"(?i)[a-z]+"),
    "bool": re.compile(r"(?i)true|false"),
}
ENCODED_SLASH = re.compile("(%2f)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a template: literal text, or a parameter."""

    text: str
    is_parameter: bool = False
    constraint: str | None = None
    optional: bool = False
    rest: bool = False

    @property
    def rank(self) -> int:
        """Its place in the order of choice: literal, constrained parameter, parameter, rest of the path."""
        if not self.is_parameter:
            return 0
        return 3 if self.rest else 1 if self.constraint else 2

    def accepts(self, value: str) -> bool:
        """Tell whether one decoded segment of a path fits."""
        if not self.is_parameter:
            return value.lower() == self.text.lower()
        return self.constraint is None or CONSTRAINTS[self.constraint].fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Route:
    """A template, ready to match; the lower its rank, the sooner it is asked."""

    segments: tuple[Segment, ...]

    @property
    def rank(self) -> tuple[int, ...]:
        """Order of choice, segment by segment."""
        return tuple(segment.rank for segment in self.segments)

    def match(self, path: list[str]) -> dict[str, str] | None:
        """Parameters of a path that fits, given as decoded segments; None when it does not fit."""
        found: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            here = path[position:]
            if segment.rest:
                return {**found, segment.text: "/".join(here)}
            if not here:
                return found if segment.optional else None
            if not segment.accepts(here[0]):
                return None
            if segment.is_parameter:
                found[segment.text] = here[0]
        return found if len(path) <= len(self.segments) else None


def read_route(template: str) -> Route:
    """Read a template such as `v1/account/{account}`. Raises HostError for what this host does not know."""
    return Route(tuple(_segment(part, template) for part in template.strip("/").split("/") if part))


def split_path(raw_path: str) -> list[str]:
    """Split a request's path, as it was sent, into decoded segments; one slash at its end means nothing.

    `%2F` stays as it is: Kestrel, the real host's web server, does not decode it.
    """
    path = raw_path.removeprefix("/").removesuffix("/")
    return [_decode(part) for part in path.split("/")] if path else []


def _decode(part: str) -> str:
    pieces = ENCODED_SLASH.split(part)
    return "".join(piece if index % 2 else unquote(piece) for index, piece in enumerate(pieces))


def _segment(part: str, template: str) -> Segment:
    if "{" not in part and "}" not in part:
        return Segment(part)
    found = PARAMETER.fullmatch(part)
    if not found or found["constraint"] not in {None, *CONSTRAINTS}:
        raise HostError(f"route {template!r}: this host does not understand {part!r}")
    return Segment(found["name"], True, found["constraint"], bool(found["optional"]), bool(found["star"]))  # noqa: FBT003 - in the class's order
