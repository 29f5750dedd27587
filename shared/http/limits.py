"""Which limits a request counts against: its caller's, and its address's."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import azure.functions as func

from shared.domain.limit import LimitKind
from shared.http.client_address import client_address

IPV6_SITE_BITS = 64  # bits of an IPv6 address that name a site; whoever has one, has all addresses in it (RFC 6177)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Each method counts a request, or raises TooManyRequests. The hand-out path has no limit but for bad tokens."""

    limit: Callable[[LimitKind, str, int], None]
    proxies: int

    def form(self, req: func.HttpRequest, caller: str, mailboxes: int = 1) -> None:
        """A caller asks for a link to so many mailboxes, or has somebody else's server called."""
        self.limit(LimitKind.FORM_BY_CALLER, caller, mailboxes)
        self._by_address(LimitKind.FORM_BY_ADDRESS, req, mailboxes)

    def page(self, req: func.HttpRequest) -> None:
        """Somebody opens a link, or presses a button of its page."""
        self._by_address(LimitKind.PAGE, req)

    def callback(self, req: func.HttpRequest) -> None:
        """A browser comes back from Entra."""
        self._by_address(LimitKind.CALLBACK, req)

    def bad_token(self, req: func.HttpRequest) -> None:
        """A bearer token, or none, that let nobody in. Good tokens from the same address never count, nor are held."""
        self._by_address(LimitKind.BAD_TOKEN, req)

    def _by_address(self, kind: LimitKind, req: func.HttpRequest, drops: int = 1) -> None:
        address = client_address(req, self.proxies)
        if address is None:
            return  # the platform always says; where nobody does, one bucket for everybody would lock all of them out
        if isinstance(address, ipaddress.IPv6Address):
            address = ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False).network_address
        self.limit(kind, str(address), drops)
