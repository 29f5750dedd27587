"""Reads an HTTP request for the worker, and rejects what the real host's web server rejects."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit

from starlette.types import Receive, Scope

from infra.local.host.paths import BadPathError, read_path, read_query, write_path

# https://learn.microsoft.com/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits
MAX_REQUEST_LINE_BYTES = 8192
MAX_HEADER_BYTES = 32_768
MAX_HEADERS = 100
DEFAULT_PORTS = {"http": 80, "https": 443}


class RejectedError(Exception):
    """The web server responds with this status, and the host does not get the request."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DisconnectedError(Exception):
    """The client disconnected before it had sent the whole body."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request with a decoded path and query, and header names in lower case."""

    method: str
    path: str
    url: str
    query: dict[str, str]
    headers: dict[str, str]
    receive: Receive

    async def body(self, limit: int) -> bytes | None:
        """Read the body; None if it has more bytes than the limit. A chunked body is read and dropped.

        Raises DisconnectedError.
        """
        length = int(self.headers.get("content-length") or 0)
        if not length and "transfer-encoding" not in self.headers:
            return b""
        if length > limit and "expect" in self.headers:
            return None  # the client waits for a response before it sends the body
        buffer, has_more = BytesIO(), True
        while has_more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            if length <= limit and length:
                buffer.write(message["body"])
            has_more = message.get("more_body", False)
        # A body over the limit is read too, because a client may miss a response that arrives while it still sends.
        return None if length > limit else buffer.getvalue()


def read_request(scope: Scope, receive: Receive) -> HttpRequest:
    """Read a request. Raises RejectedError."""
    _check_sizes(scope)
    headers = _headers(scope)
    # The front end of a deployed app sets these two headers (AppServiceHeaderFixupMiddleware in the host).
    if "disguised-host" in headers:
        headers["host"] = headers["disguised-host"]
    scheme = headers.get("x-forwarded-proto") or scope["scheme"]
    host = headers.get("host") or "{}:{}".format(*scope["server"])
    try:
        path = read_path(_origin_form(scope["raw_path"].decode("ascii"), host))
    except BadPathError:
        raise RejectedError(400) from None
    query = scope["query_string"].decode("ascii")
    url = f"{scheme}://{host}{write_path(path)}" + (f"?{query.replace('#', '%23')}" if query else "")
    return HttpRequest(scope["method"], path, url, read_query(query), headers, receive)


def _check_sizes(scope: Scope) -> None:
    line_bytes = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) + len("  HTTP/1.1\r\n")
    if line_bytes + bool(scope["query_string"]) > MAX_REQUEST_LINE_BYTES:
        raise RejectedError(414)
    fields = scope["headers"]
    if len(fields) > MAX_HEADERS or sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEADER_BYTES:
        raise RejectedError(431)


def _origin_form(target: str, host: str) -> str:
    """The path of a request target. An absolute target must have the same host as `Host`."""
    if target.startswith("/"):
        return target
    try:
        url = urlsplit(target)
    except ValueError:
        raise RejectedError(400) from None
    if url.scheme not in DEFAULT_PORTS or host not in {url.netloc, f"{url.netloc}:{DEFAULT_PORTS[url.scheme]}"}:
        raise RejectedError(400)
    return url.path or "/"


def _headers(scope: Scope) -> dict[str, str]:
    try:
        pairs = [(name.decode("ascii").lower(), value.decode()) for name, value in scope["headers"]]
    except UnicodeDecodeError:
        raise RejectedError(400) from None
    if scope["client"] is not None:
        # The platform's front end appends the client's address to the header.
        pairs.append(("x-forwarded-for", "{}:{}".format(*scope["client"])))
    return _joined(pairs)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        earlier = headers.get(name)
        headers[name] = f"{earlier},{value}" if earlier and value else earlier or value
    return headers
