"""Settings about Entra: the first OAuth app, and the applications that may call with Entra tokens."""

import re
from pathlib import Path
from typing import Any

from shared.certificates import CERTIFICATE_RULE, read_certificate
from shared.domain.account import is_guid
from shared.domain.caller import Binding, EntraTrust
from shared.domain.clouds import BASE_SCOPES, Cloud, cloud_name
from shared.domain.oauth_app import Authentication, RegisteredApp
from shared.domain.secret import Secret
from shared.settings.reader import Reader, is_file

APP_ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{16}")
CALLER_KINDS = frozenset({"tokens", "entra"})


def read_oauth_app(read: Reader, cloud: Cloud) -> RegisteredApp:
    """The first OAuth app, which is registered in `cloud`."""
    tenant, tenants = read.text("MAILBIND_OAUTH_TENANT").lower(), read.listed("MAILBIND_ALLOWED_TENANTS")
    if tenant and not tenants and not is_guid(tenant):
        read.faults.append("MAILBIND_ALLOWED_TENANTS is required when MAILBIND_OAUTH_TENANT is not a tenant id")
    if not all(map(is_guid, tenants)):
        read.faults.append("MAILBIND_ALLOWED_TENANTS must be tenant ids")
    base_scopes = read.listed("MAILBIND_OAUTH_BASE_SCOPES") or {"api"}
    if not base_scopes <= BASE_SCOPES.keys():
        read.faults.append(f"MAILBIND_OAUTH_BASE_SCOPES must be of {', '.join(BASE_SCOPES)}, separated by commas")
        base_scopes = frozenset()
    return RegisteredApp(
        id=read.checked("MAILBIND_OAUTH_APP_ID", _is_app_id, "16 characters of A-Z, a-z, 0-9, - and _"),
        name=read.text("MAILBIND_OAUTH_APP_NAME", "Microsoft 365"),
        client_id=read.checked("MAILBIND_OAUTH_CLIENT_ID", is_guid, "an application (client) id"),
        authority=tenant,
        tenants=tuple(sorted(tenants)),
        base_scopes=tuple(sorted(base_scopes)),
        enabled=True,
        cloud=cloud_name(cloud),
        credential_reuse=read.switch("MAILBIND_OAUTH_CREDENTIAL_REUSE"),
        **_credentials(read),
    )


def read_callers(read: Reader) -> tuple[bool, EntraTrust | None]:
    """Whether callers may use API tokens, and which Entra tokens they may use; None for no Entra tokens."""
    audiences = _audiences(read)
    kinds = read.listed("MAILBIND_CALLERS") or ({"tokens", "entra"} if audiences else {"tokens"})
    if not kinds <= CALLER_KINDS:
        read.faults.append("MAILBIND_CALLERS must be tokens, entra, or both, separated by a comma")
    return "tokens" in kinds, _entra_trust(read, audiences) if "entra" in kinds else None


def _is_app_id(text: str) -> bool:
    return APP_ID_PATTERN.fullmatch(text) is not None


def _credentials(read: Reader) -> dict[str, Any]:
    """The attributes of RegisteredApp about its credentials."""
    readers = {"secret": _secrets, "certificate": _certificate, "federated": _managed_identity}
    name = "MAILBIND_OAUTH_AUTHENTICATION"
    method = read.checked(name, lambda text: text.lower() in readers, f"one of {', '.join(readers)}", "secret").lower()
    expires = read.timestamp("MAILBIND_OAUTH_SECRET_EXPIRES")
    if not method:
        return {}
    return {"authentication": Authentication(method), "secret_expires": expires, **readers[method](read)}


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
    certificate_and_expiry = read_certificate(pem)
    if certificate_and_expiry is None:
        read.faults.append(f"{name} must hold {CERTIFICATE_RULE}")
        return {}
    certificate, expires = certificate_and_expiry
    return {
        "certificate": certificate.certificate,
        "private_key": certificate.private_key,
        "secret_expires": expires,
    }


def _managed_identity(read: Reader) -> dict[str, Any]:
    name = "MAILBIND_OAUTH_MANAGED_IDENTITY"
    rule = "the client id of a user-assigned managed identity"
    return {"managed_identity": read.checked(name, is_guid, rule, read.text("AZURE_CLIENT_ID", "") or None)}


def _entra_trust(read: Reader, audiences: frozenset[str]) -> EntraTrust:
    tenants = read.listed("MAILBIND_CALLER_TENANTS")
    if not audiences:
        read.faults.append("MAILBIND_CALLER_AUDIENCE is missing")
    if not all(is_guid(audience) or "://" in audience for audience in audiences):
        read.faults.append("MAILBIND_CALLER_AUDIENCE must be application ID URIs and client ids, separated by commas")
    app_tenant = read.text("MAILBIND_OAUTH_TENANT", "").lower()
    if not tenants and not is_guid(app_tenant):
        read.faults.append("MAILBIND_CALLER_TENANTS is missing; it may be when MAILBIND_OAUTH_TENANT is a tenant id")
    if not all(map(is_guid, tenants)):
        read.faults.append("MAILBIND_CALLER_TENANTS must be tenant ids")
    return EntraTrust(audiences, tenants or frozenset({app_tenant}), _bindings(read))


def _audiences(read: Reader) -> frozenset[str]:
    """Audiences are compared exactly. A client id is in lower case in every token."""
    words = (word.strip() for word in read.values.get("MAILBIND_CALLER_AUDIENCE", "").split(","))
    return frozenset(word.lower() if is_guid(word) else word for word in words if word)


def _bindings(read: Reader) -> dict[str, Binding]:
    """Pairs of `client id=account` or `client id=prefix*`. A client id may be in several of them."""
    bindings: dict[str, Binding] = {}
    for pair in read.listed("MAILBIND_CALLER_ACCOUNTS"):
        client, _, account = (part.strip() for part in pair.partition("="))
        if not is_guid(client) or account in {"", "*"}:
            read.faults.append("MAILBIND_CALLER_ACCOUNTS must be pairs such as <client id>=<account or beginning*>")
            continue
        binding = bindings.get(client, Binding())
        is_prefix = account.endswith("*")
        bindings[client] = Binding.to(
            binding.accounts if is_prefix else (*binding.accounts, account),
            (*binding.prefixes, account[:-1]) if is_prefix else binding.prefixes,
        )
    return bindings
