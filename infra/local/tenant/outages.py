"""Middleware that delays requests and simulates outages before a request reaches an endpoint."""

import asyncio

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.tenant.conditions import Outage
from infra.local.tenant.tenant import Tenant

UNAVAILABLE_PAGE = (
    "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>"
)
CAPTIVE_PORTAL_PAGE = (
    "<html><head><title>Welcome</title></head><body><h1>Please accept the terms of this network</h1></body></html>"
)


class OutageMiddleware:
    """Applies the latency and outages that control has set to every request except those to control itself."""

    def __init__(self, app: ASGIApp, tenant: Tenant) -> None:
        self._app = app
        self._tenant = tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Delay the request, then pass it on or simulate an outage."""
        endpoint = _endpoint(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        conditions = self._tenant.conditions
        outage = conditions.outage_of(endpoint) or (
            conditions.outages.get("messages") if "/messages" in scope["path"] else None
        )
        # Graph delays its calls itself, because it counts those that run at the same time.
        if (delay := conditions.latency_of(endpoint)) and (outage or endpoint != "graph"):
            await asyncio.sleep(delay)
        if outage is None:
            await self._app(scope, receive, send)
            return
        self._tenant.note("failed", endpoint=endpoint, failure=f"outage-{outage}")
        await _simulate(outage, scope, receive, send)


def _endpoint(path: str) -> str | None:
    """The endpoint of a path, as control names it. None is control; only `all` affects `other`."""
    if path == "/control" or path.startswith("/control/"):
        return None
    if path.startswith("/v1.0/"):
        return "graph"
    if path.startswith("/keys/"):
        return "vault"
    if path == "/msi/token":
        return "identity"
    last_segment = path.rpartition("/")[2]
    return last_segment if last_segment in ("token", "authorize") else "other"


async def _simulate(outage: Outage, scope: Scope, receive: Receive, send: Send) -> None:
    match outage:
        case "503":
            await HTMLResponse(UNAVAILABLE_PAGE, 503)(scope, receive, send)
        case "html":  # a captive portal returns its page with status 200
            await HTMLResponse(CAPTIVE_PORTAL_PAGE)(scope, receive, send)
        case "reset":
            # ASGI cannot reset a connection. uvicorn's `send` is a method of the object that holds the transport.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            await _wait_for_disconnect(receive)
        case "hang":
            await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
