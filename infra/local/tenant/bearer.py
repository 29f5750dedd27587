"""Whom an access token speaks for: what every API of the tenant checks first."""

from dataclasses import dataclass
from typing import Any

import jwt

from infra.local.tenant.directory import Person
from infra.local.tenant.failures import Refusal
from infra.local.tenant.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom the bearer token speaks for, what it allows, and since when it is valid, in epoch seconds."""

    person: Person
    scopes: frozenset[str]
    issued: float

    def needs(self, any_of: set[str], otherwise: str) -> None:
        """Refuse unless the token carries one of these permissions."""
        if not self.scopes & any_of:
            raise Refusal(otherwise)


def read_caller(tenant: Tenant, token: str, *audiences: str) -> Caller:
    """Whom the token speaks for. Refusal InvalidAuthenticationToken unless it is for one of the audiences and good."""
    claims = _claims(tenant, token, audiences)
    person = tenant.directory.people.get(claims["oid"])
    if person is None:
        raise Refusal("InvalidAuthenticationToken", reason="The user of the access token was not found.")
    return Caller(person, frozenset(claims["scp"].split()), claims["iat"])


def _claims(tenant: Tenant, token: str, audiences: tuple[str, ...]) -> dict[str, Any]:
    # The tenant's own clock decides about the lifetime, because control can move it.
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
