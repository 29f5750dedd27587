"""An HTTP request as the host hands it to the worker, and the requests that its web server refuses."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit

from starlette.types import Receive, Scope

from infra.local.host.paths import BadPathError, read_path, read_query, write_path

# https://learn.microsoft.com/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits
MOST_LINE_BYTES = 8192
MOST_HEADER_BYTES = 32_768
MOST_HEADERS = 100
DEFAULT_PORTS = {"http": 80, "https": 443}


class RefusedError(Exception):
    """The web server answers with this status, and the host never hears of the request."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DisconnectedError(Exception):
    """The client went away before its whole body was there."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What was asked: the path and the query's values decoded, header names in lower case."""

    method: str
    path: str
    url: str
    query: dict[str, str]
    headers: dict[str, str]
    receive: Receive

    async def body(self, limit: int) -> bytes | None:
        """Read the body; None when it has more bytes than the limit. A chunked one is read, and lost.

        Raises DisconnectedError.
        """
        length = int(self.headers.get("content-length") or 0)
        if not length and "transfer-encoding" not in self.headers:
            return b""
        if length > limit and "expect" in self.headers:
            return None  # the client waits for us before it sends anything
        whole, more = BytesIO(), True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            if length <= limit and length:
                whole.write(message["body"])
            more = message.get("more_body", False)
        # A client that is answered while it still sends may miss the answer, so what is too long is read all the same.
        return None if length > limit else whole.getvalue()


def read_request(scope: Scope, receive: Receive) -> HttpRequest:
    """Read a request. Raises RefusedError."""
    _check_sizes(scope)
    headers = _headers(scope)
    # The front end in front of a deployed app sets these two (AppServiceHeaderFixupMiddleware in the host).
    if "disguised-host" in headers:
        headers["host"] = headers["disguised-host"]
    scheme = headers.get("x-forwarded-proto") or scope["scheme"]
    host = headers.get("host") or "{}:{}".format(*scope["server"])
    try:
        path = read_path(_origin_form(scope["raw_path"].decode("ascii"), host))
    except BadPathError:
        raise RefusedError(400) from None
    query = scope["query_string"].decode("ascii")
    url = f"{scheme}://{host}{write_path(path)}" + (f"?{query.replace('#', '%23')}" if query else "")
    return HttpRequest(scope["method"], path, url, read_query(query), headers, receive)


def _check_sizes(scope: Scope) -> None:
    line = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"]) + len("  HTTP/1.1\r\n")
    if line + bool(scope["query_string"]) > MOST_LINE_BYTES:
        raise RefusedError(414)
    fields = scope["headers"]
    if len(fields) > MOST_HEADERS or sum(len(name) + len(value) + 4 for name, value in fields) > MOST_HEADER_BYTES:
        raise RefusedError(431)


def _origin_form(target: str, host: str) -> str:
    """The path of a request target; one that names a host has to name the same as `Host`."""
    if target.startswith("/"):
        return target
    try:
        named = urlsplit(target)
    except ValueError:
        raise RefusedError(400) from None
    if named.scheme not in DEFAULT_PORTS or host not in {named.netloc, f"{named.netloc}:{DEFAULT_PORTS[named.scheme]}"}:
        raise RefusedError(400)
    return named.path or "/"


def _headers(scope: Scope) -> dict[str, str]:
    try:
        pairs = [(name.decode("ascii").lower(), value.decode()) for name, value in scope["headers"]]
    except UnicodeDecodeError:
        raise RefusedError(400) from None
    if scope["client"] is not None:
        # The platform's front end appends the client to what the client itself may have sent.
        pairs.append(("x-forwarded-for", "{}:{}".format(*scope["client"])))
    return _joined(pairs)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        before = found.get(name)
        found[name] = f"{before},{value}" if before and value else before or value
    return found
