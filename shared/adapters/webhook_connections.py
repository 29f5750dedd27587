"""HTTP connections to webhook targets: only to public addresses, without proxies and without redirects.

The address of a name is checked when the connection is made, and the connection is made to that very address, so a name
server cannot change its answer in between (DNS rebinding).
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult

import httpcore

from shared.ports import Answer, TargetRefused, UnknownTarget

CONNECT_TIMEOUT_SECONDS, REQUEST_TIMEOUT_SECONDS, BODY_TIMEOUT_SECONDS = 10.0, 30.0, 1.0
TIMEOUTS = {
    "connect": CONNECT_TIMEOUT_SECONDS,
    "read": REQUEST_TIMEOUT_SECONDS,
    "write": CONNECT_TIMEOUT_SECONDS,
    "pool": CONNECT_TIMEOUT_SECONDS,
}
MAX_BODY_BYTES = 64 * 1024  # of a response; it is read only so that its connection can be used again
KEEPALIVE_SECONDS = 15.0
LOOKUP_THREADS = 32  # a name server that hangs delays other targets only when all of them wait for it
MAX_ADDRESSES_TRIED = 3

# Global addresses that are not servers on the internet: 6to4 relays (RFC 7526), and the address at which every machine
# in Azure reaches its platform (Azure documentation, "What is IP address 168.63.129.16").
INFRASTRUCTURE_NETWORKS = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "168.63.129.16/32")))
# All global unicast addresses that IANA has assigned; those that contain IPv4 ones (NAT64, mapped) are not among them.
UNICAST_NETWORK = ipaddress.ip_network("2000::/3")
# IETF protocols with Teredo, 6to4, and documentation (RFC 9637), which Python's own table lacks.
SPECIAL_NETWORKS = tuple(map(ipaddress.ip_network, ("2001::/23", "2002::/16", "3fff::/20")))

type Resolve = Callable[[str, int], Sequence[str]]


def is_public(address: str) -> bool:
    """Whether the address belongs to a server on the internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in UNICAST_NETWORK and ip.is_global and not any(ip in network for network in SPECIAL_NETWORKS)
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in INFRASTRUCTURE_NETWORKS)


def is_loopback(address: str) -> bool:
    """Whether the address is this computer's own."""
    return ipaddress.ip_address(address).is_loopback


def resolve_name(host: str, port: int) -> list[str]:
    """The addresses of a name, or of anything else that the operating system accepts as a host."""
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in results))


class WebhookConnections:
    """Connection pools for https targets and, if `loopback` is set, for plain http on this computer."""

    def __init__(self, ca_file: str | None, *, loopback: bool, resolve: Resolve) -> None:
        self._ca_file = ca_file
        self._loopback = loopback
        self._https_backend = CheckedBackend(self._is_allowed, resolve)
        self._http_backend = CheckedBackend(is_loopback, resolve)

    async def check(self, parts: SplitResult) -> None:
        """Check the addresses of a URL's host. Raises TargetRefused."""
        backend = self._backend(parts.scheme)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await backend.addresses(parts.hostname or "", parts.port or 443)
        except TimeoutError:
            raise UnknownTarget("its name was not looked up in time") from None

    async def post(self, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post to a URL. Raises TargetRefused."""
        self._backend(parts.scheme)
        pool = self._https_pool if parts.scheme == "https" else self._http_pool
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path or "/", fragment="").geturl()
        request = pool.stream("POST", url, headers=[*headers.items()], content=body, extensions={"timeout": TIMEOUTS})
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS), request as response:
                # Only the status counts. An error in the rest does not make the delivery fail.
                with suppress(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError):
                    async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                        await _read_body(response)
                return Answer(response.status, _retry_after(response.headers))
        except (TimeoutError, httpcore.TimeoutException):
            raise TargetRefused("it did not answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            trusted = "CERTIFICATE_VERIFY_FAILED" not in str(error)
            raise TargetRefused("it could not be reached" if trusted else "its certificate is not trusted") from None

    async def close(self) -> None:
        """Close all connections, and end the threads."""
        for name in ("_https_pool", "_http_pool"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
        self._https_backend.close()
        self._http_backend.close()

    def _is_allowed(self, address: str) -> bool:
        return is_public(address) or (self._loopback and is_loopback(address))

    def _backend(self, scheme: str) -> "CheckedBackend":
        if scheme == "https":
            return self._https_backend
        if not self._loopback:
            raise TargetRefused("it is not an https address")
        return self._http_backend

    @cached_property
    def _https_pool(self) -> httpcore.AsyncConnectionPool:
        trust = ssl.create_default_context()
        if self._ca_file:
            trust.load_verify_locations(self._ca_file)
        return _pool(self._https_backend, trust)

    @cached_property
    def _http_pool(self) -> httpcore.AsyncConnectionPool:
        return _pool(self._http_backend, None)


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to a name only if all of its addresses are allowed.

    TLS, the Host header and connection reuse still use the name, because httpcore's pool never sees the address.
    """

    def __init__(self, is_allowed: Callable[[str], bool], resolve: Resolve) -> None:
        self._is_allowed = is_allowed
        self._resolve = resolve
        self._backend = httpcore.AnyIOBackend()
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name. Raises TargetRefused if there is none, or one that is not allowed."""
        try:
            addresses = await asyncio.get_running_loop().run_in_executor(self._threads, self._resolve, host, port)
        except (OSError, UnicodeError):
            raise UnknownTarget("its name is not known") from None
        # A zone is meaningful on this computer only (RFC 4007 section 6), so an address with a zone is never public.
        if not addresses or not all("%" not in address and self._is_allowed(address) for address in addresses):
            raise TargetRefused("its address is not a public one")
        return addresses

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the protocol's argument
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        *others, last = list(await self.addresses(host, port))[:MAX_ADDRESSES_TRIED]
        for address in others:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Part of the protocol; the pool calls it between retries, and makes none."""
        await self._backend.sleep(seconds)

    def close(self) -> None:
        """End the threads, without waiting for name servers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _pool(backend: CheckedBackend, trust: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
    # Without a limit: each target has only a few connections, and hanging ones must not block other targets.
    return httpcore.AsyncConnectionPool(
        ssl_context=trust, max_connections=None, keepalive_expiry=KEEPALIVE_SECONDS, network_backend=backend
    )


async def _read_body(response: httpcore.Response) -> None:
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta | None:
    """Retry-After in seconds (RFC 9110 section 10.2.3). A date is ignored."""
    value = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return timedelta(seconds=int(value[:8])) if value.isdigit() else None
