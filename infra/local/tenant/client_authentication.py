"""Client assertions: how an app authenticates without a secret (RFC 7523 section 2.2).

The assertion is signed with a registered certificate, or is a token of an issuer that the app trusts by a federated
identity credential.
https://learn.microsoft.com/entra/identity-platform/certificate-credentials
https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
"""

from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from infra.local.tenant.app_credentials import FederatedCredential
from infra.local.tenant.entities import Client
from infra.local.tenant.failures import Refusal
from infra.local.tenant.tenant import Tenant

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLOCK_SKEW_SECONDS = 300


def check_assertion(tenant: Tenant, client: Client, form: Mapping[str, str], endpoint: str) -> None:
    """Raise a Refusal unless the form's assertion authenticates the client; `endpoint` is the token endpoint's URL."""
    assertion = form.get("client_assertion", "")
    if form.get("client_assertion_type") != JWT_BEARER:
        raise Refusal("900144", parameter="client_assertion_type")
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise Refusal("50027") from error
    if not claims.get("iss") or not claims.get("sub"):
        raise Refusal("50027")
    if claims["iss"] == client.id:
        _check_certificate(tenant, client, assertion, header, endpoint)
    else:
        _check_federation(tenant, client, assertion, claims)


def _check_certificate(
    tenant: Tenant, client: Client, assertion: str, header: Mapping[str, Any], endpoint: str
) -> None:
    # MSAL keeps the padding, which RFC 7515 section 2 removes.
    thumbprint = str(header.get("x5t#S256", "")).rstrip("=")
    certificate = tenant.app_credentials.certificates.get(client.id, {}).get(thumbprint)
    public_key = certificate.public_key() if certificate else None
    if certificate is None or not isinstance(public_key, RSAPublicKey):
        raise Refusal("700027")
    now = tenant.now()
    valid_from = certificate.not_valid_before_utc.timestamp() - CLOCK_SKEW_SECONDS
    if not valid_from <= now <= certificate.not_valid_after_utc.timestamp():
        raise Refusal("700027")
    try:
        claims = jwt.decode(
            assertion,
            public_key,
            algorithms=["PS256", "RS256"],
            audience=endpoint,
            issuer=client.id,
            options={"require": ["exp", "sub", "jti"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidAudienceError as error:
        raise Refusal("50027") from error
    except jwt.InvalidTokenError as error:
        raise Refusal("700027") from error
    if claims["sub"] != client.id or float(claims["exp"]) + CLOCK_SKEW_SECONDS < now:
        raise Refusal("700024")


def _check_federation(tenant: Tenant, client: Client, assertion: str, claims: Mapping[str, Any]) -> None:
    issuer, subject, audience = (str(claims.get(name, "")) for name in ("iss", "sub", "aud"))
    if FederatedCredential(issuer=issuer, subject=subject, audience=audience) not in _credentials(tenant, client):
        raise Refusal("700213", subject=subject)
    try:
        # The tenant knows the keys of one issuer only: its own.
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        public_key = tenant.keys.signing.public_key()
        jwt.decode(
            assertion, public_key, algorithms=["RS256"], audience=audience, issuer=tenant.issuer, options=options
        )
    except jwt.InvalidTokenError as error:
        raise Refusal("50013") from error
    if float(claims.get("exp", 0)) + CLOCK_SKEW_SECONDS < tenant.now():
        raise Refusal("700024")


def _credentials(tenant: Tenant, client: Client) -> list[FederatedCredential]:
    """The credentials of contoso.toml, whose issuer is the tenant itself, and those that control added."""
    own_credentials = [
        FederatedCredential(issuer=tenant.issuer, subject=identity.principal_id)
        for identity in tenant.directory.identities.values()
        if client.id in identity.trusted_by
    ]
    return own_credentials + tenant.app_credentials.federated.get(client.id, [])
