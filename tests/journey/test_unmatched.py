"""Requests that no route matches are answered: unknown paths, wrong methods, HEAD and OPTIONS."""

import re
from collections.abc import Iterator

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Page
from tests.app_routes import http_functions, operations
from tests.journey.conftest import code_of

PATHS = sorted({one.template for one in http_functions() if one.methods})
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


@pytest.fixture(scope="module")
def client(environment: Environment) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=environment.base_url) as opened:
        yield opened


def filled(template: str) -> str:
    return "/" + re.sub(r"{\w+}", "x", template)


def allowed(template: str) -> set[str]:
    return {"OPTIONS"}.union(*(one.methods for one in http_functions() if one.template == template))


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/account/x/y/z", "/v1", "/v1//accounts", "/robots.txt", "/x/"])
def test_unknown_path_is_answered_in_the_error_shape(client: httpx.Client, path: str) -> None:
    for method in set(METHODS) - {"HEAD"}:
        answer = client.request(method, path)

        told = {
            "statusCode": 404,
            "error": "Not Found",
            "message": "There is no such route. Check the address",
            "code": "NotFound",
        }
        assert (404, told) == (answer.status_code, answer.json())
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Correlation-Id"])


@pytest.mark.parametrize("template", PATHS)
def test_wrong_method_is_answered_with_the_right_ones(client: httpx.Client, template: str) -> None:
    for method in set(METHODS) - allowed(template):
        answer = client.request(method, filled(template))

        assert 405 == answer.status_code
        assert allowed(template) == {*answer.headers["Allow"].split(", ")}
        if method != "HEAD":
            assert "MethodNotAllowed" == answer.json()["code"]


@pytest.mark.parametrize("template", PATHS)
def test_options_lists_methods_and_allows_no_origin(client: httpx.Client, template: str) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}

    answer = client.options(filled(template), headers=asked)

    assert (204, b"") == (answer.status_code, answer.content)
    assert allowed(template) == {*answer.headers["Allow"].split(", ")}
    assert [] == [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    ("method", "path", "accept", "code"),
    [
        ("GET", "/nowhere", "text/html,application/xhtml+xml;q=0.9", "NotFound"),
        ("POST", "/", "text/html", "MethodNotAllowed"),
        ("GET", "/accounts/old", "text/html", "NotFound"),
        ("PUT", "/accounts/new", "text/html", "MethodNotAllowed"),
        ("PATCH", "/oauth", "text/html, */*", "MethodNotAllowed"),
        ("POST", "/docs", "text/html", "MethodNotAllowed"),
    ],
)
def test_person_gets_a_page_for_an_unknown_path(
    client: httpx.Client, method: str, path: str, accept: str, code: str
) -> None:
    answer = client.request(method, path, headers={"Accept": accept})

    assert code == code_of(Page(answer))
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert ("Allow" in answer.headers) is (code == "MethodNotAllowed")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png"])
def test_client_that_takes_no_page_gets_the_error_shape(client: httpx.Client, accept: str) -> None:
    answers = [client.get(path, headers={"Accept": accept}) for path in ("/accounts/old", "/oauth/x", "/nowhere")]
    answers.append(client.put("/accounts/new", headers={"Accept": accept}))

    assert [*["NotFound"] * 3, "MethodNotAllowed"] == [answer.json()["code"] for answer in answers]


def test_api_answers_browsers_in_the_error_shape(client: httpx.Client) -> None:
    assert "NotFound" == client.get("/v1/nothing", headers={"Accept": "text/html"}).json()["code"]


def test_unknown_path_reads_no_token_and_repeats_nothing(client: httpx.Client) -> None:
    answer = client.get("/v1/secret-word", headers={"Authorization": "Bearer " + "x" * 64})

    assert 404 == answer.status_code
    assert "secret-word" not in answer.text


@pytest.mark.parametrize("route", [one for one in operations() if one.startswith(("POST ", "PUT "))])
def test_chunked_body_is_refused_for_its_missing_length(api: httpx.Client, route: str) -> None:
    """Such a body arrives as an empty one: never `invalid JSON`, nor a form with nothing in it."""
    method, path = route.split(" ")

    answer = api.request(method, filled(path), content=iter([b"{}"]), headers={"Content-Type": "application/json"})

    assert "chunked" == answer.request.headers["Transfer-Encoding"]
    assert 411 == answer.status_code
    codes = {"v1": lambda: answer.json()["code"], "v1.0": lambda: answer.json()["error"]["code"]}
    assert "LengthRequired" == codes.get(path.partition("/")[0], lambda: code_of(Page(answer)))()
