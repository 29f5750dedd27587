"""Reads certificates that OAuth apps authenticate with."""

import re
from datetime import datetime

from shared.domain.formats import clamp_timestamp
from shared.domain.oauth_app import ClientCertificate
from shared.domain.secret import Secret

KEY_PATTERN = re.compile(r"-----BEGIN (?:RSA )?PRIVATE KEY-----.+?-----END (?:RSA )?PRIVATE KEY-----", re.DOTALL)
CERTIFICATE_PATTERN = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
CERTIFICATE_RULE = "a certificate and its own RSA private key without a passphrase, as PEM"


def read_certificate(pem: str) -> tuple[ClientCertificate, datetime] | None:
    """The certificate, followed by those of its issuers, and its expiry. None if it breaks CERTIFICATE_RULE."""
    key, certificates = KEY_PATTERN.search(pem), CERTIFICATE_PATTERN.findall(pem)
    expires = _expiry(key[0], certificates[0]) if key and certificates else None
    if key is None or expires is None:
        return None
    return ClientCertificate(Secret(key[0]), "\n".join(certificates)), expires


def _expiry(key: str, certificate: str) -> datetime | None:
    """The certificate's expiry, or None if the key is not its own."""
    # Imported here because apps with other credentials do not need it at start-up.
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - see above
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - see above

    try:
        private_key = load_pem_private_key(key.encode(), password=None)
        x509 = load_pem_x509_certificate(certificate.encode())
        is_own_key = isinstance(private_key, RSAPrivateKey) and private_key.public_key() == x509.public_key()
        # A certificate without an expiry has the date 9999-12-31 (RFC 5280 section 4.1.2.5).
        return clamp_timestamp(x509.not_valid_after_utc) if is_own_key else None
    except (ValueError, TypeError):
        return None
