"""Settings of the OAuth app, and of how it proves to Entra that it is itself."""

import re
from pathlib import Path

from shared.domain.client_credential import ClientCertificate, ClientCredential, ClientSecret, FederatedIdentity
from shared.domain.clouds import BASE_SCOPES, Cloud
from shared.domain.oauth_app import OAuthApp
from shared.domain.secret import Secret
from shared.settings.reader import Reader, is_file, is_guid

APP_ID = re.compile(r"[A-Za-z0-9_-]{16}")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:RSA )?PRIVATE KEY-----.+?-----END (?:RSA )?PRIVATE KEY-----", re.DOTALL)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def read_oauth_app(read: Reader, cloud: Cloud) -> OAuthApp:
    """The OAuth app; `cloud` is where its permissions are good."""
    tenant = read.text("MAILBIND_OAUTH_TENANT").lower()
    tenants = read.listed("MAILBIND_ALLOWED_TENANTS") or (frozenset({tenant}) if is_guid(tenant) else frozenset())
    if tenant and not tenants:
        read.faults.append("MAILBIND_ALLOWED_TENANTS is required when MAILBIND_OAUTH_TENANT is not a tenant id")
    if not all(is_guid(one) for one in tenants):
        read.faults.append("MAILBIND_ALLOWED_TENANTS must be tenant ids")
    base = read.listed("MAILBIND_OAUTH_BASE_SCOPES") or {"api"}
    if not base <= BASE_SCOPES.keys():
        read.faults.append(f"MAILBIND_OAUTH_BASE_SCOPES must be of {', '.join(BASE_SCOPES)}, separated by commas")
        base = frozenset()
    return OAuthApp(
        id=read.checked("MAILBIND_OAUTH_APP_ID", _is_app_id, "16 characters of A-Z, a-z, 0-9, - and _"),
        name=read.text("MAILBIND_OAUTH_APP_NAME", "Microsoft 365"),
        client_id=read.checked("MAILBIND_OAUTH_CLIENT_ID", is_guid, "an application (client) id"),
        credentials=_credentials(read),
        tenant=tenant,
        tenants=tenants,
        cloud=cloud,
        scopes=cloud.scopes(sorted(base)),
        credential_reuse=read.switch("MAILBIND_OAUTH_CREDENTIAL_REUSE"),
        secret_expires=read.moment("MAILBIND_OAUTH_SECRET_EXPIRES"),
    )


def _credentials(read: Reader) -> tuple[ClientCredential, ...]:
    kinds = {"secret": _secrets, "certificate": _certificate, "federated": _federated}
    name = "MAILBIND_OAUTH_AUTHENTICATION"
    chosen = read.checked(name, lambda text: text.lower() in kinds, f"one of {', '.join(kinds)}", "secret").lower()
    return kinds[chosen](read) if chosen else ()


def _secrets(read: Reader) -> tuple[ClientCredential, ...]:
    first, second = read.text("MAILBIND_OAUTH_CLIENT_SECRET"), read.text("MAILBIND_OAUTH_CLIENT_SECRET_2", "")
    return tuple(ClientSecret(Secret(secret)) for secret in (first, second) if secret)


def _certificate(read: Reader) -> tuple[ClientCredential, ...]:
    name = "MAILBIND_OAUTH_CERTIFICATE"
    file = read.checked("MAILBIND_OAUTH_CERTIFICATE_FILE", is_file, "a file", "")
    if file:
        name = "MAILBIND_OAUTH_CERTIFICATE_FILE"
        try:
            pem = Path(file).read_text(encoding="ascii")
        except (OSError, ValueError):
            pem = ""
    else:
        pem = read.text(name)
    if not pem and not file:
        return ()
    key, certificates = PRIVATE_KEY.search(pem), CERTIFICATE.findall(pem)
    if key is None or not certificates or not _belong_together(key[0], certificates[0]):
        read.faults.append(f"{name} must hold a certificate and its own RSA private key without a passphrase, as PEM")
        return ()
    return (ClientCertificate(Secret(key[0]), "\n".join(certificates)),)


def _federated(read: Reader) -> tuple[ClientCredential, ...]:
    name = "MAILBIND_OAUTH_MANAGED_IDENTITY"
    must = "the client id of a user-assigned managed identity"
    return (FederatedIdentity(read.checked(name, is_guid, must, read.text("AZURE_CLIENT_ID", "") or None)),)


def _belong_together(key: str, certificate: str) -> bool:
    # Imported here because an app with another credential starts without cryptography.
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - see above
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - see above

    try:
        private = load_pem_private_key(key.encode(), password=None)
        public = load_pem_x509_certificate(certificate.encode()).public_key()
    except (ValueError, TypeError):
        return False
    return isinstance(private, RSAPrivateKey) and private.public_key() == public


def _is_app_id(text: str) -> bool:
    return APP_ID.fullmatch(text) is not None
