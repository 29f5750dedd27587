"""HTTP triggers of the local host, tested with the sample app."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.parts import Part
from tests.local.sample_host import ONLY_BY_HAND, sample_host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with sample_host(tmp_path_factory.mktemp("host"), ONLY_BY_HAND) as part:
        yield part


@pytest.fixture
def client(host: Part) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.ready["url"]) as client:
        yield client


def raw(host: Part, request: str) -> str:
    """Send raw bytes and read the whole response."""
    address = urlsplit(host.ready["url"])
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_indexed_functions_are_listed(host: Part) -> None:
    assert {"echo", "any_thing", "every_second", "once_a_year"} <= set(host.ready["functions"])


@pytest.mark.parametrize(
    ("path", "by"),
    [("special", "any"), ("SPECIAL/", "any"), ("17", "any"), ("special/17", "number"), ("special/1x", "word")],
)
def test_first_function_by_name_wins_in_any_case(client: httpx.Client, path: str, by: str) -> None:
    assert by == client.get(f"/Things/{path}").json()["by"]


def test_method_without_a_route_is_not_found(client: httpx.Client) -> None:
    response = client.delete("/things/special")

    assert (404, b"") == (response.status_code, response.content)


def test_method_selects_among_matching_routes(client: httpx.Client) -> None:
    assert {"by": "put", "body": "x"} == client.put("/things/special", content="x").json()


@pytest.mark.parametrize(
    ("path", "status"), [("/things/17", 200), ("/nowhere", 404), ("/with-key", 401), ("/fails", 500)]
)
def test_custom_headers_are_on_every_response(client: httpx.Client, path: str, status: int) -> None:
    response = client.get(path)

    assert status == response.status_code
    assert ("host", "host") == (response.headers["x-sample"], response.headers["location"])


@pytest.mark.parametrize(("size", "status"), [(5000, 200), (5001, 500)])
def test_body_over_the_limit_does_not_reach_a_function(client: httpx.Client, size: int, status: int) -> None:
    response = client.post("/echo/x", content=b"a" * size)

    assert (status, status == 200) == (response.status_code, bool(response.content))


def test_function_header_overrides_custom_header(client: httpx.Client) -> None:
    response = client.get("/cookies")

    assert ["https://elsewhere.example/?a=1"] == response.headers.get_list("location")


@pytest.mark.parametrize("path", ["/", "/things", "/things/1/2/3", "/api/things/1", "/pages/1/2", "/coo%E2%84%AAies"])
def test_path_without_a_route_is_not_found(client: httpx.Client, path: str) -> None:
    assert 404 == client.get(path).status_code


def test_route_parameters_arrive_decoded_except_for_slashes(client: httpx.Client) -> None:
    seen = client.get("/echo/caf%C3%A9%20a%2Fb/c%2Bd").json()

    assert {"rest": "café a%2Fb/c+d"} == seen["params"]
    assert seen["url"].endswith("/echo/caf%C3%A9%20a%2Fb/c+d")


def test_optional_parameter_can_be_missing(client: httpx.Client) -> None:
    assert ["page one äöü", "page 2 äöü"] == [client.get(path).text for path in ("/pages", "/pages/2")]


def test_text_result_is_plain_text(client: httpx.Client) -> None:
    assert "text/plain; charset=utf-8" == client.get("/pages").headers["content-type"]


def test_repeated_query_values_are_joined_without_empty_ones(client: httpx.Client) -> None:
    assert {"a": "1,2", "b": "x y"} == client.get("/echo/?a=1&a=2&b=x+y&c=&d").json()["query"]


def test_repeated_headers_are_joined(client: httpx.Client) -> None:
    response = client.get("/echo/", headers=[("X-Thing", "1"), ("x-thing", "2")])

    assert "1,2" == response.json()["headers"]["x-thing"]


def test_body_with_a_length_arrives(client: httpx.Client) -> None:
    assert "häuser" == client.post("/echo/", content="häuser").json()["body"]


def test_body_without_a_length_is_dropped(client: httpx.Client) -> None:
    """The real host drops chunked bodies."""
    assert "" == client.post("/echo/", content=iter([b"chunk"])).json()["body"]


def test_cookies_are_set_on_a_redirect(client: httpx.Client) -> None:
    response = client.get("/cookies")

    assert (302, "https://elsewhere.example/?a=1") == (response.status_code, response.headers["location"])
    assert [
        "__Host-one=1; domain=; path=/; secure; samesite=none; httponly",
        "two=2; expires=Tue, 24 Nov 2026 10:00:00 GMT; max-age=60; domain=; path=/two",
    ] == response.headers.get_list("set-cookie")


def test_exception_becomes_an_empty_500_and_is_logged(client: httpx.Client, host: Part) -> None:
    response = client.get("/fails")

    assert (500, b"") == (response.status_code, response.content)
    assert "ERROR infra.local.host.worker function failed function=fails invocation_id=" in host.log.read_text()
    assert "    ValueError: asked for with GET" in host.log.read_text()


def test_function_timeout_becomes_an_empty_500(client: httpx.Client, host: Part) -> None:
    response = client.get("/slow", params={"seconds": 30})

    assert (500, b"") == (response.status_code, response.content)
    assert "function timed out function=slow" in host.log.read_text()


@pytest.mark.parametrize(
    ("path", "keys", "status"),
    [
        ("/with-key", {}, 401),
        ("/with-key", {"header": "wrong"}, 401),
        ("/with-key", {"header": "function"}, 200),
        ("/with-key", {"code": "function"}, 200),
        ("/with-key", {"header": "master"}, 200),
        ("/with-key", {"header": "wrong", "code": "function"}, 401),
        ("/with-key", {"header": "function", "code": "wrong"}, 200),
        ("/for-admins", {"header": "function"}, 401),
        ("/for-admins", {"code": "master"}, 200),
    ],
)
def test_keys_open_their_levels(client: httpx.Client, host: Part, path: str, keys: dict[str, str], status: int) -> None:
    values = {place: host.ready["keys"].get(key, key) for place, key in keys.items()}
    headers = {"x-functions-key": values["header"]} if "header" in values else {}
    params = {"code": values["code"]} if "code" in values else {}
    response = client.get(path, headers=headers, params=params)

    assert (status, status == 401) == (response.status_code, response.content == b"")


def test_disabled_function_is_not_found(client: httpx.Client) -> None:
    assert 404 == client.get("/off").status_code


def test_log_lines_have_fields_and_cannot_be_forged(client: httpx.Client, host: Part) -> None:
    client.get("/logs", params={"said": 'a "b"\nERROR forged'})

    assert r'INFO sample thing happened thing_id=t1 said="a \"b\"\nERROR forged"' in host.log.read_text()


def test_request_without_host_header_gets_a_response(host: Part) -> None:
    response = raw(host, "GET /things/special HTTP/1.0\n\n")

    assert response.startswith("HTTP/1.1 200 ")
