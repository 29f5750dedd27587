"""The JSON Web Tokens that the tenant signs: access tokens for its APIs, ID tokens for its clients."""

import hashlib
import secrets
from typing import Any

import jwt

from infra.local.tenant.directory import Client, ManagedIdentity, Person
from infra.local.tenant.tenant import Tenant

ID_TOKEN_SECONDS = 3600  # entra-docs configurable-token-lifetimes.md
CLOCK_SKEW = 300  # ours: a client whose clock is a little behind still takes a fresh token
SAME_FOR_ALL: dict[str, Any] = {
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
    """Sign an access token for one resource, with the claims of entra-docs access-token-claims-reference.md (v1.0).

    Control may have changed some: an app may ask for optional claims and groups (entra-docs optional-claims.md).
    """
    now, tid = int(tenant.now()), person.tenant_id
    about = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{tid}/",
        "iat": now - CLOCK_SKEW,
        "nbf": now - CLOCK_SKEW,
        "exp": now + tenant.conditions.access_token_seconds,
        "app_displayname": client.name,
        "appid": client.id,
        "name": person.name,
        "oid": person.oid,
        "scp": " ".join(scopes),
        "sub": _pairwise(person.oid, audience),
        "tid": tid,
        "unique_name": person.upn,
        "upn": person.upn,
    }
    claims = SAME_FOR_ALL | about | noise("aio", "rh", "sid", "uti", "xms_ftd")
    return sign(tenant, claims | tenant.conditions.access_token_claims.next())


def id_token(tenant: Tenant, person: Person, client: Client, nonce: str) -> str:
    """Sign an ID token with the claims of entra-docs id-token-claims-reference.md; control may have changed some."""
    now = int(tenant.now())
    claims: dict[str, Any] = {
        "aud": client.id,
        "iss": tenant.issuer_of(person.tenant_id),
        "iat": now - CLOCK_SKEW,
        "nbf": now - CLOCK_SKEW,
        "exp": now + ID_TOKEN_SECONDS,
        "name": person.name,
        "nonce": nonce or None,
        "oid": person.oid,
        "preferred_username": person.upn,
        "sub": _pairwise(person.oid, client.id),
        "tid": person.tenant_id,
        "ver": "2.0",
    }
    claims |= noise("rh", "uti") | tenant.conditions.id_token_claims.next()
    return sign(tenant, {name: value for name, value in claims.items() if value is not None})


def identity_token(tenant: Tenant, identity: ManagedIdentity, resource: str, expires: int) -> str:
    """Sign a token of a managed identity for a resource.

    For the exchange of tokens its issuer is the one that federated credentials name (entra-docs
    workload-identity-federation-config-app-trust-managed-identity.md); other resources get the claims of v1.0.
    """
    now, tid = int(tenant.now()), tenant.directory.tenant_id
    exchange = resource.startswith("api://AzureADTokenExchange")
    about = {
        "aud": resource,
        "iss": tenant.issuer if exchange else f"https://sts.windows.net/{tid}/",
        "iat": now - CLOCK_SKEW,
        "nbf": now - CLOCK_SKEW,
        "exp": expires,
        "appid": identity.client_id,
        "idtyp": "app",
        "oid": identity.principal_id,
        "sub": identity.principal_id,
        "tid": tid,
        "ver": "2.0" if exchange else "1.0",
    }
    return sign(tenant, about | noise("aio", "rh", "uti"))


def noise(*names: str) -> dict[str, str]:
    """Claims that mean something to Microsoft alone: here they give a token its real length."""
    return {name: secrets.token_urlsafe(32) for name in names}


def _pairwise(oid: str, audience: str) -> str:
    # Different for each audience (entra-docs access-token-claims-reference.md, id-token-claims-reference.md).
    return jwt.utils.base64url_encode(hashlib.sha256(f"{oid} {audience}".encode()).digest()).decode()


def sign(tenant: Tenant, claims: dict[str, Any]) -> str:
    """A token of these claims, signed with the tenant's key of now."""
    return jwt.encode(claims, tenant.keys.signing, "RS256", {"kid": tenant.keys.kid})
