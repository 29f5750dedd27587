"""ID tokens: who has signed in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.domain.account import Principal, is_guid
from shared.domain.failure import is_finite_number
from shared.domain.oauth_app import OAuthApp
from shared.ports import SignInInvalid

CLOCK_SKEW = timedelta(minutes=5)
MAX_SIGN_IN_NAME_LENGTH = 1024


def principal_of(app: OAuthApp, claims: Mapping[str, Any], now: datetime) -> Principal:
    """Check the ID token, which MSAL no longer does (OpenID Connect Core section 3.1.3.7, Entra: ID token claims).

    The signature may go unchecked, because the token came straight from the token endpoint over TLS. Raises
    SignInInvalid.
    """
    tenant, person, name = (_text(claims, claim) for claim in ("tid", "oid", "preferred_username"))
    sound = (
        claims.get("aud") == app.client_id
        and is_guid(tenant)
        and is_guid(person)
        and claims.get("iss") == issuer(app, tenant)
        and _is_time(claims.get("exp", 0), after=now - CLOCK_SKEW)
        and _is_time(claims.get("nbf", 0), before=now + CLOCK_SKEW)
        and 0 < len(name) <= MAX_SIGN_IN_NAME_LENGTH
    )
    if not sound:
        raise SignInInvalid("id_token_invalid")
    if tenant.lower() not in app.tenants:
        raise SignInInvalid("tenant_not_allowed")
    return Principal(tenant.lower(), person.lower(), name)


def issuer(app: OAuthApp, tenant: str) -> str:
    """Who issues ID tokens of a tenant in the app's cloud."""
    return f"{app.cloud.authority}/{tenant}/v2.0"


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _is_time(value: Any, *, after: datetime | None = None, before: datetime | None = None) -> bool:  # noqa: ANN401 - any JSON
    """Whether it is a NumericDate (RFC 7519 section 2) on the right side of a moment."""
    return (
        is_finite_number(value)
        and (after is None or value > after.timestamp())
        and (before is None or value < before.timestamp())
    )
