"""Microsoft Graph: the mail calls of confined access, in a connection pool of their own.

httpcore sends the path as it was built. httpx, which proves access to mailboxes, would remove its dot segments, keep
cookies and add headers.
"""

import asyncio
import logging
import ssl
import zlib
from http import HTTPMethod
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.adapters.connection_faults import ConnectionFaults
from shared.domain.audit import client_request_id_header
from shared.domain.clouds import Cloud
from shared.domain.failure import GRAPH_SETUP, GRAPH_UNAVAILABLE
from shared.domain.secret import Secret
from shared.ports.mail import AnswerLost, AnswerTooLarge, CallNotSent, GraphAnswer, GraphCall

if TYPE_CHECKING:
    import httpcore

log = logging.getLogger(__name__)

CALL_TIMEOUT_SECONDS = 60.0
TIMEOUTS = {"connect": 5.0, "pool": 5.0, "write": 20.0, "read": CALL_TIMEOUT_SECONDS}
# As many as an instance has calls in progress (MailboxTurns).
MAX_CONNECTIONS = 32
# As for the token endpoint: a call is lost on an idle connection that the server is just closing.
MAX_IDLE_SECONDS = 4.0
GZIP_WINDOW_BITS = zlib.MAX_WBITS | 16  # zlib.decompressobj: with gzip's header and trailer
WITHOUT_BODY = {HTTPMethod.GET, HTTPMethod.DELETE}


class HttpGraphMail:
    """Implements the port over HTTP/1.1, without retries, redirects, cookies and proxies."""

    def __init__(
        self, ca_file: str | None, faults: ConnectionFaults, timeout_seconds: float = CALL_TIMEOUT_SECONDS
    ) -> None:
        self._ca_file = ca_file
        self._faults = faults
        self._timeout_seconds = timeout_seconds
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def __call__(self, cloud: Cloud, token: Secret, call: GraphCall, max_bytes: int) -> GraphAnswer:
        """Send a call. Raises CallNotSent, AnswerLost and AnswerTooLarge."""
        import httpcore  # noqa: PLC0415 - not needed for hand-outs

        try:
            pool = self._open_pool()
        except OSError as error:
            raise self._not_sent(cloud, error) from None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await _send(pool, cloud, token, call, max_bytes)
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as error:
            raise self._not_sent(cloud, error) from None
        # The pool lets some errors of TLS through as they are, so OSError is here, and not above.
        except (
            *(httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError),
            *(OSError, zlib.error),
        ) as error:
            log.warning("graph answer lost", extra={"error": type(error).__name__})
            raise AnswerLost from None
        self._faults.succeeded(GRAPH_SETUP, cloud.graph)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.aclose()

    def _not_sent(self, cloud: Cloud, error: Exception) -> CallNotSent:
        is_ours = self._faults.is_ours(GRAPH_SETUP, cloud.graph, error)
        return CallNotSent(GRAPH_SETUP if is_ours else GRAPH_UNAVAILABLE)

    def _open_pool(self) -> "httpcore.AsyncConnectionPool":
        import httpcore  # noqa: PLC0415 - as above

        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=ssl.create_default_context(cafile=self._ca_file),
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=MAX_IDLE_SECONDS,
            )
        return self._pool


async def _send(
    pool: "httpcore.AsyncConnectionPool", cloud: Cloud, token: Secret, call: GraphCall, max_bytes: int
) -> GraphAnswer:
    import httpcore  # noqa: PLC0415 - as above

    origin = urlsplit(cloud.graph)
    target = f"{call.path}?{call.query}" if call.query else call.path
    url = httpcore.URL(scheme=origin.scheme, host=origin.hostname or "", port=origin.port, target=target)
    # A request that could have a body says that it has none (RFC 9110 section 8.6).
    body = b"" if call.body is None and call.method not in WITHOUT_BODY else call.body
    headers = [*_headers(call, origin.netloc, token).items()]
    async with pool.stream(call.method, url, headers=headers, content=body, extensions={"timeout": TIMEOUTS}) as answer:
        answer_headers = _joined(answer.headers)
        is_gzip = answer_headers.get("content-encoding") == "gzip"
        return GraphAnswer(answer.status, answer_headers, await _read(answer, max_bytes, is_gzip=is_gzip))


def _headers(call: GraphCall, host: str, token: Secret) -> dict[str, str]:
    """The headers of the call, and Mailbind's own, which replace any of the same name."""
    own = {
        "host": host,
        "authorization": f"Bearer {token.reveal()}",
        "user-agent": "Mailbind",
        "accept-encoding": "gzip",
        **client_request_id_header(),
    }
    return {name.lower(): value for name, value in call.headers.items()} | own


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case. Repeated ones are joined (RFC 9110 section 5.3)."""
    headers = dict[str, str]()
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _read(answer: "httpcore.Response", max_bytes: int, *, is_gzip: bool) -> bytes:
    """The body, decompressed. Stops reading and decompressing right after the limit."""
    gzip = zlib.decompressobj(GZIP_WINDOW_BITS) if is_gzip else None
    body = bytearray()
    async for part in answer.aiter_stream():
        body += gzip.decompress(part, max_bytes + 1 - len(body)) if gzip else part
        if len(body) > max_bytes:
            raise AnswerTooLarge
    if gzip and (gzip.unused_data or (body and not gzip.eof)):
        raise zlib.error("more or less than one whole gzip stream")
    return bytes(body)
