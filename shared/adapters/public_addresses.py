"""Addresses that a webhook may lead to: public ones, checked when the connection is made, and used as they were."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpcore

# Public by their registries, and nobody's servers all the same: 6to4 relays (RFC 7526), and the address under which
# every machine in Azure reaches its platform (Azure documentation, "What is IP address 168.63.129.16").
INFRASTRUCTURE = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "168.63.129.16/32")))
# All that IANA has given out for global unicast; addresses that hold others (NAT64, mapped, compatible) are outside.
UNICAST = ipaddress.ip_network("2000::/3")
DOCUMENTATION = ipaddress.ip_network("3fff::/20")  # RFC 9637, younger than Python's own table
TUNNELS = tuple(map(ipaddress.ip_network, ("2001::/23", "2002::/16")))  # IETF protocols, Teredo; 6to4
LOOKUPS = 32  # names that are looked up at once; a name server that hangs holds up others' targets only beyond that
TRIED = 3  # addresses of one name

type Resolve = Callable[[str, int], Sequence[str]]


class AddressRefused(Exception):
    """A name leads to where nothing may be sent, or nowhere."""


def is_public(address: str) -> bool:
    """Whether an address is somebody's on the internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in UNICAST and ip.is_global and not any(ip in net for net in (*TUNNELS, DOCUMENTATION))
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in INFRASTRUCTURE)


def is_loopback(address: str) -> bool:
    """Whether an address is this computer's own."""
    return ipaddress.ip_address(address).is_loopback


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, or of whatever else the system takes for one."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(slots=True)
class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to names whose every address is allowed, and to the very address that was checked.

    TLS, Host and connection reuse go on by the name, because the connection pool above never sees the address.
    """

    allowed: Callable[[str], bool]
    resolve: Resolve = look_up
    _inner: httpcore.AnyIOBackend = field(default_factory=httpcore.AnyIOBackend)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LOOKUPS))

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name. Raises AddressRefused when there is none, or one that is not allowed."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self.resolve, host, port)
        except (OSError, UnicodeError):
            raise AddressRefused("its name is not known") from None
        # A zone means something on this computer only (RFC 4007 section 6), so such an address is never public.
        if not found or not all("%" not in address and self.allowed(address) for address in found):
            raise AddressRefused("its address is not a public one")
        return found

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the protocol's argument
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that answers."""
        *first, last = list(await self.addresses(host, port))[:TRIED]
        for address in first:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Between tries of the pool, which makes none."""
        await self._inner.sleep(seconds)

    def close(self) -> None:
        """End the threads, but wait for no name server."""
        self._threads.shutdown(wait=False, cancel_futures=True)
