"""ID tokens: who has signed in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.domain.oauth_app import OAuthApp
from shared.domain.principal import Principal, is_guid
from shared.ports import SignInInvalid

CLOCK_SKEW = timedelta(minutes=5)


def principal_of(app: OAuthApp, claims: Mapping[str, Any], now: datetime) -> Principal:
    """Check the ID token, which MSAL no longer does (OpenID Connect Core section 3.1.3.7, Entra: ID token claims).

    The signature may go unchecked, because the token came straight from the token endpoint over TLS. Raises
    SignInInvalid.
    """
    tenant, person = str(claims.get("tid", "")), str(claims.get("oid", ""))
    sound = (
        claims.get("aud") == app.client_id
        and is_guid(tenant)
        and is_guid(person)
        and claims.get("iss") == issuer(app, tenant)
        and float(claims.get("exp", 0)) > (now - CLOCK_SKEW).timestamp()
        and float(claims.get("nbf", 0)) < (now + CLOCK_SKEW).timestamp()
        and bool(claims.get("preferred_username"))
    )
    if not sound:
        raise SignInInvalid("id_token_invalid")
    if tenant.lower() not in app.tenants:
        raise SignInInvalid("tenant_not_allowed")
    return Principal(tenant.lower(), person.lower(), str(claims["preferred_username"]))


def issuer(app: OAuthApp, tenant: str) -> str:
    """Who issues ID tokens of a tenant in the app's cloud."""
    return f"{app.cloud.authority}/{tenant}/v2.0"
