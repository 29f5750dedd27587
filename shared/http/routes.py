"""HTTP routes. One declaration makes a route's trigger, its methods, and the name of its function.

The Functions host does not look for the most specific route: it asks functions in the order of their names, ignoring
case, and the first that fits has the request (azure-functions-host issues 3153 and 9876). So names begin with how
specific the route is, and no digit of that is ever written by hand.
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

    Where two routes fit one request, the first segment in which they differ in kind is a digit here, and the lower one
    is the more specific. Digits sort alike under every rule; the letters behind them decide nothing.
    """
    kinds = "".join(_kind(segment) for segment in template.split("/"))
    return f"http{kinds}{END}_{handler}"


@dataclass(frozen=True)
class Route:
    """What a function answers: its methods (none for any) and the template of its path."""

    methods: tuple[HTTPMethod, ...]
    template: str

    def fits(self, path: str) -> bool:
        """Whether this is the route of a path, as the host hands it over; one slash at the end means nothing."""
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
    """Constraints are left out: whether a method is wrong is the same for all values of a parameter."""
    return PATTERNS.get(_kind(segment), f"/{re.escape(segment)}")
