"""Settings: read once, and every fault reported together, by name and never by value."""

import base64
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from shared.domain.caller import EntraTrust
from shared.domain.oauth_app import MAIL_SCOPES, OAuthApp
from shared.domain.secret import Secret
from shared.settings_callers import read_callers
from shared.settings_reader import Reader

APP_ID = re.compile(r"[A-Za-z0-9_-]{16}")
SHA256 = re.compile(r"[0-9a-f]{64}")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SEALING_KEY_BYTES = 32


class SettingsError(Exception):
    """What is wrong with the settings, one line for each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the app is told from outside.

    `tables` is a connection string, or the https address of a table service that is reached by managed identity;
    `queues` is the same for the host's own storage. `tick_rows` is how many rows of one shard the timer works before it
    hands over. `proxies` is how many proxies of ours stand before the platform's own front end. `token_callers` says
    whether API tokens let callers in, `entra_trust` which of Entra's tokens do, None for none.
    """

    tables: Secret
    base_url: str
    admin_token_sha256: str
    token_callers: bool
    entra_trust: EntraTrust | None
    sealing_key: Secret
    oauth_app: OAuthApp
    authority_host: str
    graph_root: str
    redirect_origins: frozenset[str]
    link_lifetime: timedelta
    agenda_shards: int
    tick_rows: int
    proxies: int
    queues: Secret
    ca_file: str | None
    managed_identity: str | None


def read_settings(values: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises SettingsError with all faults at once."""
    read = Reader(values)
    token_callers, entra_trust = read_callers(read)
    base_url = read.checked("MAILBIND_BASE_URL", _is_base, "an https address without a path").rstrip("/")
    graph_root = read.checked("MAILBIND_GRAPH_ROOT", _is_https, "an https address", "https://graph.microsoft.com")
    settings = Settings(
        tables=Secret(read.text("MAILBIND_TABLES")),
        base_url=base_url,
        admin_token_sha256=read.checked(
            "MAILBIND_ADMIN_TOKEN_SHA256", _is_sha256, "a SHA-256 in hexadecimal", None if token_callers else ""
        ).lower(),
        token_callers=token_callers,
        entra_trust=entra_trust,
        sealing_key=Secret(read.checked("MAILBIND_SEALING_KEY", _is_key, "32 bytes in base64")),
        oauth_app=_oauth_app(read, graph_root.rstrip("/")),
        authority_host=read.checked(
            "MAILBIND_AUTHORITY_HOST", _is_https, "an https address", "https://login.microsoftonline.com"
        ).rstrip("/"),
        graph_root=graph_root.rstrip("/"),
        redirect_origins=_origins(read, base_url),
        link_lifetime=timedelta(hours=read.number("MAILBIND_LINK_HOURS", 24, 720)),
        agenda_shards=read.number("MAILBIND_AGENDA_SHARDS", 16, 256),
        tick_rows=read.number("MAILBIND_TICK_ROWS", 1000, 100_000),
        proxies=read.number("MAILBIND_PROXIES", 0, 8, least=0),
        queues=Secret(read.text("AzureWebJobsStorage", "") or read.text("AzureWebJobsStorage__queueServiceUri")),
        ca_file=read.checked("MAILBIND_CA_FILE", _is_file, "a file", "") or None,
        managed_identity=read.text("AZURE_CLIENT_ID", "") or None,
    )
    if read.faults:
        raise SettingsError("settings: " + "; ".join(read.faults))
    return settings


def _oauth_app(read: Reader, graph_root: str) -> OAuthApp:
    tenant = read.text("MAILBIND_OAUTH_TENANT").lower()
    tenants = read.listed("MAILBIND_ALLOWED_TENANTS") or (frozenset({tenant}) if _is_guid(tenant) else frozenset())
    if tenant and not tenants:
        read.faults.append("MAILBIND_ALLOWED_TENANTS is required when MAILBIND_OAUTH_TENANT is not a tenant id")
    if not all(_is_guid(one) for one in tenants):
        read.faults.append("MAILBIND_ALLOWED_TENANTS must be tenant ids")
    return OAuthApp(
        id=read.checked("MAILBIND_OAUTH_APP_ID", _is_app_id, "16 characters of A-Z, a-z, 0-9, - and _"),
        name=read.text("MAILBIND_OAUTH_APP_NAME", "Microsoft 365"),
        client_id=read.checked("MAILBIND_OAUTH_CLIENT_ID", _is_guid, "an application (client) id"),
        client_secrets=_secrets(read),
        tenant=tenant,
        tenants=tenants,
        # Full names, so that a token is for Graph of this very cloud (Entra: scopes and permissions).
        scopes=tuple(f"{graph_root}/{scope}" for scope in MAIL_SCOPES),
        credential_reuse=read.switch("MAILBIND_OAUTH_CREDENTIAL_REUSE"),
    )


def _secrets(read: Reader) -> tuple[Secret, ...]:
    first, second = read.text("MAILBIND_OAUTH_CLIENT_SECRET"), read.text("MAILBIND_OAUTH_CLIENT_SECRET_2", "")
    return tuple(Secret(secret) for secret in (first, second) if secret)


def _origins(read: Reader, base_url: str) -> frozenset[str]:
    origins = read.listed("MAILBIND_REDIRECT_ORIGINS")
    if not all(_is_origin(origin) for origin in origins):
        read.faults.append("MAILBIND_REDIRECT_ORIGINS must be origins such as https://app.example, separated by commas")
    if not origins and base_url and urlsplit(base_url).hostname not in LOOPBACK:
        read.faults.append("MAILBIND_REDIRECT_ORIGINS is missing; it may be empty only on this computer")
    return origins


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is none
        return False
    return named and parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}"


def _is_https(text: str) -> bool:
    return _is_origin(text.rstrip("/")) and text.startswith("https://")


def _is_base(text: str) -> bool:
    # Plain http only for this computer: a __Host- cookie needs https, and browsers make an exception for loopback.
    return _is_https(text) or (_is_origin(text.rstrip("/")) and urlsplit(text).hostname in LOOPBACK)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a name that no file system takes
        return False


def _is_sha256(text: str) -> bool:
    return SHA256.fullmatch(text.lower()) is not None


def _is_app_id(text: str) -> bool:
    return APP_ID.fullmatch(text) is not None


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == SEALING_KEY_BYTES
    except ValueError:
        return False


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
