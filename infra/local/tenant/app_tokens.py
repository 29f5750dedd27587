"""Access tokens for applications: the client credentials grant (entra-docs v2-oauth2-client-creds-grant-flow.md)."""

from typing import Any

from infra.local.tenant.directory import Client, Resource
from infra.local.tenant.failures import Refusal
from infra.local.tenant.scopes import OIDC
from infra.local.tenant.tenant import Tenant
from infra.local.tenant.tokens import CLOCK_SKEW, noise, sign

DEFAULT = "/.default"


def app_token(tenant: Tenant, client: Client, scope: str) -> dict[str, Any]:
    """The answer of the token endpoint; there is never a refresh token. Raises Refusal."""
    audience = _audience(scope)
    if audience == tenant.origin:  # where Graph is here
        audience = tenant.directory.resources[0].address
    resource = tenant.directory.resource(audience)
    if resource is None:
        raise Refusal("500011", resource=audience, tenant=tenant.directory.name)
    seconds = tenant.conditions.access_token_seconds
    claims = _claims(tenant, client, resource, audience) | tenant.conditions.app_token_claims.next()
    return {
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": sign(tenant, {name: value for name, value in claims.items() if value is not None}),
    }


def _audience(scope: str) -> str:
    """The one resource; OpenID Connect's scopes mean nothing here."""
    words = [word for word in scope.split() if word not in OIDC]
    if not words:
        raise Refusal("900144", parameter="scope")
    if not all(word.endswith(DEFAULT) for word in words):
        raise Refusal("1002012", scope=scope)
    if len(words) > 1:
        raise Refusal("28000", scope=scope)
    return words[0].removesuffix(DEFAULT)


def _claims(tenant: Tenant, client: Client, resource: Resource, audience: str) -> dict[str, Any]:
    """Claims of v1.0 or v2.0 (entra-docs access-token-claims-reference.md), whichever the API's registration asks for.

    A token is issued whether or not there are roles in it ("Controlling tokens without the roles claim"), and its `sub`
    is the application's own `oid`.
    """
    now, tid = int(tenant.now()), tenant.directory.tenant_id
    prefix = f"{resource.address}/"
    same = {
        "iat": now - CLOCK_SKEW,
        "nbf": now - CLOCK_SKEW,
        "exp": now + tenant.conditions.access_token_seconds,
        "oid": client.object_id,
        "sub": client.object_id,
        "roles": [role.removeprefix(prefix) for role in client.roles if role.startswith(prefix)] or None,
        "tid": tid,
        **noise("aio", "rh", "uti"),
    }
    if resource.token_version == 2:  # noqa: PLR2004 - the other one
        return same | {
            "aud": resource.app_id,
            "iss": tenant.issuer,
            "azp": client.id,
            "azpacr": "1",
            "ver": "2.0",
        }
    sts = f"https://sts.windows.net/{tid}/"
    about = {"appid": client.id, "appidacr": "1", "app_displayname": client.name, "idp": sts, "ver": "1.0"}
    return same | {"aud": audience, "iss": sts, **about}
