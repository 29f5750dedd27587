"""Validation of a bearer token, the first step of every API of the tenant."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import jwt

from infra.local.tenant.entities import Person
from infra.local.tenant.failures import Refusal
from infra.local.tenant.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Caller:
    """The person of a bearer token, its scopes, when it was issued, in epoch seconds, and the app it was issued to."""

    person: Person
    scopes: frozenset[str]
    issued: float
    app_id: str

    def require_any(self, scopes: AbstractSet[str], *, refusal: str) -> None:
        """Raise a Refusal with this key unless the token has one of the scopes."""
        if not self.scopes & scopes:
            raise Refusal(refusal)


def read_caller(tenant: Tenant, token: str, *audiences: str) -> Caller:
    """The caller of a token for one of the audiences. Raises the Refusal InvalidAuthenticationToken."""
    claims = _claims(tenant, token, audiences)
    person = tenant.directory.people.get(claims["oid"])
    if person is None:
        raise Refusal("InvalidAuthenticationToken", reason="The user of the access token was not found.")
    return Caller(person, frozenset(claims["scp"].split()), claims["iat"], claims.get("azp") or claims["appid"])


def _claims(tenant: Tenant, token: str, audiences: tuple[str, ...]) -> dict[str, Any]:
    # PyJWT would use the computer's clock. Control can move the tenant's clock, so the expiry is checked here.
    try:
        claims = jwt.decode(
            token,
            tenant.keys.signing.public_key(),
            ["RS256"],
            options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError as error:
        reason = "IDX14100: JWT is not well formed, or its signature is invalid."
        raise Refusal("InvalidAuthenticationToken", reason=reason) from error
    if claims["aud"] not in audiences:
        raise Refusal("InvalidAuthenticationToken", reason="Access token validation failure. Invalid audience.")
    if claims["exp"] <= tenant.now():
        reason = "Lifetime validation failed, the token is expired."
        raise Refusal("InvalidAuthenticationToken", reason=reason)
    return dict(claims)
