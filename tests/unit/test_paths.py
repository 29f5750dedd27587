"""Each request reaches the function whose description matches its path, or the one that answers 404 and 405."""

import asyncio
import json
import re
from collections.abc import Mapping

import azure.functions as func
import pytest
from hypothesis import given, settings

from infra.local.host.paths import read_path
from infra.local.host.routing import read_route
from shared.http.operations import Operation
from tests.app_routes import HttpFunction, http_functions
from tests.paths import OPERATIONS, belongs_to_the_host, is_utf8, named_by, requests

# The host's order (tests/unit/test_route_order.py).
FUNCTIONS = [(one, read_route("", one.template)) for one in sorted(http_functions(), key=lambda one: one.name.upper())]
OPTIONS = "OPTIONS"


def answering(method: str, target: str) -> tuple[HttpFunction | None, Mapping[str, str]]:
    """The function that the host gives a request to, and the parameters of its route."""
    path = read_path(target)
    for function, route in FUNCTIONS:
        parameters = route.match(path)
        if parameters is not None and (not function.methods or method in function.methods):
            return function, parameters
    return None, {}


def answer_of(function: HttpFunction, method: str, parameters: Mapping[str, str]) -> func.HttpResponse:
    assert function.handler is not None
    request = func.HttpRequest(method, "https://app.example/", route_params=parameters, body=b"")
    response = asyncio.run(function.handler(request))
    assert isinstance(response, func.HttpResponse)
    return response


@settings(max_examples=1000)
@given(requests())
def test_path_reaches_the_operation_that_it_names_and_no_other(request: tuple[str, str]) -> None:
    method, target = request
    function, parameters = answering(method, target)

    named = named_by(method, target)
    if named.operation is None:
        assert function is None or "{*path}" == function.template
        assert (function is None) is belongs_to_the_host(target)
        return
    assert function is not None
    assert named.operation.handler.__name__ == function.name.partition("_")[2]
    known = {name: value for name, value in named.parameters.items() if is_utf8(value)}
    assert known == {name: value for name, value in parameters.items() if name in known}
    assert named.parameters.keys() == parameters.keys()


@given(requests())
def test_other_paths_and_methods_are_answered_in_the_error_shape(request: tuple[str, str]) -> None:
    method, target = request
    function, parameters = answering(method, target)
    if function is None or function.template != "{*path}":
        return

    response = answer_of(function, method, parameters)

    methods = named_by(method, target).methods
    expected = 404 if not methods else 204 if method == OPTIONS else 405
    assert expected == response.status_code
    assert (methods | {OPTIONS} if methods else {""}) == {*response.headers.get("Allow", "").split(", ")}
    if expected != 204:
        body = json.loads(response.get_body())
        assert {"statusCode", "error", "message", "code"} == body.keys()
        assert expected == body["statusCode"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_is_named_by_its_own_path(operation: Operation) -> None:
    """So that the properties above are about operations, and not only about unknown paths."""
    target = re.sub(r"{\w+}", "x", operation.path)

    assert operation is named_by(operation.method, target).operation
    assert None is named_by("PATCH", target).operation


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/v1/account/x%2Foauth-token", "GetAccount"),
        ("/V1/Account/x/OAuth-Token/", "GetAccessToken"),
        ("/v1/account/x/%2e%2e/y", "GetAccount"),
        ("/v1/account/x/%252e%252e/y", None),
        ("/v1/account/x;/oauth-token", "GetAccessToken"),
        ("/v1/account/x\\oauth-token", "GetAccount"),
        ("/v1/account//oauth-token", None),
        ("/v1//accounts", None),
        ("/v1/accounts//", None),
        ("/v1%2Faccounts", None),
        ("/v1/to%E2%84%AAens", None),
        ("/v1/token%C5%BF", None),
        ("//v1/accounts", None),
        ("/v1/../health", "GetHealth"),
    ],
)
def test_examples_name_what_a_reader_expects(target: str, name: str | None) -> None:
    operation, (function, _) = named_by("GET", target).operation, answering("GET", target)

    assert name == (operation.name if operation else None)
    handler = operation.handler.__name__ if operation else "answer_unmatched"
    assert function.name.endswith(f"_{handler}") if function else belongs_to_the_host(target)
