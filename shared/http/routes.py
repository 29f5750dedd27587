"""HTTP routes: the path template, the methods, and the name of the function.

The Functions host does not choose the most specific route. It tries functions in the order of their names, ignoring
case, and the first match gets the request (azure-functions-host issues 3153 and 9876). So each name begins with digits
that rank its route by how specific it is.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from http import HTTPMethod

# https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
# The kinds of segments, the most specific with the lowest digit.
CATCH_ALL, OPTIONAL, PARAMETER, CONSTRAINED, LITERAL, END = "5", "4", "3", "2", "1", "0"
PATTERNS = {CATCH_ALL: "(?:/.*)?", OPTIONAL: "(?:/[^/]+)?", PARAMETER: "/[^/]+", CONSTRAINED: "/[^/]+"}


def function_name(template: str, handler: str) -> str:
    """A function's name, such as `http1130_get_account`: one digit for each segment of its route, then the handler.

    If two routes match one request, the first segment of different kinds gives different digits, and the lower digit is
    the more specific kind. Digits sort the same way under every collation; the letters after them decide nothing.
    """
    kinds = "".join(_kind(segment) for segment in template.split("/"))
    return f"http{kinds}{END}_{handler}"


@dataclass(frozen=True)
class Route:
    """The methods of a function (none for any) and the template of its path."""

    methods: tuple[HTTPMethod, ...]
    template: str

    def fits(self, path: str) -> bool:
        """Whether a path, as the host passes it, matches this route. One trailing slash is ignored."""
        return self._pattern.fullmatch("/" + path.removesuffix("/")) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pattern = "".join(map(_pattern_of, self.template.split("/")))
        return re.compile(pattern, re.IGNORECASE | re.ASCII | re.DOTALL)


def _kind(segment: str) -> str:
    if "{" not in segment:
        return LITERAL
    if "{*" in segment:
        return CATCH_ALL
    if segment.endswith("?}"):
        return OPTIONAL
    return CONSTRAINED if ":" in segment or not (segment.startswith("{") and segment.endswith("}")) else PARAMETER


def _pattern_of(segment: str) -> str:
    """Constraints are ignored: a wrong method is wrong for every value of a parameter."""
    return PATTERNS.get(_kind(segment), f"/{re.escape(segment)}")
