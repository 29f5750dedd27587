"""A token request never goes over a connection that was idle for long, because it may be lost there."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from shared.adapters import token_transport
from shared.adapters.token_transport import TokenTransport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers `limit` requests of each connection, then no more, as a load balancer that forgot the connection."""

    def __init__(self, authority: trustme.CA, limit: int) -> None:
        self.connections = 0
        self._limit = limit
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self._open: list[socket.socket] = []
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/keys"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client closed the connection
            for _ in range(self._limit):
                if connection.recv(65536):
                    connection.sendall(ANSWER)

    def close(self) -> None:
        for connection in (self._listener, *self._open):
            connection.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[Server]:
    server = Server(authority, limit=3)
    yield server
    server.close()


@pytest.fixture
def transport(authority: trustme.CA, tmp_path: Path) -> Iterator[TokenTransport]:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    transport = TokenTransport(1, str(tmp_path / "ca.pem"))
    yield transport
    transport.close()


def test_busy_connection_is_reused(server: Server, transport: TokenTransport) -> None:
    for _ in range(3):
        transport.read(server.url)

    assert 1 == server.connections


def test_idle_connection_is_not_reused(
    server: Server, transport: TokenTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_transport, "MAX_IDLE_SECONDS", 0.05)

    for _ in range(4):
        transport.read(server.url)
        time.sleep(0.1)

    assert 4 == server.connections
