"""The endpoint that App Service and Functions give an app for its managed identities.

Over plain http, on this computer only, as documented (azure-docs app-service/overview-managed-identity.md, "REST
endpoint reference"): `IDENTITY_ENDPOINT` is its address, and `IDENTITY_HEADER` the value that a request must carry.
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

from infra.local.tenant.directory import ManagedIdentity
from infra.local.tenant.interruptions import Interruptions
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.tokens import identity_token

if TYPE_CHECKING:
    import socket

PATH = "/msi/token"
API_VERSION = "2019-08-01"
LIVES = 24 * 3600  # a day (entra-docs managed-identity-best-practice-recommendations.md)
UNKNOWN = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."


class IdentityEndpoint:
    """GET /msi/token."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.header = secrets.token_hex(16).upper()

    async def answer(self, request: Request) -> Response:
        """A token of the identity for the resource."""
        given = request.headers.get("x-identity-header", "")
        if not hmac.compare_digest(given.encode(), self.header.encode()):
            return _refused(401, "The X-IDENTITY-HEADER is missing or wrong.")
        asked = request.query_params
        resource, identity = asked.get("resource", ""), self._identity(asked.get("client_id", ""))
        if asked.get("api-version") != API_VERSION or not resource:
            return _refused(400, "The api-version or the resource is missing or not supported.")
        if identity is None:
            return _refused(400, UNKNOWN)
        now = int(self._tenant.now())
        self._tenant.note("identity token", identity=identity.name, resource=resource)
        return JSONResponse(
            {
                "access_token": identity_token(self._tenant, identity, resource, now + LIVES),
                "client_id": identity.client_id,
                "expires_on": str(now + LIVES),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def serve(self, listening: "socket.socket") -> str:
        """Serve in a thread of its own, beside the tenant; returns IDENTITY_ENDPOINT."""
        app = Interruptions(Starlette(routes=[Route(PATH, self.answer)]), self._tenant)
        config = uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off")
        threading.Thread(target=uvicorn.Server(config).run, args=([listening],), daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"

    def _identity(self, client_id: str) -> ManagedIdentity | None:
        # No system-assigned one here.
        return self._tenant.directory.identities.get(client_id.lower())


def _refused(status: int, message: str) -> Response:
    body: dict[str, Any] = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return JSONResponse(body, status)
