"""Settings of the first OAuth app, and of how it proves to Entra that it is itself."""

import re
from pathlib import Path
from typing import Any

from shared.certificates import MUST, read_certificate
from shared.domain.account import is_guid
from shared.domain.clouds import BASE_SCOPES, Cloud, cloud_name
from shared.domain.oauth_app import Authentication, RegisteredApp
from shared.domain.secret import Secret
from shared.settings.reader import Reader, is_file

APP_ID = re.compile(r"[A-Za-z0-9_-]{16}")


def read_oauth_app(read: Reader, cloud: Cloud) -> RegisteredApp:
    """The OAuth app; `cloud` is where it is registered."""
    tenant, tenants = read.text("MAILBIND_OAUTH_TENANT").lower(), read.listed("MAILBIND_ALLOWED_TENANTS")
    if tenant and not tenants and not is_guid(tenant):
        read.faults.append("MAILBIND_ALLOWED_TENANTS is required when MAILBIND_OAUTH_TENANT is not a tenant id")
    if not all(is_guid(one) for one in tenants):
        read.faults.append("MAILBIND_ALLOWED_TENANTS must be tenant ids")
    base = read.listed("MAILBIND_OAUTH_BASE_SCOPES") or {"api"}
    if not base <= BASE_SCOPES.keys():
        read.faults.append(f"MAILBIND_OAUTH_BASE_SCOPES must be of {', '.join(BASE_SCOPES)}, separated by commas")
        base = frozenset()
    return RegisteredApp(
        id=read.checked("MAILBIND_OAUTH_APP_ID", _is_app_id, "16 characters of A-Z, a-z, 0-9, - and _"),
        name=read.text("MAILBIND_OAUTH_APP_NAME", "Microsoft 365"),
        client_id=read.checked("MAILBIND_OAUTH_CLIENT_ID", is_guid, "an application (client) id"),
        authority=tenant,
        tenants=tuple(sorted(tenants)),
        base_scopes=tuple(sorted(base)),
        enabled=True,
        cloud=cloud_name(cloud),
        credential_reuse=read.switch("MAILBIND_OAUTH_CREDENTIAL_REUSE"),
        **_authentication(read),
    )


def _authentication(read: Reader) -> dict[str, Any]:
    kinds = {"secret": _secrets, "certificate": _certificate, "federated": _federated}
    name = "MAILBIND_OAUTH_AUTHENTICATION"
    chosen = read.checked(name, lambda text: text.lower() in kinds, f"one of {', '.join(kinds)}", "secret").lower()
    ends = {"secret_expires": read.moment("MAILBIND_OAUTH_SECRET_EXPIRES")}
    return {"authentication": Authentication(chosen), **ends, **kinds[chosen](read)} if chosen else {}


def _secrets(read: Reader) -> dict[str, Any]:
    first, second = read.text("MAILBIND_OAUTH_CLIENT_SECRET"), read.text("MAILBIND_OAUTH_CLIENT_SECRET_2", "")
    return {"client_secret": Secret(first), "client_secret_2": Secret(second) if second else None}


def _certificate(read: Reader) -> dict[str, Any]:
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
        return {}
    found = read_certificate(pem)
    if found is None:
        read.faults.append(f"{name} must hold {MUST}")
        return {}
    certificate, end = found
    return {"certificate": certificate.certificate, "private_key": certificate.private_key, "secret_expires": end}


def _federated(read: Reader) -> dict[str, Any]:
    name = "MAILBIND_OAUTH_MANAGED_IDENTITY"
    must = "the client id of a user-assigned managed identity"
    return {"managed_identity": read.checked(name, is_guid, must, read.text("AZURE_CLIENT_ID", "") or None)}


def _is_app_id(text: str) -> bool:
    return APP_ID.fullmatch(text) is not None
