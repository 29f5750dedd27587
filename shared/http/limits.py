"""Rate limits of requests, by caller and by client address."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import azure.functions as func

from shared.domain.limit import LimitKind
from shared.http.client_address import client_address

IPV6_SITE_BITS = 64  # the prefix that a site gets, with all addresses in it (RFC 6177)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Each method counts a request, or raises TooManyRequests. Hand-outs are limited for bad tokens only."""

    limit: Callable[[LimitKind, str, int], None]
    proxies: int

    def form(self, req: func.HttpRequest, caller: str, mailboxes: int = 1) -> None:
        """A caller requests a link to so many mailboxes, or a call to a webhook's target."""
        self.limit(LimitKind.FORM_BY_CALLER, caller, mailboxes)
        self._by_address(LimitKind.FORM_BY_ADDRESS, req, mailboxes)

    def page(self, req: func.HttpRequest) -> None:
        """A person opens a link, or presses a button on its page."""
        self._by_address(LimitKind.PAGE, req)

    def callback(self, req: func.HttpRequest) -> None:
        """A browser comes back from Entra."""
        self._by_address(LimitKind.CALLBACK, req)

    def bad_token(self, req: func.HttpRequest) -> None:
        """A missing or invalid bearer token. Valid tokens from the same address neither count nor are refused."""
        self._by_address(LimitKind.BAD_TOKEN, req)

    def _by_address(self, kind: LimitKind, req: func.HttpRequest, drops: int = 1) -> None:
        address = client_address(req, self.proxies)
        if address is None:
            return  # The platform always sends it. Without it, all clients would share one bucket.
        if isinstance(address, ipaddress.IPv6Address):
            address = ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False).network_address
        self.limit(kind, str(address), drops)
