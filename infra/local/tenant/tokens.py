"""The JSON Web Tokens that the tenant signs: for people, for applications and for managed identities."""

import hashlib
import json
import secrets
from typing import Any

import jwt
from jwt.utils import base64url_encode

from infra.local.tenant.entities import Client, ManagedIdentity, Person, Resource
from infra.local.tenant.failures import Refusal
from infra.local.tenant.scopes import OIDC_SCOPES
from infra.local.tenant.tenant import Tenant

# https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes#access-id-and-saml2-tokens
ID_TOKEN_SECONDS = 3600
# `nbf` is in the past, so that a client whose clock is slow accepts a new token. The number is this project's.
CLOCK_SKEW_SECONDS = 300
DEFAULT_SCOPE = "/.default"
CONSTANT_CLAIMS: dict[str, Any] = {
    "acct": 0,
    "acr": "1",
    "amr": ["pwd"],
    "appidacr": "1",
    "idtyp": "user",
    "ipaddr": "127.0.0.1",
    "signin_state": ["kmsi"],
    "tenant_region_scope": "EU",
    "ver": "1.0",
    "wids": ["b79fbf4d-3ef9-4689-8143-76b194e85509"],
    "xms_idrel": "1 2",
    "xms_tcdt": 1577836800,
}


def access_token(tenant: Tenant, person: Person, client: Client, audience: str, scopes: list[str]) -> str:
    """Sign a person's access token for one resource, with the claims of version 1.0.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    now = int(tenant.now())
    claims = {
        "aud": audience,
        "iss": _sts_issuer(person.tenant_id),
        "iat": now - CLOCK_SKEW_SECONDS,
        "nbf": now - CLOCK_SKEW_SECONDS,
        "exp": now + tenant.conditions.access_token_seconds,
        "app_displayname": client.name,
        "appid": client.id,
        "name": person.name,
        "oid": person.oid,
        "scp": " ".join(scopes),
        "sub": _pairwise_subject(person.oid, audience),
        "tid": person.tenant_id,
        "unique_name": person.upn,
        "upn": person.upn,
    }
    claims = CONSTANT_CLAIMS | claims | _opaque_claims("aio", "rh", "sid", "uti", "xms_ftd")
    return _sign(tenant, claims | tenant.conditions.access_token_claims.next())


def id_token(tenant: Tenant, person: Person, client: Client, nonce: str) -> str:
    """Sign an ID token.

    https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    """
    now = int(tenant.now())
    claims: dict[str, Any] = {
        "aud": client.id,
        "iss": tenant.issuer_of(person.tenant_id),
        "iat": now - CLOCK_SKEW_SECONDS,
        "nbf": now - CLOCK_SKEW_SECONDS,
        "exp": now + ID_TOKEN_SECONDS,
        "name": person.name,
        "nonce": nonce or None,
        "oid": person.oid,
        "preferred_username": person.home_address or person.upn,
        "sub": _pairwise_subject(person.oid, client.id),
        "tid": person.tenant_id,
        "ver": "2.0",
    }
    claims |= _opaque_claims("rh", "uti") | tenant.conditions.id_token_claims.next()
    return _sign(tenant, _without_none(claims))


def app_token_body(tenant: Tenant, client: Client, scope: str) -> dict[str, Any]:
    """The token response of the client credentials grant, which has no refresh token. Raises Refusal.

    https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    """
    audience = _app_token_audience(scope)
    if audience == tenant.origin:  # the tenant's address is also its Graph
        audience = tenant.directory.graph.address
    resource = tenant.directory.resource(audience)
    if resource is None:
        raise Refusal("500011", resource=audience, tenant=tenant.directory.name)
    seconds = tenant.conditions.access_token_seconds
    claims = _app_claims(tenant, client, resource, audience) | tenant.conditions.app_token_claims.next()
    return {
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": _sign(tenant, _without_none(claims)),
    }


def _app_token_audience(scope: str) -> str:
    """The single resource of the scope parameter. OpenID Connect scopes are ignored."""
    scopes = [word for word in scope.split() if word not in OIDC_SCOPES]
    if not scopes:
        raise Refusal("900144", parameter="scope")
    if not all(word.endswith(DEFAULT_SCOPE) for word in scopes):
        raise Refusal("1002012", scope=scope)
    if len(scopes) > 1:
        raise Refusal("28000", scope=scope)
    return scopes[0].removesuffix(DEFAULT_SCOPE)


def _app_claims(tenant: Tenant, client: Client, resource: Resource, audience: str) -> dict[str, Any]:
    """Claims of version 1.0 or 2.0, as the API's registration says. A token without roles is issued too.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """
    now, prefix = int(tenant.now()), f"{resource.address}/"
    claims = {
        "iat": now - CLOCK_SKEW_SECONDS,
        "nbf": now - CLOCK_SKEW_SECONDS,
        "exp": now + tenant.conditions.access_token_seconds,
        "oid": client.object_id,
        "sub": client.object_id,
        "roles": [role.removeprefix(prefix) for role in client.roles if role.startswith(prefix)] or None,
        "tid": tenant.directory.tenant_id,
        **_opaque_claims("aio", "rh", "uti"),
    }
    if resource.token_version == 2:  # noqa: PLR2004 - the other version is 1
        return claims | {
            "aud": resource.app_id,
            "iss": tenant.issuer,
            "azp": client.id,
            "azpacr": "1",
            "ver": "2.0",
        }
    issuer = _sts_issuer(tenant.directory.tenant_id)
    return claims | {
        "aud": audience,
        "iss": issuer,
        "appid": client.id,
        "appidacr": "1",
        "app_displayname": client.name,
        "idp": issuer,
        "ver": "1.0",
    }


def identity_token(tenant: Tenant, identity: ManagedIdentity, resource: str, expires: int) -> str:
    """Sign a managed identity's token for a resource.

    For the token exchange, the issuer is the one that federated credentials name; other tokens have version 1.0 claims.
    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """
    now, tenant_id = int(tenant.now()), tenant.directory.tenant_id
    is_exchange = resource.startswith("api://AzureADTokenExchange")
    claims = {
        "aud": resource,
        "iss": tenant.issuer if is_exchange else _sts_issuer(tenant_id),
        "iat": now - CLOCK_SKEW_SECONDS,
        "nbf": now - CLOCK_SKEW_SECONDS,
        "exp": expires,
        "appid": identity.client_id,
        "idtyp": "app",
        "oid": identity.principal_id,
        "sub": identity.principal_id,
        "tid": tenant_id,
        "ver": "2.0" if is_exchange else "1.0",
    }
    return _sign(tenant, claims | _opaque_claims("aio", "rh", "uti"))


def client_info(person: Person) -> str:
    """The `client_info` of a response, from which MSAL builds the account's id."""
    return base64url_encode(json.dumps({"uid": person.oid, "utid": person.tenant_id}).encode()).decode()


def _sts_issuer(tenant_id: str) -> str:
    return f"https://sts.windows.net/{tenant_id}/"


def _opaque_claims(*names: str) -> dict[str, str]:
    """Claims that only Microsoft can read. They give a token its real length."""
    return {name: secrets.token_urlsafe(32) for name in names}


def _pairwise_subject(oid: str, audience: str) -> str:
    """A `sub` that differs between audiences."""
    return base64url_encode(hashlib.sha256(f"{oid} {audience}".encode()).digest()).decode()


def _without_none(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def _sign(tenant: Tenant, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, tenant.keys.signing, "RS256", {"kid": tenant.keys.kid})
