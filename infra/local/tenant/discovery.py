"""What clients read to find the tenant's endpoints and keys, and which tenant a path names."""

from typing import Any

from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.answers import entra_answer
from infra.local.tenant.failures import Refusal
from infra.local.tenant.scopes import OIDC
from infra.local.tenant.tenant import Tenant

ABILITIES = {
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    "response_modes_supported": ["query", "fragment", "form_post"],
    "subject_types_supported": ["pairwise"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "response_types_supported": ["code"],
    "scopes_supported": sorted(OIDC),
    "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"],
    "tenant_region_scope": "EU",
}


def check_tenant(tenant: Tenant, segment: str) -> str:
    """The tenant that the path names: an id, its domain, `organizations` or `common`. Refusal 90002 for another one."""
    if known := tenant.directory.tenant(segment):
        return known.id
    if segment in ("organizations", "common"):
        return segment
    raise Refusal("90002", tenant=segment)


class DiscoveryEndpoints:
    """OpenID Connect discovery (entra-docs v2-protocols-oidc.md)."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    async def configuration(self, request: Request) -> Response:
        """Answer with the addresses of everything. On `common` the issuer is a template, as it is at Microsoft."""
        try:
            segment = check_tenant(self._tenant, request.path_params["tenant"])
        except Refusal as refusal:
            return entra_answer(self._tenant, refusal, request)
        base = f"{self._tenant.origin}/{segment}"
        tid = segment if segment in self._tenant.directory.tenants else "{tenantid}"
        return JSONResponse(
            {
                "issuer": f"{self._tenant.origin}/{tid}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "cloud_instance_name": "127.0.0.1",
                "msgraph_host": self._tenant.origin.removeprefix("https://"),
                **ABILITIES,
            }
        )

    async def keys(self, _request: Request) -> Response:
        """Answer with the public key that verifies tokens (RFC 7517); the same for tokens of both versions."""
        keys = self._tenant.keys
        jwk = RSAAlgorithm.to_jwk(keys.signing.public_key(), as_dict=True)
        public: dict[str, Any] = {name: jwk[name] for name in ("kty", "n", "e")}
        self._tenant.note("keys read")
        return JSONResponse({"keys": [public | {"use": "sig", "kid": keys.kid, "issuer": self._tenant.issuer}]})
