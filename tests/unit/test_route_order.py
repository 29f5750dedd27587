"""The host asks functions in the order of their names: of two routes that fit one request, the specific one is first.

`shared/http/routes.py` makes the names; what is said here of routes does not use it.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.http.routes import function_name
from tests.app_routes import HttpFunction, http_functions

CONSTRAINTS = {"int": r"[+-]?\d{1,10}", "alpha": "[a-z]+"}
WORDS = ["a", "b", "zz"]


@st.composite
def two_routes_of_a_path(draw: st.DrawFn) -> tuple[str, str]:
    """Two templates that fit the same path and differ in the kind of a segment."""
    path = draw(st.lists(st.sampled_from(WORDS), max_size=4))
    one, other = (draw(templates_of(path)) for _ in range(2))
    assume(kinds(one) != kinds(other))
    return one, other


def templates_of(path: list[str]) -> st.SearchStrategy[str]:
    """A segment: a literal, a parameter, or a catch-all at the end."""
    each = [st.sampled_from([word, word.upper(), "{id}", "{account}", "{w:alpha}"]) for word in path]
    ends = st.sampled_from([[], ["{id?}"], ["{n:int?}"], ["{*rest}"]])
    whole = st.tuples(st.tuples(*each), ends).map(lambda parts: [*parts[0], *parts[1]])
    cut = st.tuples(st.tuples(*each), st.integers(0, len(path))).map(lambda two: [*two[0][: two[1]], "{*rest}"])
    return (whole | cut).map("/".join)


def kind(segment: str) -> int:
    """A sort key: more specific segments come first."""
    if not segment.startswith("{"):
        return 1
    return 5 if "*" in segment else 4 if "?" in segment else 2 if ":" in segment else 3


def fit_together(one: str, other: str) -> bool:
    """Whether there is text that fits both segments."""
    literal, parameter = sorted((one, other), key=kind)
    if kind(parameter) == 1:
        return literal.lower() == parameter.lower()
    constraint = re.search(r":(\w+)", parameter)
    return (
        kind(literal) > 1
        or constraint is None
        or bool(re.fullmatch(CONSTRAINTS[constraint[1]], literal, re.IGNORECASE))
    )


def overlap(one: list[str], other: list[str]) -> bool:
    """Whether there is a path that fits both templates."""
    if any(segments and kind(segments[0]) == 5 for segments in (one, other)):
        return True
    if not one or not other:
        return all(kind(segment) == 4 for segment in (*one, *other))
    return fit_together(one[0], other[0]) and overlap(one[1:], other[1:])


def segments(template: str) -> list[str]:
    return template.split("/") if template else []


def kinds(template: str) -> list[int]:
    return [kind(segment) for segment in segments(template)]


def comes_before(one: str, other: str) -> bool:
    """In the host's order, under any rule of sorting that ignores case."""
    return one.lower() < other.lower() and one.upper() < other.upper()


def check_pairs(functions: Iterable[HttpFunction]) -> int:
    """Fail if the general route of a pair comes first. Returns how many pairs share a request."""
    pairs = [
        sorted(pair, key=lambda one: kinds(one.template))
        for pair in combinations(functions, 2)
        if not all(one.methods for one in pair) or pair[0].methods & pair[1].methods
    ]
    sharing = [pair for pair in pairs if overlap(segments(pair[0].template), segments(pair[1].template))]
    for special, general in sharing:
        assert kinds(special.template) != kinds(general.template), (
            f"{special.name} and {general.name} answer the same requests, and neither route is more specific"
        )
        assert comes_before(special.name, general.name), (
            f"{general.name} on /{general.template} takes requests from {special.name} on /{special.template}: the host"
            " asks functions in the order of their names, so the one with the more specific route has to sort first"
        )
    return len(sharing)


def test_the_more_specific_of_two_routes_gets_the_request() -> None:
    functions = http_functions()

    shared = check_pairs(functions)

    assert shared >= len(functions) - 1, "the route that comes last shares requests with all others"
    assert "{*path}" == max(functions, key=lambda one: one.name.lower()).template


def test_a_name_that_puts_a_catch_all_first_fails() -> None:
    functions = http_functions()
    last = next(one for one in functions if one.template == "{*path}")
    renamed = [replace(one, name="a_catch_all") if one == last else one for one in functions]

    with pytest.raises(AssertionError, match=r"a_catch_all on /\{\*path\} takes requests from http\d+_\w+ on /"):
        check_pairs(renamed)


def test_two_functions_for_the_same_requests_fail() -> None:
    twice = [HttpFunction(name, f"q/{{{name}}}", frozenset({"GET"})) for name in ("one", "other")]

    with pytest.raises(AssertionError, match="one and other answer the same requests"):
        check_pairs(twice)


@given(two_routes_of_a_path(), st.permutations(["a_first", "Z_last"]))
def test_names_are_in_order_for_any_two_routes(templates: tuple[str, str], handlers: list[str]) -> None:
    functions = [
        HttpFunction(function_name(template, handler), template, frozenset())
        for template, handler in zip(templates, handlers, strict=True)
    ]

    assert 1 == check_pairs(functions)


def test_names_are_valid_function_names() -> None:
    """Letters, digits, `_` and `-`, a letter first, 127 at most (azure-functions-host: Utility.IsValidFunctionName)."""
    names = [one.name for one in http_functions()]

    assert [] == [name for name in names if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,126}", name)]
    assert len(names) == len({name.lower() for name in names})
