"""Route templates of HTTP triggers, matched as in ASP.NET Core.

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
RESERVED_PREFIXES = ("admin", "runtime")  # the host's own routes


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
    """One segment of a template: literal text, or a parameter. A catch-all parameter takes the rest of the path."""

    text: str
    is_parameter: bool = False
    constraint: str | None = None
    is_optional: bool = False
    is_catch_all: bool = False

    def accepts(self, value: str) -> bool:
        """Whether a decoded segment of a path matches. A parameter does not match an empty segment."""
        if not self.is_parameter:
            # .NET compares ordinally: only ASCII letters equal ASCII ones, and the Kelvin sign is no `k`.
            return value.lower() == self.text.lower() and value.isascii() == self.text.isascii()
        return bool(value) and (self.constraint is None or CONSTRAINTS[self.constraint](value))


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed template."""

    segments: tuple[Segment, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a decoded path; None if the path does not match.

        A trailing slash is ignored, except by a catch-all parameter. A parameter that matched nothing is left out.
        """
        parts = [] if path == "/" else path.removesuffix("/").split("/")[1:]
        parameters: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if position == len(parts):
                return parameters if segment.is_optional or segment.is_catch_all else None
            if not segment.accepts(parts[position]):
                return None
            if segment.is_catch_all:
                return {**parameters, segment.text: path.split("/", position + 1)[-1]}
            if segment.is_parameter:
                parameters[segment.text] = parts[position]
        return parameters if len(parts) <= len(self.segments) else None


def read_route(prefix: str, template: str) -> Route:
    """Parse a template such as `v1/account/{account}`.

    Raises FunctionInError for a reserved prefix, and HostError for syntax that this host does not support.
    """
    if template.strip("/").lower().startswith(RESERVED_PREFIXES):
        raise FunctionInError(f"route {template!r} conflicts with the host's own routes")
    return Route(tuple(_segment(part, template) for part in f"{prefix}/{template}".split("/") if part))


def _segment(part: str, template: str) -> Segment:
    if "{" not in part and "}" not in part:
        return Segment(part)
    match = PARAMETER.fullmatch(part)
    if not match or match["constraint"] not in {None, *CONSTRAINTS}:
        raise HostError(f"route {template!r}: this host does not support {part!r}")
    return Segment(
        match["name"],
        is_parameter=True,
        constraint=match["constraint"],
        is_optional=bool(match["optional"]),
        is_catch_all=bool(match["star"]),
    )
