"""Latency and outages: what happens to a request before any endpoint sees it."""

import asyncio

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.tenant.conditions import Outage
from infra.local.tenant.tenant import Tenant

DOWN = "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>"
PORTAL = "<html><head><title>Welcome</title></head><body><h1>Please accept the terms of this network</h1></body></html>"


class Interruptions:
    """Stands in front of the tenant and delays or spoils requests as control has set; never those to control."""

    def __init__(self, app: ASGIApp, tenant: Tenant) -> None:
        self._app = app
        self._tenant = tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Delay, spoil, or pass on."""
        endpoint = _endpoint(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        conditions = self._tenant.conditions
        if delay := conditions.latency.get(endpoint, 0) + conditions.latency.get("all", 0):
            await asyncio.sleep(delay)
        outage = conditions.outages.get(endpoint) or conditions.outages.get("all")
        if outage is None:
            await self._app(scope, receive, send)
            return
        self._tenant.note("failed", endpoint=endpoint, failure=f"outage-{outage}")
        await _spoil(outage, scope, receive, send)


def _endpoint(path: str) -> str | None:
    """Which of the endpoints that control can spoil a path is of; `other` is met by `all` alone."""
    if path == "/control" or path.startswith("/control/"):
        return None
    if path.startswith("/v1.0/"):
        return "graph"
    if path.startswith("/keys/"):
        return "vault"
    if path == "/msi/token":
        return "identity"
    last = path.rpartition("/")[2]
    return last if last in ("token", "authorize") else "other"


async def _spoil(outage: Outage, scope: Scope, receive: Receive, send: Send) -> None:
    match outage:
        case "503":
            await HTMLResponse(DOWN, 503)(scope, receive, send)
        case "html":  # what a captive portal does: a page, and a status that says all is well
            await HTMLResponse(PORTAL)(scope, receive, send)
        case "reset":
            # ASGI has no word for this: uvicorn's send belongs to the cycle that holds the connection.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            await _gone(receive)
        case "hang":
            await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
