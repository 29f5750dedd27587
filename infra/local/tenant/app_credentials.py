"""What apps authenticate with instead of a secret: certificates and federated identity credentials."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

TOKEN_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"  # noqa: S105 - an audience


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCredential:
    """A federated identity credential: all three must equal the assertion's claims, including case."""

    issuer: str
    subject: str
    audience: str = TOKEN_EXCHANGE_AUDIENCE


@dataclass(slots=True)
class AppCredentials:
    """Certificates by client id and SHA-256 thumbprint, and federated credentials by client id."""

    certificates: dict[str, dict[str, Certificate]] = field(default_factory=dict)
    federated: dict[str, list[FederatedCredential]] = field(default_factory=dict)

    def add_certificate(self, client_id: str, pem: str) -> None:
        """Register a certificate. Raises ValueError if the PEM text is not a certificate."""
        certificate = load_pem_x509_certificate(pem.encode())
        self.certificates.setdefault(client_id, {})[thumbprint(certificate)] = certificate

    def add_federated(self, client_id: str, credential: FederatedCredential) -> None:
        """Register a federated identity credential."""
        self.federated.setdefault(client_id, []).append(credential)


def thumbprint(certificate: Certificate) -> str:
    """The `x5t#S256` of a certificate (RFC 7515 section 4.1.8)."""
    return urlsafe_b64encode(certificate.fingerprint(SHA256())).rstrip(b"=").decode()
