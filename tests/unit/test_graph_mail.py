"""Calls to Graph's mail arrive exactly as they were built, at most once, and their answers are bounded."""

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpcore
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters import graph_mail
from shared.adapters.connection_faults import ConnectionFaults
from shared.adapters.graph_mail import HttpGraphMail
from shared.domain.audit import set_correlation_id
from shared.domain.clouds import Cloud
from shared.domain.failure import GRAPH_SETUP, GRAPH_UNAVAILABLE
from shared.domain.secret import Secret
from shared.ports import AnswerLost, AnswerTooLarge, CallNotSent, GraphAnswer, GraphCall

PATH = "/v1.0/users/support@contoso.example/messages"
READ, SEND = GraphCall("GET", PATH), GraphCall("POST", f"{PATH}/1/send")
LIMIT = 100_000
NO_CLOUD = Cloud("", "", "")

type Send = Callable[[GraphCall], Awaitable[GraphAnswer]]
type Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answering(head: str, body: bytes = b"") -> Respond:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return respond


def aborting(start: bytes = b"") -> Respond:
    """Sends the beginning of an answer, then resets the connection."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        writer.transport.abort()

    return respond


async def ending(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def hanging(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()


@dataclass
class Graph:
    """A server over TLS that responds as it is told. `requests` are the bytes of each request."""

    respond: Respond
    cloud: Cloud = NO_CLOUD
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                self.requests.append(head + await reader.readexactly(length))
                await self.respond(writer)

    @property
    def target(self) -> str:
        return self.requests[-1].split(b" ")[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        head = self.requests[-1].partition(b"\r\n\r\n")[0].decode()
        return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


@pytest.fixture
async def graph(authority: trustme.CA) -> AsyncIterator[Graph]:
    graph, context = Graph(answering("200 OK", b"{}")), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(graph.serve, "127.0.0.1", 0, ssl=context)
    graph.cloud = Cloud("", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
    yield graph
    server.close()
    for writer in graph.writers:
        writer.transport.abort()


@pytest.fixture
def faults() -> ConnectionFaults:
    return ConnectionFaults(lambda: datetime(2026, 11, 29, tzinfo=UTC))


@pytest.fixture
async def mail(ca_file: str, faults: ConnectionFaults) -> AsyncIterator[HttpGraphMail]:
    mail = HttpGraphMail(ca_file, faults)
    yield mail
    await mail.close()


@pytest.fixture
def send(mail: HttpGraphMail, graph: Graph) -> Send:
    return lambda call: mail(graph.cloud, Secret("token"), call, LIMIT)


async def test_call_has_its_own_headers_and_ours_only(graph: Graph, send: Send) -> None:
    own = {"Prefer": "IdType=immutableid", "Content-Type": "application/json"}
    foreign = {"AUTHORIZATION": "Bearer theirs", "host": "elsewhere.example", "User-Agent": "theirs"}
    set_correlation_id("0123456789abcdef0123456789abcdef")
    await send(GraphCall("PATCH", f"{PATH}/1", "$select=id", own | foreign, b'{"isRead":true}'))
    set_correlation_id(None)

    assert graph.requests[-1].endswith(b'\r\n\r\n{"isRead":true}')
    assert f"{PATH}/1?$select=id" == graph.target
    assert {
        "prefer": "IdType=immutableid",
        "content-type": "application/json",
        "content-length": "15",
        "authorization": "Bearer token",
        "host": graph.cloud.graph.removeprefix("https://"),
        "user-agent": "Mailbind",
        "accept-encoding": "gzip",
        "client-request-id": "01234567-89ab-cdef-0123-456789abcdef",
    } == {name.lower(): value for name, value in graph.headers.items()}


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("DELETE", None), ("POST", "0"), ("PATCH", "0"), ("PUT", "0")]
)
async def test_request_without_a_body_says_so(graph: Graph, send: Send, method: str, length: str | None) -> None:
    await send(GraphCall(method, PATH))

    assert length == graph.headers.get("Content-Length")


@pytest.mark.parametrize(
    "path", ["/../../me", "/./x", "//x", "/%2e%2E/%2F%5c", "/a%00b", "/%zz", "/..;/x", "/a\\..\\b", "/a@b:c", "/a#b?c"]
)
async def test_path_is_sent_byte_for_byte(graph: Graph, send: Send, path: str) -> None:
    await send(GraphCall("GET", PATH + path, "$filter=a%20eq%20'/../'"))

    assert f"{PATH}{path}?$filter=a%20eq%20'/../'" == graph.target


@pytest.mark.parametrize(
    "call",
    [
        *(GraphCall("GET", PATH + text) for text in ("/a b", "/a\r\nX: y", "/ä", "/\0", "/\x7f")),
        *(GraphCall("GET", PATH, text) for text in ("a b", "a\nb", "ü")),
        *(GraphCall("GET", PATH, headers={"Prefer": text}) for text in ("a\r\nX: y", "a\0", "ä")),
        *(GraphCall("GET", PATH, headers={text: "a"}) for text in ("a b", "a:", "", "a\r\nb", "ä")),
        GraphCall("GET / HTTP/1.1\r\nX:", PATH),
    ],
)
async def test_what_is_no_http_is_not_sent(graph: Graph, send: Send, call: GraphCall) -> None:
    with pytest.raises((httpcore.LocalProtocolError, TypeError)):
        await send(call)

    assert [] == graph.requests


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(path=st.text(st.characters(codec="ascii")) | st.text("./%2eEfF\\@:#;x"))
async def test_any_path_arrives_unchanged_or_not_at_all(graph: Graph, send: Send, path: str) -> None:
    graph.requests.clear()
    with suppress(httpcore.LocalProtocolError):
        await send(GraphCall("GET", PATH + path))

    assert f"{PATH}{path}" == graph.target if path.isprintable() and " " not in path else not graph.requests


async def test_answer_is_passed_on_as_it_came(graph: Graph, send: Send) -> None:
    graph.respond = answering("404 Not Found\r\nRequest-Id: 1\r\nVary: A\r\nvary: B", b'{"error":{}}')

    status, headers, body = await send(READ)

    assert (404, "1", "A, B", b'{"error":{}}') == (status, headers["request-id"], headers["vary"], body)


async def test_redirect_is_an_answer(graph: Graph, send: Send) -> None:
    graph.respond = answering(f"302 Found\r\nLocation: {graph.cloud.graph}/elsewhere")

    assert 302 == (await send(READ)).status
    assert 1 == len(graph.requests)


async def test_cookies_are_not_sent_back(graph: Graph, send: Send) -> None:
    graph.respond = answering("200 OK\r\nSet-Cookie: a=b; Path=/; Secure", b"{}")

    await send(READ)
    await send(READ)

    assert 2 == len(graph.requests)
    assert b"cookie" not in graph.requests[1].lower()


async def test_compressed_answer_is_decompressed(graph: Graph, send: Send) -> None:
    graph.respond = answering("200 OK\r\nContent-Encoding: gzip", gzip.compress(b"x" * LIMIT))

    assert b"x" * LIMIT == (await send(READ)).body


async def test_compressed_answer_may_be_empty(graph: Graph, send: Send) -> None:
    graph.respond = answering("202 Accepted\r\nContent-Encoding: gzip")

    assert b"" == (await send(SEND)).body


@pytest.mark.parametrize(
    "respond",
    [
        endless,
        answering("200 OK", b"x" * (LIMIT + 1)),
        answering("200 OK\r\nContent-Encoding: gzip", gzip.compress(b"x" * (LIMIT + 1))),
    ],
)
async def test_answer_over_the_limit_is_not_read(graph: Graph, send: Send, respond: Respond) -> None:
    graph.respond = respond

    with pytest.raises(AnswerTooLarge):
        await send(READ)

    graph.respond = answering("200 OK", b"x" * LIMIT)
    assert LIMIT == len((await send(READ)).body)


async def test_memory_for_a_bomb_is_bounded(graph: Graph, send: Send) -> None:
    graph.respond = answering("200 OK\r\nContent-Encoding: gzip", gzip.compress(bytes(100_000_000)))
    tracemalloc.start()
    with pytest.raises(AnswerTooLarge):
        await send(READ)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 20 * LIMIT


@pytest.mark.parametrize(
    "respond",
    [
        aborting(),
        aborting(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        ending,
        answering("no status"),
        answering(f"200 OK\r\nX-Endless: {'x' * 1_000_000}"),
        answering("200 OK\r\nContent-Encoding: gzip", b"no gzip"),
        answering("200 OK\r\nContent-Encoding: gzip", gzip.compress(b"x" * 1000)[:-9]),
        answering("200 OK\r\nContent-Encoding: gzip", gzip.compress(b"x") * 2),
    ],
)
async def test_call_without_a_whole_answer_is_lost(graph: Graph, send: Send, respond: Respond) -> None:
    graph.respond = respond

    with pytest.raises(AnswerLost):
        await send(SEND)

    assert 1 == len(graph.requests)


async def test_call_is_lost_when_its_time_is_over(graph: Graph, ca_file: str, faults: ConnectionFaults) -> None:
    mail = HttpGraphMail(ca_file, faults, timeout_seconds=0.3)
    graph.respond = hanging

    with pytest.raises(AnswerLost):
        await mail(graph.cloud, Secret("token"), SEND, LIMIT)

    assert 1 == len(graph.requests)
    await mail.close()


async def test_closed_connection_does_not_lose_the_next_call(graph: Graph, send: Send) -> None:
    await send(SEND)
    await send(SEND)
    assert 1 == graph.connections

    graph.writers[0].close()
    await asyncio.sleep(0.05)
    await send(SEND)

    assert (2, 3) == (graph.connections, len(graph.requests))


async def test_idle_connection_is_not_reused(graph: Graph, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_mail, "MAX_IDLE_SECONDS", 0.05)

    await send(READ)
    await asyncio.sleep(0.1)
    await send(READ)

    assert 2 == graph.connections


async def test_call_without_a_free_connection_is_not_sent(
    graph: Graph, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_mail, "MAX_CONNECTIONS", 1)
    monkeypatch.setitem(graph_mail.TIMEOUTS, "pool", 0.1)
    graph.respond = hanging
    first = asyncio.ensure_future(send(READ))
    await asyncio.sleep(0.05)

    with pytest.raises(CallNotSent, match=GRAPH_UNAVAILABLE):
        await send(SEND)

    assert b"POST" not in b"".join(graph.requests)

    first.cancel()
    graph.respond = answering("200 OK", b"{}")
    assert 200 == (await send(SEND)).status


async def test_refused_connection_is_an_outage(mail: HttpGraphMail) -> None:
    async def end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(end, "127.0.0.1", 0)
    cloud = Cloud("", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
    for _ in ("ended in the handshake", "refused"):
        with pytest.raises(CallNotSent, match=GRAPH_UNAVAILABLE):
            await mail(cloud, Secret("token"), SEND, LIMIT)
        server.close()


async def test_own_settings_are_to_blame_until_a_call_succeeds(
    graph: Graph, send: Send, faults: ConnectionFaults, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").touch()
    for ca_file in (None, str(tmp_path / "missing.pem"), str(tmp_path / "empty.pem")):
        mail = HttpGraphMail(ca_file, faults)
        with pytest.raises(CallNotSent, match=GRAPH_SETUP):
            await mail(graph.cloud, Secret("token"), SEND, LIMIT)
        await mail.close()
        assert [GRAPH_SETUP] == [fault.code for fault in faults.current()]

    assert [] == graph.requests
    await send(READ)
    assert [] == faults.current()
