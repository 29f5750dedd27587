"""The local host compared with measurements of Microsoft's host, by the same bytes on the wire."""

import json
import re
import socket
from base64 import b64decode
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from infra.local.parts import ROOT, Part
from tests.local.sample_host import sample_host

APP = Path(__file__).parent / "functions_host"
REPEATED = re.compile(r"\{x \* (\d+)\}")
# The data leaves these out, and `Server` too unless the function sets it.
IGNORED_HEADERS = {"connection", "date"}
# The measurement used a worker that passes results on unchanged. Microsoft's Python worker fails a function that
# returns None, and turns Set-Cookie headers into cookies with a domain. docs/local.md lists these differences.
DIFFERENCES: dict[str, dict[str, Any]] = {
    "nothing": {"status": 500, "headers": [["Content-Length", "0"]]},
    "cookies": {
        "headers": [
            ["Content-Length", "0"],
            ["Set-Cookie", "__Host-a=1%3D2%2520%2F%2B%22; domain=; path=/; secure; samesite=none; httponly"],
            ["Set-Cookie", "b=x-_.~; max-age=60; domain=; path=/; samesite=lax"],
        ]
    },
    "a cookie as a header": {"headers": [["Content-Length", "0"], ["Set-Cookie", "z=9; domain=; path=/"]]},
}


def expanded(value: Any) -> Any:
    """A value of the data files with `{x * N}` replaced by N letters."""
    text = REPEATED.sub(lambda found: "x" * int(found[1]), json.dumps(value))
    return json.loads(text)


def cases(file: str, key: str) -> list[Any]:
    found = json.loads((APP / file).read_text())[key]
    return [pytest.param(expanded(case), id=case["name"]) for case in found]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with sample_host(tmp_path_factory.mktemp("host"), app=APP) as part:
        yield part


def request_bytes(request: dict[str, Any]) -> bytes:
    headers = [("Host", "app.example"), ("Connection", "close"), *request["headers"]]
    body = b64decode(request.get("body", ""))
    if request.get("chunked"):
        headers.append(("Transfer-Encoding", "chunked"))
        body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    elif body:
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{request['method']} {request['target']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + body


def exchange(host: Part, request: dict[str, Any]) -> tuple[HTTPResponse, bytes, str]:
    """Send the request. Returns the response, its body, and our address as the host sees it."""
    address = urlsplit(host.ready["url"])
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        client_address = ":".join(map(str, connection.getsockname()))
        connection.sendall(request_bytes(request))
        with HTTPResponse(connection, method=request["method"]) as response:
            response.begin()
            return response, response.read(), client_address


@pytest.mark.parametrize("case", cases("requests.json", "cases"))
def test_requests_reach_functions_as_on_the_real_host(host: Part, case: dict[str, Any]) -> None:
    response, body, client_address = exchange(host, case["request"])

    assert case["status"] == response.status
    if "worker" not in case:
        assert b"" == body
        return
    seen = json.loads(body)
    del seen["headers"]["connection"]
    # The front end of deployed apps, which the measured host did not have, appends the client's address.
    forwarded_for = [hop for hop in (case["worker"]["headers"].get("x-forwarded-for"), client_address) if hop]
    expected = case["worker"] | {"headers": case["worker"]["headers"] | {"x-forwarded-for": ",".join(forwarded_for)}}
    assert expected == seen


@pytest.mark.parametrize("case", cases("answers.json", "answers"))
def test_responses_are_those_of_the_real_host(host: Part, case: dict[str, Any]) -> None:
    target = f"/answers/{quote(case['name'])}"
    response, body, _ours = exchange(host, {"method": case["method"], "target": target, "headers": []})

    expected = case | DIFFERENCES.get(case["name"], {})
    headers = [(name.lower(), value) for name, value in response.getheaders() if name.lower() not in IGNORED_HEADERS]
    assert expected["status"] == response.status
    assert sorted((name.lower(), value) for name, value in expected["headers"]) == sorted(headers)
    assert b64decode(expected["body"]) == body


def test_documentation_lists_every_difference() -> None:
    rows = re.findall(r"(?m)^\| `(.+?)` \|", (ROOT / "docs/local.md").read_text())

    assert len(DIFFERENCES) <= 5
    assert sorted(DIFFERENCES) == sorted(rows)
