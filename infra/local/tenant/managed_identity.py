"""The managed identity endpoint that App Service and Functions provide to an app, over HTTP on this computer.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import hmac
import secrets
import threading
import uuid
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.tenant.outages import OutageMiddleware
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.tokens import identity_token

if TYPE_CHECKING:
    import socket

PATH = "/msi/token"
API_VERSION = "2019-08-01"
# Tokens of managed identities are valid for a day.
# https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identity-best-practice-recommendations
TOKEN_SECONDS = 24 * 3600
UNKNOWN_IDENTITY = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."


class IdentityEndpoint:
    """GET /msi/token. `header` is IDENTITY_HEADER: the value that a request must carry."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.header = secrets.token_hex(16).upper()

    async def handle(self, request: Request) -> Response:
        """Return a token of the identity for the resource."""
        header = request.headers.get("x-identity-header", "")
        if not hmac.compare_digest(header.encode(), self.header.encode()):
            return _error(401, "The X-IDENTITY-HEADER is missing or wrong.")
        query = request.query_params
        resource = query.get("resource", "")
        if query.get("api-version") != API_VERSION or not resource:
            return _error(400, "The api-version or the resource is missing or not supported.")
        # The tenant has no system-assigned identity, so the client id is required.
        identity = self._tenant.directory.identities.get(query.get("client_id", "").lower())
        if identity is None:
            return _error(400, UNKNOWN_IDENTITY)
        now = int(self._tenant.now())
        self._tenant.note("identity token", identity=identity.name, resource=resource)
        return JSONResponse(
            {
                "access_token": identity_token(self._tenant, identity, resource, now + TOKEN_SECONDS),
                "client_id": identity.client_id,
                "expires_on": str(now + TOKEN_SECONDS),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def serve(self, listener: "socket.socket") -> str:
        """Serve in a thread of its own; returns the URL for IDENTITY_ENDPOINT."""
        app = OutageMiddleware(Starlette(routes=[Route(PATH, self.handle)]), self._tenant)
        config = uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off")
        threading.Thread(target=uvicorn.Server(config).run, args=([listener],), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}"


def _error(status: int, message: str) -> Response:
    body: dict[str, Any] = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return JSONResponse(body, status)
