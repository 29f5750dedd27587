"""What is registered with apps beside their secrets: certificates and federated identity credentials."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

AUDIENCE = "api://AzureADTokenExchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """A federated identity credential: all three must match the assertion's claims, case included."""

    issuer: str
    subject: str
    audience: str = AUDIENCE


@dataclass(slots=True)
class Registered:
    """What is registered with apps beside their secrets, by client id; certificates by their SHA-256 thumbprint."""

    certificates: dict[str, dict[str, Certificate]] = field(default_factory=dict)
    federations: dict[str, list[Federation]] = field(default_factory=dict)

    def add_certificate(self, client: str, pem: str) -> None:
        """Register a certificate. Raises ValueError for what is none."""
        certificate = load_pem_x509_certificate(pem.encode())
        self.certificates.setdefault(client, {})[thumbprint(certificate)] = certificate

    def trust(self, client: str, federation: Federation) -> None:
        """Let a client in by somebody else's tokens."""
        self.federations.setdefault(client, []).append(federation)


def thumbprint(certificate: Certificate) -> str:
    """The `x5t#S256` of a certificate (RFC 7515 section 4.1.8)."""
    return urlsafe_b64encode(certificate.fingerprint(SHA256())).rstrip(b"=").decode()
