"""The keys that the tenant keeps between starts: certificate authority, signing key, and the key of opaque tokens."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import trustme
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.utils import base64url_encode


@dataclass(frozen=True, slots=True)
class Keys:
    """The token signing key and its id, and the key that seals refresh tokens, codes and session cookies."""

    signing: rsa.RSAPrivateKey = field(repr=False)
    kid: str
    seal: Fernet = field(repr=False)

    def with_new_signing_key(self) -> "Keys":
        """The same keys with a new signing key."""
        signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return replace(self, signing=signing, kid=_kid(signing))


def load_keys(folder: Path) -> Keys:
    """Read the keys from the folder; missing ones are created there."""
    signing_pem = _read_or_create(folder / "signing.key", _new_signing_key)
    signing = serialization.load_pem_private_key(signing_pem, password=None)
    if not isinstance(signing, rsa.RSAPrivateKey):
        raise TypeError("signing.key holds no RSA key")
    return Keys(signing, _kid(signing), Fernet(_read_or_create(folder / "seal.key", Fernet.generate_key)))


def load_authority(folder: Path) -> trustme.CA:
    """Read the certificate authority from ca.pem and ca.key; missing files are created."""
    new_authority = trustme.CA(organization_name="Mailbind local tenant")
    key = _read_or_create(folder / "ca.key", new_authority.private_key_pem.bytes)
    return trustme.CA.from_pem(_read_or_create(folder / "ca.pem", new_authority.cert_pem.bytes), key)


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for 127.0.0.1 and localhost, with a new certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


def _kid(signing: rsa.RSAPrivateKey) -> str:
    modulus = signing.public_key().public_numbers().n
    return base64url_encode(modulus.to_bytes(256, "big")[:20]).decode()


def _new_signing_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _read_or_create(path: Path, create: Callable[[], bytes]) -> bytes:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(create())
    return path.read_bytes()
