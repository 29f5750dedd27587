"""All settings of the app."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from shared.domain.caller import EntraTrust
from shared.domain.clouds import CLOUDS, GLOBAL, Cloud, MailServer, clouds_with
from shared.domain.limit import LimitKind
from shared.domain.oauth_app import OAuthApp, RegisteredApp
from shared.domain.secret import Secret
from shared.settings.callers import read_callers
from shared.settings.keys import KeySettings, read_keys
from shared.settings.oauth import read_oauth_app
from shared.settings.public import LOOPBACK, is_public, local_only_faults
from shared.settings.reader import Reader, SettingsError, is_file, is_https, is_origin, is_server

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_LIMIT, MAX_PUBLIC_LIMIT, MAX_PUBLIC_BAD_TOKENS = 1_000_000, 10_000, 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the app is told from outside.

    `tables` is a connection string, or the https address of a table service that is reached by managed identity;
    `queues` is the same for the host's own storage. `seed` is the first OAuth app, which is there without any call.
    `tick_rows` is how many rows of one shard the timer works before it hands over. `proxies` is how many proxies of
    ours stand before the platform's own front end, `limits` how many requests a minute are answered. `token_callers`
    says whether API tokens let callers in, `entra_trust` which of Entra's tokens do, None for none.
    `webhooks_loopback` lets events go to this computer too; `warn_ahead` is how long before an end events tell of it.
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
    warn_ahead: timedelta
    ca_file: str | None
    managed_identity: str | None

    @property
    def oauth_app(self) -> OAuthApp:
        """The first OAuth app as the settings have it."""
        return self.seed.to_oauth_app(clouds_with(self.cloud))


def read_settings(values: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises SettingsError with all faults at once."""
    read = Reader(values)
    token_callers, entra_trust = read_callers(read)
    base_url = read.checked("MAILBIND_BASE_URL", _is_base, "an https address without a path").rstrip("/")
    cloud = _cloud(read)
    settings = Settings(
        tables=Secret(read.text("MAILBIND_TABLES")),
        base_url=base_url,
        admin_token_sha256=read.checked(
            "MAILBIND_ADMIN_TOKEN_SHA256", _is_sha256, "a SHA-256 in hexadecimal", None if token_callers else ""
        ).lower(),
        token_callers=token_callers,
        entra_trust=entra_trust,
        keys=read_keys(read),
        seed=read_oauth_app(read, cloud),
        cloud=cloud,
        redirect_origins=_origins(read, base_url),
        link_lifetime=timedelta(hours=read.number("MAILBIND_LINK_HOURS", 24, 720)),
        agenda_shards=read.number("MAILBIND_AGENDA_SHARDS", 16, 256),
        tick_rows=read.number("MAILBIND_TICK_ROWS", 1000, 100_000),
        proxies=read.number("MAILBIND_PROXIES", 0, 8, least=0),
        limits=_limits(read, public=is_public(base_url)),
        queues=Secret(read.text("AzureWebJobsStorage", "") or read.text("AzureWebJobsStorage__queueServiceUri")),
        webhooks_loopback=read.switch("MAILBIND_WEBHOOKS_LOOPBACK"),
        warn_ahead=timedelta(days=read.number("MAILBIND_WARN_DAYS", 14, 60)),
        ca_file=read.checked("MAILBIND_CA_FILE", is_file, "a file", "") or None,
        managed_identity=read.text("AZURE_CLIENT_ID", "") or None,
    )
    read.faults += local_only_faults(read, base_url)
    if read.faults:
        raise SettingsError("settings: " + "; ".join(dict.fromkeys(read.faults)))
    return settings


def _cloud(read: Reader) -> Cloud:
    def address(name: str, default: str) -> str:
        return read.checked(name, is_https, "an https address", default).rstrip("/")

    return Cloud(
        address("MAILBIND_AUTHORITY_HOST", CLOUDS[GLOBAL].authority),
        address("MAILBIND_GRAPH_ROOT", CLOUDS[GLOBAL].graph),
        address("MAILBIND_OUTLOOK_ROOT", CLOUDS[GLOBAL].outlook),
        _imap_server(read),
    )


def _imap_server(read: Reader) -> MailServer | None:
    text = read.checked("MAILBIND_IMAP_SERVER", is_server, "a host and a port, such as outlook.office365.com:993", "")
    host, _, port = text.rpartition(":")
    return MailServer(host.strip("[]"), int(port)) if text else None


def _limits(read: Reader, *, public: bool) -> Mapping[LimitKind, int]:
    most = MAX_PUBLIC_LIMIT if public else MAX_LIMIT  # tests and benchmarks on this computer go without
    forms = read.number("MAILBIND_FORMS_PER_MINUTE", 60, most)
    pages = read.number("MAILBIND_PAGES_PER_MINUTE", 60, most)
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


def _is_base(text: str) -> bool:
    # Plain http only for this computer: a __Host- cookie needs https, and browsers make an exception for loopback.
    return is_https(text) or (is_origin(text.rstrip("/")) and urlsplit(text).hostname in LOOPBACK)


def _is_sha256(text: str) -> bool:
    return SHA256.fullmatch(text.lower()) is not None
