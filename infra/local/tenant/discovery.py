"""OpenID Connect discovery, and the tenant that a path names.

https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc
"""

from typing import Any

from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.error_responses import entra_error_response
from infra.local.tenant.failures import Refusal
from infra.local.tenant.scopes import OIDC_SCOPES
from infra.local.tenant.tenant import Tenant

CAPABILITIES = {
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    "response_modes_supported": ["query", "fragment", "form_post"],
    "subject_types_supported": ["pairwise"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "response_types_supported": ["code"],
    "scopes_supported": sorted(OIDC_SCOPES),
    "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"],
    "tenant_region_scope": "EU",
}


def check_tenant(tenant: Tenant, segment: str) -> str:
    """The tenant id of a path segment, or `organizations` or `common`. Raises Refusal 90002 for an unknown tenant."""
    if organization := tenant.directory.tenant(segment):
        return organization.id
    if segment in ("organizations", "common"):
        return segment
    raise Refusal("90002", tenant=segment)


class DiscoveryEndpoints:
    """The configuration document and the signing keys."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def configuration(self, request: Request) -> Response:
        """Return the endpoints. On `common` the issuer is a template, as at Microsoft."""
        try:
            segment = check_tenant(self._tenant, request.path_params["tenant"])
        except Refusal as refusal:
            return entra_error_response(self._tenant, refusal, request)
        base = f"{self._tenant.origin}/{segment}"
        tenant_id = segment if segment in self._tenant.directory.tenants else "{tenantid}"
        return JSONResponse(
            {
                "issuer": f"{self._tenant.origin}/{tenant_id}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "cloud_instance_name": "127.0.0.1",
                "msgraph_host": self._tenant.origin.removeprefix("https://"),
                **CAPABILITIES,
            }
        )

    async def keys(self, _request: Request) -> Response:
        """Return the public signing key (RFC 7517); it is the same for both token versions."""
        keys = self._tenant.keys
        jwk = RSAAlgorithm.to_jwk(keys.signing.public_key(), as_dict=True)
        public: dict[str, Any] = {name: jwk[name] for name in ("kty", "n", "e")}
        self._tenant.note("keys read")
        return JSONResponse({"keys": [public | {"use": "sig", "kid": keys.kid, "issuer": self._tenant.issuer}]})
