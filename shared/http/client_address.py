"""Where a request comes from, as the platform's front end saw it."""

import ipaddress

import azure.functions as func

from shared.domain.caller import Address


def client_address(req: func.HttpRequest, proxies: int = 0) -> Address | None:
    """The client's address, or None when nobody says.

    The front end of App Service appends `address:port` to X-Forwarded-For (App Service documentation, "Detect HTTPS
    session" and "IP address of the client"); what stands before that was sent by the client, who may write anything.
    `proxies` is how many further proxies of ours (a Front Door, an Application Gateway) stand before the platform and
    append their own client. A request that did not pass all of them counts for the address that the platform saw:
    leaving the header out, or writing nonsense into it, gets nobody past a limit.
    """
    hops = [hop.strip() for hop in req.headers.get("X-Forwarded-For", "").split(",")]
    told = _read(hops[-1 - proxies]) if len(hops) > proxies else None
    return told or _read(hops[-1])


def _read(hop: str) -> Address | None:
    host = hop[1:].partition("]")[0] if hop.startswith("[") else hop
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
