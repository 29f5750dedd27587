"""All settings of the app."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from shared.domain.caller import EntraTrust
from shared.domain.clouds import CLOUDS, GLOBAL, Cloud, MailServer, clouds_with
from shared.domain.limit import LimitKind
from shared.domain.oauth_app import OAuthApp, RegisteredApp
from shared.domain.secret import Secret
from shared.settings.entra import read_callers, read_oauth_app
from shared.settings.public import LOOPBACK, is_public, local_only_faults
from shared.settings.reader import Reader, SettingsError, is_file, is_https, is_origin, is_server

SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
SEALING_KEY_BYTES = 32
MIB = 1024 * 1024
# Key Vault: about keys, "object identifiers".
VAULT_KEY_PATTERN = re.compile(r"/keys/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?")
# Requests per minute. Tests and benchmarks on this computer need higher limits.
MAX_LIMIT, MAX_PUBLIC_LIMIT, MAX_PUBLIC_BAD_TOKENS = 1_000_000, 10_000, 1000


class KeySettings(NamedTuple):
    """Key-encryption keys: identifiers in Azure Key Vault, and local keys.

    The first vault key wraps, or without one the first local key (`local_wraps`); all of them unwrap. A data key seals
    for `rotation_interval` before the next one is created.
    """

    vault: tuple[str, ...]
    local: tuple[Secret, ...]
    rotation_interval: timedelta
    local_wraps: bool


@dataclass(frozen=True)
class Settings:
    """The settings.

    `tables` is a connection string, or the https address of a table service that is used by managed identity; `queues`
    is the same for the queues. `seed` is the first OAuth app. The timer works on `tick_rows` rows of a shard, and hands
    the rest over to other instances. `proxies` is the number of our own proxies in front of the platform's front end.
    `limits` are requests per minute. `token_callers` says whether callers may use API tokens, `entra_trust` which Entra
    tokens they may use (None: none). `webhooks_loopback` allows webhooks on this computer. `sample_app` is where a
    local run has its sample app. Warnings of an expiry are sent `warn_ahead` of it. A process remembers a grant for
    `remember`. An answer of Graph's mail has at most `max_answer_bytes`.
    Without `hand_out`, no account hands out tokens.
    """

    tables: Secret
    base_url: str
    admin_token_sha256: str
    token_callers: bool
    entra_trust: EntraTrust | None
    keys: KeySettings
    seed: RegisteredApp
    cloud: Cloud
    redirect_origins: frozenset[str]
    link_lifetime: timedelta
    agenda_shards: int
    tick_rows: int
    proxies: int
    limits: Mapping[LimitKind, int]
    queues: Secret
    webhooks_loopback: bool
    sample_app: str | None
    warn_ahead: timedelta
    remember: timedelta
    max_answer_bytes: int
    hand_out: bool
    ca_file: str | None
    managed_identity: str | None

    @property
    def oauth_app(self) -> OAuthApp:
        """The first OAuth app, as sign-ins and refreshes use it."""
        return self.seed.to_oauth_app(clouds_with(self.cloud))


def read_settings(values: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises SettingsError with all faults at once."""
    read = Reader(values)
    token_callers, entra_trust = read_callers(read)
    base_url = read.checked("MAILBIND_BASE_URL", _is_base_url, "an https address without a path").rstrip("/")
    cloud = _cloud(read)
    settings = Settings(
        tables=Secret(read.text("MAILBIND_TABLES")),
        base_url=base_url,
        admin_token_sha256=read.checked(
            "MAILBIND_ADMIN_TOKEN_SHA256", _is_sha256, "a SHA-256 in hexadecimal", None if token_callers else ""
        ).lower(),
        token_callers=token_callers,
        entra_trust=entra_trust,
        keys=_keys(read),
        seed=read_oauth_app(read, cloud),
        cloud=cloud,
        redirect_origins=_origins(read, base_url),
        link_lifetime=timedelta(hours=read.number("MAILBIND_LINK_HOURS", 24, 720)),
        agenda_shards=read.number("MAILBIND_AGENDA_SHARDS", 16, 256),
        tick_rows=read.number("MAILBIND_TICK_ROWS", 1000, 100_000),
        proxies=read.number("MAILBIND_PROXIES", 0, 8, minimum=0),
        limits=_limits(read, public=is_public(base_url)),
        queues=Secret(read.text("AzureWebJobsStorage", "") or read.text("AzureWebJobsStorage__queueServiceUri")),
        webhooks_loopback=read.switch("MAILBIND_WEBHOOKS_LOOPBACK"),
        sample_app=read.checked("MAILBIND_SAMPLE_APP", _is_loopback_origin, "an origin on this computer", "") or None,
        warn_ahead=timedelta(days=read.number("MAILBIND_WARN_DAYS", 14, 60)),
        remember=timedelta(seconds=read.number("MAILBIND_REMEMBER_SECONDS", 30, 300, minimum=0)),
        max_answer_bytes=read.number("MAILBIND_MAX_ANSWER_MIB", 32, 100) * MIB,
        hand_out=read.switch("MAILBIND_HAND_OUT", default=True),
        ca_file=read.checked("MAILBIND_CA_FILE", is_file, "a file", "") or None,
        managed_identity=read.text("AZURE_CLIENT_ID", "") or None,
    )
    read.faults += local_only_faults(read, base_url)
    if read.faults:
        raise SettingsError("settings: " + "; ".join(dict.fromkeys(read.faults)))
    return settings


def _keys(read: Reader) -> KeySettings:
    """The key-encryption keys. At least one that wraps is required."""
    vault = _vault_key(read, "MAILBIND_KEY_VAULT_KEY")
    previous_vault = _vault_key(read, "MAILBIND_KEY_VAULT_KEY_PREVIOUS")
    local = _local_key(read, "MAILBIND_SEALING_KEY")
    previous_local = _local_key(read, "MAILBIND_SEALING_KEY_PREVIOUS")
    if not any(read.text(name, "") for name in ("MAILBIND_KEY_VAULT_KEY", "MAILBIND_SEALING_KEY")):
        read.faults.append(
            "MAILBIND_SEALING_KEY is missing, and so is MAILBIND_KEY_VAULT_KEY, which may take its place"
        )
    return KeySettings(
        vault=tuple(key for key in (vault, previous_vault) if key),
        local=tuple(Secret(key) for key in (local, previous_local) if key),
        rotation_interval=timedelta(days=read.number("MAILBIND_DATA_KEY_DAYS", 90, 3650)),
        local_wraps=not vault,
    )


def _local_key(read: Reader, name: str) -> str:
    return read.checked(name, _is_sealing_key, "32 bytes in base64", "")


def _vault_key(read: Reader, name: str) -> str:
    return read.checked(name, _is_vault_key, "a key identifier such as https://…vault.azure.net/keys/mailbind", "")


def _cloud(read: Reader) -> Cloud:
    def origin(name: str, default: str) -> str:
        return read.checked(name, is_https, "an https address", default).rstrip("/")

    return Cloud(
        origin("MAILBIND_AUTHORITY_HOST", CLOUDS[GLOBAL].authority),
        origin("MAILBIND_GRAPH_ROOT", CLOUDS[GLOBAL].graph),
        origin("MAILBIND_OUTLOOK_ROOT", CLOUDS[GLOBAL].outlook),
        _imap_server(read),
    )


def _imap_server(read: Reader) -> MailServer | None:
    text = read.checked("MAILBIND_IMAP_SERVER", is_server, "a host and a port, such as outlook.office365.com:993", "")
    host, _, port = text.rpartition(":")
    return MailServer(host.strip("[]"), int(port)) if text else None


def _limits(read: Reader, *, public: bool) -> Mapping[LimitKind, int]:
    maximum = MAX_PUBLIC_LIMIT if public else MAX_LIMIT
    forms = read.number("MAILBIND_FORMS_PER_MINUTE", 60, maximum)
    pages = read.number("MAILBIND_PAGES_PER_MINUTE", 60, maximum)
    return {
        LimitKind.FORM_BY_CALLER: forms,
        LimitKind.FORM_BY_ADDRESS: forms,
        LimitKind.ACCOUNT_BY_GRANT: forms,
        LimitKind.PAGE: pages,
        LimitKind.CALLBACK: pages,
        LimitKind.BAD_TOKEN: read.number(
            "MAILBIND_BAD_TOKENS_PER_MINUTE", 20, MAX_PUBLIC_BAD_TOKENS if public else MAX_LIMIT
        ),
    }


def _origins(read: Reader, base_url: str) -> frozenset[str]:
    origins = read.listed("MAILBIND_REDIRECT_ORIGINS")
    if not all(is_origin(origin) for origin in origins):
        read.faults.append("MAILBIND_REDIRECT_ORIGINS must be origins such as https://app.example, separated by commas")
    if not origins and is_public(base_url):
        read.faults.append("MAILBIND_REDIRECT_ORIGINS is missing; it may be empty only on this computer")
    return origins


def _is_base_url(text: str) -> bool:
    # A __Host- cookie needs https; browsers make an exception for loopback addresses.
    return is_https(text) or _is_loopback_origin(text.rstrip("/"))


def _is_loopback_origin(text: str) -> bool:
    return is_origin(text) and urlsplit(text).hostname in LOOPBACK


def _is_sha256(text: str) -> bool:
    return SHA256_PATTERN.fullmatch(text.lower()) is not None


def _is_sealing_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == SEALING_KEY_BYTES
    except ValueError:
        return False


def _is_vault_key(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # half an IPv6 address
        return False
    origin = f"{parts.scheme}://{parts.netloc}"
    return is_https(origin) and VAULT_KEY_PATTERN.fullmatch(parts.path) is not None and text == origin + parts.path
