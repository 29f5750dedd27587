"""How apps prove that they are themselves without a secret.

Client assertions (RFC 7523 section 2.2) are signed with a certificate that is registered with the app (entra-docs
certificate-credentials.md), or are tokens of somebody whom the app trusts: a federated identity credential (entra-docs
workload-identity-federation-config-app-trust-managed-identity.md).
"""

from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from infra.local.tenant.directory import Client
from infra.local.tenant.failures import Refusal
from infra.local.tenant.registered import Federation
from infra.local.tenant.tenant import Tenant

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SKEW = 300  # seconds that clocks may differ


def check_assertion(tenant: Tenant, client: Client, form: Mapping[str, str], endpoint: str) -> None:
    """Raise a Refusal unless the form's assertion is the client's; `endpoint` is the token endpoint's own address."""
    assertion = form.get("client_assertion", "")
    if form.get("client_assertion_type") != JWT_BEARER:
        raise Refusal("900144", parameter="client_assertion_type")
    try:
        header, claims = jwt.get_unverified_header(assertion), _claims(assertion)
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
    # MSAL leaves the padding on (msal/oauth2cli/assertion.py), which RFC 7515 section 2 takes off.
    thumbprint = str(header.get("x5t#S256", "")).rstrip("=")
    certificate = tenant.registered.certificates.get(client.id, {}).get(thumbprint)
    public = certificate.public_key() if certificate else None
    if certificate is None or not isinstance(public, RSAPublicKey):
        raise Refusal("700027")
    now = tenant.now()
    if not certificate.not_valid_before_utc.timestamp() - SKEW <= now <= certificate.not_valid_after_utc.timestamp():
        raise Refusal("700027")
    try:
        claims = jwt.decode(
            assertion,
            public,
            algorithms=["PS256", "RS256"],
            audience=endpoint,
            issuer=client.id,
            options={"require": ["exp", "sub", "jti"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidAudienceError as error:
        raise Refusal("50027") from error
    except jwt.InvalidTokenError as error:
        raise Refusal("700027") from error
    if claims["sub"] != client.id or float(claims["exp"]) + SKEW < now:
        raise Refusal("700024")


def _check_federation(tenant: Tenant, client: Client, assertion: str, claims: Mapping[str, Any]) -> None:
    told = [str(claims.get(name, "")) for name in ("iss", "sub", "aud")]
    trusted = [[each.issuer, each.subject, each.audience] for each in _federations(tenant, client)]
    if told not in trusted:
        raise Refusal("700213", subject=told[1])
    try:
        # The only issuer whose keys are known here is the tenant itself.
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        public = tenant.keys.signing.public_key()
        jwt.decode(assertion, public, algorithms=["RS256"], audience=told[2], issuer=tenant.issuer, options=options)
    except jwt.InvalidTokenError as error:
        raise Refusal("50013") from error
    if float(claims.get("exp", 0)) + SKEW < tenant.now():
        raise Refusal("700024")


def _federations(tenant: Tenant, client: Client) -> list[Federation]:
    """Those of contoso.toml, whose issuer is the tenant itself, and those that control added."""
    own = [
        Federation(issuer=tenant.issuer, subject=identity.principal_id)
        for identity in tenant.directory.identities.values()
        if client.id in identity.trusted_by
    ]
    return own + tenant.registered.federations.get(client.id, [])


def _claims(assertion: str) -> dict[str, Any]:
    return dict(jwt.decode(assertion, options={"verify_signature": False}))
