"""Limits of the local host: concurrent requests, and sizes of requests."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.parts import Part
from tests.local.sample_host import APP, sample_host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    with sample_host(tmp_path_factory.mktemp("host")) as part:
        yield part


def status(host: Part, head: bytes) -> int:
    """The status that answers a request that begins so, and ends with an empty line."""
    address = urlsplit(host.ready["url"])
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n")
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    match = re.match(rb"HTTP/1.1 (\d{3}) ", response)
    assert match is not None
    return int(match[1])


@pytest.mark.parametrize(("length", "expected"), [(8192, 200), (8193, 414), (200_000, 414)])
def test_request_line_over_8192_bytes_is_rejected(host: Part, length: int, expected: int) -> None:
    rest = b"GET /echo/?q= HTTP/1.1\r\n"
    line = rest.replace(b"=", b"=" + b"x" * (length - len(rest)))

    assert expected == status(host, line + b"Host: app.example\r\n")


@pytest.mark.parametrize(("count", "expected"), [(98, 200), (99, 431)])
def test_more_than_a_hundred_headers_are_rejected(host: Part, count: int, expected: int) -> None:
    fields = b"".join(b"X-%d: 1\r\n" % number for number in range(count))

    assert expected == status(host, b"GET /echo/ HTTP/1.1\r\nHost: app.example\r\n" + fields)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /echo/ HTTP/1.1\r\n",
        b"GET echo/ HTTP/1.1\r\nHost: app.example\r\n",
        b"GET /echo/ HTTP/1.1\r\nHost: app.example\r\nX-A: \xff\r\n",
        b"GET ftp://app.example/echo/ HTTP/1.1\r\nHost: app.example\r\n",
        b"GET http://[x/echo/ HTTP/1.1\r\nHost: app.example\r\n",
        b"nothing\r\n",
    ],
)
def test_invalid_http_is_rejected(host: Part, head: bytes) -> None:
    assert 400 == status(host, head)


async def test_outstanding_requests_wait_and_further_ones_get_429(tmp_path: Path) -> None:
    """Three can run, two more can wait."""
    limits = {"routePrefix": "", "maxConcurrentRequests": 3, "maxOutstandingRequests": 5}
    (tmp_path / "function_app.py").write_text((APP / "function_app.py").read_text())
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {"http": limits}}))
    with sample_host(tmp_path, app=tmp_path) as host:
        async with httpx.AsyncClient(base_url=host.ready["url"]) as client:
            slow = [client.get("/slow", params={"seconds": 1}) for _ in range(8)]
            answers = [await response for response in asyncio.as_completed(slow)]
            after = await client.get("/runs")

    assert [429] * 3 + [200] * 5 == [response.status_code for response in answers]
    # Those that waited took two seconds of sleep.
    assert 2 == sum(response.elapsed.total_seconds() >= 2 for response in answers)
    assert 200 == after.status_code
