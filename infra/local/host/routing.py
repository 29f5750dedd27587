"""Route templates of HTTP triggers, matched as ASP.NET Core matches them.

https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from infra.local.host.settings import FunctionInError, HostError

PARAMETER = re.compile(r"\{(?P<star>\**)(?P<name>\w+)(?::(?P<constraint>\w+))?(?P<optional>\?)?\}")
NUMBER = re.compile(r"[+-]?[0-9]+")
GUID = re.compile(r"(?i)[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
RESERVED = ("admin", "runtime")  # the host's own


def _is_number(text: str, bits: int) -> bool:
    return NUMBER.fullmatch(text) is not None and -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1)


CONSTRAINTS: Final[dict[str, Callable[[str], bool]]] = {
    "int": lambda text: _is_number(text, 32),
    "long": lambda text: _is_number(text, 64),
    "guid": lambda text: GUID.fullmatch(text) is not None,
    "alpha": lambda text: text.isascii() and text.isalpha(),
    "bool": lambda text: text.lower() in {"true", "false"},
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a template: literal text, or a parameter."""

    text: str
    is_parameter: bool = False
    constraint: str | None = None
    optional: bool = False
    rest: bool = False

    def accepts(self, value: str) -> bool:
        """Tell whether one decoded segment of a path fits; an empty one never does."""
        if not self.is_parameter:
            return value.lower() == self.text.lower()
        return bool(value) and (self.constraint is None or CONSTRAINTS[self.constraint](value))


@dataclass(frozen=True, slots=True)
class Route:
    """A template, ready to match."""

    segments: tuple[Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """Parameters of a decoded path that fits; None when it does not fit.

        One slash at its end is ignored, except by a parameter for the rest of the path. A parameter that matched
        nothing is left out.
        """
        parts = [] if path == "/" else path.removesuffix("/").split("/")[1:]
        found: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if position == len(parts):
                return found if segment.optional or segment.rest else None
            if not segment.accepts(parts[position]):
                return None
            if segment.rest:
                return {**found, segment.text: path.split("/", position + 1)[-1]}
            if segment.is_parameter:
                found[segment.text] = parts[position]
        return found if len(parts) <= len(self.segments) else None


def read_route(prefix: str, template: str) -> Route:
    """Read a template such as `v1/account/{account}`.

    Raises FunctionInError for a reserved one, and HostError for what this host does not know.
    """
    if template.strip("/").lower().startswith(RESERVED):
        raise FunctionInError(f"route {template!r} conflicts with the host's own routes")
    return Route(tuple(_segment(part, template) for part in f"{prefix}/{template}".split("/") if part))


def _segment(part: str, template: str) -> Segment:
    if "{" not in part and "}" not in part:
        return Segment(part)
    found = PARAMETER.fullmatch(part)
    if not found or found["constraint"] not in {None, *CONSTRAINTS}:
        raise HostError(f"route {template!r}: this host does not understand {part!r}")
    return Segment(found["name"], True, found["constraint"], bool(found["optional"]), bool(found["star"]))  # noqa: FBT003 - in the class's order
