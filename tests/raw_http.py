"""Requests as they are written, byte for byte: clients normalize paths, and hide what follows the head of an answer."""

import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class RawAnswer(NamedTuple):
    """An answer. `body` is all that follows the head."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


def send(base_url: str, method: str, target: str, body: bytes = b"", /, **headers: str) -> RawAnswer:
    """Send a request and read until the server closes. HTTP/1.0, so that no answer is chunked."""
    address = urlsplit(base_url)
    lines = [f"{method} {target} HTTP/1.0", f"Host: {address.netloc}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] if body else []
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + body)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    pairs = [field.split(": ", 1) for field in fields]
    return RawAnswer(int(first.split(" ")[1]), [(name, value) for name, value in pairs], body)
