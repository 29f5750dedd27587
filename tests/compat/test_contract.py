"""EmailEngine's contract against the running app, and the table of it in docs/emailengine.md."""

import re

import httpx
import pytest

from infra.local.parts import ROOT
from tests.compat.conftest import World
from tests.compat.contract import CONTRACT
from tests.compat.promises import Promise, Route, Verdict, misfits, row

SERVED = [route for route in CONTRACT if route.promises]


@pytest.mark.parametrize("route", SERVED, ids=lambda route: route.route)
def test_what_the_contract_promises_holds(world: World, route: Route) -> None:
    wrong = [f"{promise.says}: {misfit}" for promise in route.promises for misfit in check(world, route, promise)]

    assert [] == wrong


def check(world: World, route: Route, promise: Promise) -> list[str]:
    """What is not as promised."""
    method, _, path = (promise.call or route.route).partition(" ")
    where = world.put_in(path) + (f"?{world.put_in(promise.query)}" if promise.query else "")
    sent = {"content": promise.raw} if promise.raw is not None else {"json": world.put_in(promise.body)}
    answer = world.call(method, where, promise.caller, **sent)
    if answer.status_code != promise.status:
        return [f"answered {answer.status_code}: {answer.text[:300]}"]
    headers = [
        misfit for name, one in (promise.headers or {}).items() for misfit in misfits(one, answer.headers.get(name))
    ]
    if promise.shape is object:
        return headers
    return headers + misfits(world.put_in(promise.shape), answer.json())


def test_what_is_left_out_is_not_there(api: httpx.Client) -> None:
    there = [
        route.route
        for route in CONTRACT
        if route.verdict is Verdict.LEFT_OUT
        for found in re.findall(r"(GET|POST|PUT|DELETE) (/\S+)", route.route)
        if api.request(found[0], found[1].strip(",").format(account="x", token="x"), json={}).status_code
        not in {404, 405}
    ]

    assert [] == there


def test_the_documentation_says_of_every_route_what_is_tested() -> None:
    section = (ROOT / "docs/emailengine.md").read_text()
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]

    assert [row(route) for route in CONTRACT] == rows
