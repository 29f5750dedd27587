"""The address of the client, as the platform's front end saw it."""

import ipaddress

import azure.functions as func

from shared.domain.caller import Address


def client_address(req: func.HttpRequest, proxies: int = 0) -> Address | None:
    """The client's address, or None if it is unknown.

    The front end of App Service appends `address:port` to X-Forwarded-For (App Service documentation, "Detect HTTPS
    session" and "IP address of the client"); everything before that was sent by the client, who can write anything.
    `proxies` is the number of our own proxies (a Front Door, an Application Gateway) in front of the platform; each
    appends the address of its client. A request that did not pass all of them counts for the address that the platform
    saw, so omitting or forging the header avoids no limit.
    """
    hops = [hop.strip() for hop in req.headers.get("X-Forwarded-For", "").split(",")]
    address = _parse_address(hops[-1 - proxies]) if len(hops) > proxies else None
    return address or _parse_address(hops[-1])


def _parse_address(hop: str) -> Address | None:
    host = hop[1:].partition("]")[0] if hop.startswith("[") else hop
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
