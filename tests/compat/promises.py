"""How the contract is written down: routes, verdicts, and what each call promises."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

type Shape = Any
"""What an answer has to look like.

A type, a pattern that matches a text whole, a tuple of alternatives, a list of one shape for all elements, a mapping of
fields that have to be there, a frozen set of what is told to be wrong, or else the very value.
"""


class Verdict(StrEnum):
    SAME = "same"
    BETTER = "better"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Promise:
    """One thing that EmailEngine's contract says of a route, and that has to hold here.

    `{account}` and the like stand for what the world of the tests holds. `call` is another method and path than
    the route's. `caller` is who calls.
    """

    says: str
    status: int = 200
    shape: Shape = object
    body: Any = None
    query: str = ""
    call: str = ""
    caller: str = "administrator"
    headers: Mapping[str, Shape] | None = None
    raw: bytes | None = None


@dataclass(frozen=True)
class Route:
    """A route of the contract; `why` says how it is better, or why it is left out."""

    route: str
    verdict: Verdict
    why: str
    promises: tuple[Promise, ...] = ()


def same(route: str, why: str, *promises: Promise) -> Route:
    return Route(route, Verdict.SAME, why, promises)


def better(route: str, why: str, *promises: Promise) -> Route:
    return Route(route, Verdict.BETTER, why, promises)


def left_out(route: str, why: str) -> Route:
    return Route(route, Verdict.LEFT_OUT, why)


def misfits(shape: Shape, found: Any, where: str = "") -> list[str]:
    """Where an answer is not of the shape; nothing when it is."""
    match shape:
        case re.Pattern():
            fits = isinstance(found, str) and shape.fullmatch(found) is not None
        case type():
            fits = isinstance(found, shape) and not (shape is int and isinstance(found, bool))
        case tuple():
            fits = any(not misfits(one, found) for one in shape)
        case frozenset():
            fits = isinstance(found, list) and shape == {one["key"] for one in found if one["message"]}
        case list():
            if isinstance(found, list):
                return [misfit for n, one in enumerate(found) for misfit in misfits(shape[0], one, f"{where}[{n}]")]
            fits = False
        case dict():
            if isinstance(found, dict):
                missing = [f"{where}.{name} is missing" for name in shape.keys() - found.keys()]
                wrong = [misfits(shape[name], found[name], f"{where}.{name}") for name in shape.keys() & found.keys()]
                return [*missing, *(misfit for each in wrong for misfit in each)]
            fits = False
        case _:
            fits = found == shape
    return [] if fits else [f"{where or 'the answer'} is {found!r}"]


def row(route: Route) -> str:
    """A route as the table in docs/emailengine.md has it."""
    name = f"`{route.route}`" if route.route.split(" ")[0].isupper() and "," not in route.route else route.route
    return f"| {name} | {route.verdict} | {route.why} |"
