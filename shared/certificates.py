"""Reads certificates that apps authenticate with."""

import re
from datetime import datetime

from shared.domain.formats import clamp_timestamp
from shared.domain.oauth_app import ClientCertificate
from shared.domain.secret import Secret

PRIVATE_KEY = re.compile(r"-----BEGIN (?:RSA )?PRIVATE KEY-----.+?-----END (?:RSA )?PRIVATE KEY-----", re.DOTALL)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
MUST = "a certificate and its own RSA private key without a passphrase, as PEM"


def read_certificate(pem: str) -> tuple[ClientCertificate, datetime] | None:
    """The certificate, with those of its issuers behind it, and when it ends; None unless it is what MUST says."""
    key, certificates = PRIVATE_KEY.search(pem), CERTIFICATE.findall(pem)
    end = _end(key[0], certificates[0]) if key and certificates else None
    if key is None or end is None:
        return None
    return ClientCertificate(Secret(key[0]), "\n".join(certificates)), end


def _end(key: str, certificate: str) -> datetime | None:
    """When the certificate ends, if the key is its own."""
    # Imported here because an app with another credential starts without cryptography.
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - see above
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - see above

    try:
        private, public = (
            load_pem_private_key(key.encode(), password=None),
            load_pem_x509_certificate(certificate.encode()),
        )
        own = isinstance(private, RSAPrivateKey) and private.public_key() == public.public_key()
        # One without a defined end says 9999-12-31 (RFC 5280 section 4.1.2.5).
        return clamp_timestamp(public.not_valid_after_utc) if own else None
    except (ValueError, TypeError):
        return None
