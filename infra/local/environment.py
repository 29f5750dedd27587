"""The local environment: Azurite, the tenant and the app on the Functions host, with the settings that connect them."""

import base64
import hashlib
import json
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from infra.local import azurite, parts

APP_ID = "AAABiCtT7XUAAAAF"
# The same number as in Azure. infra/app/function.bicep has the reason for it.
LARGEST_REQUEST_BODY_BYTES: int = json.loads((parts.ROOT / "infra/request-limits.json").read_text())[
    "largestRequestBodyBytes"
]
# The schedules of all timers. The host resolves them for disabled timers too.
SCHEDULES = {
    "REFRESH_SCHEDULE": "0 * * * * *",
    "REAP_SCHEDULE": "0 */5 * * * *",
    "DELIVER_SCHEDULE": "*/10 * * * * *",
    "SWEEP_SCHEDULE": "0 30 3 * * *",
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """The admin API token and the key that seals stored secrets. `make run` keeps both between runs."""

    admin_token: str
    sealing_key: str

    @classmethod
    def fresh(cls) -> Self:
        """Random secrets: 64 hexadecimal digits, and 32 bytes in base64."""
        return cls(secrets.token_hex(32), base64.b64encode(secrets.token_bytes(32)).decode())

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """The secrets in the file, which is created if it is missing. Only its owner can read it."""
        if not file.exists():
            write_private(file, asdict(cls.fresh()))
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on 127.0.0.1; 0 picks a free port."""

    app: int = 0
    tenant: int = 0
    tables: int = 0


@dataclass(frozen=True, slots=True)
class Environment:
    """The three running parts, and the app's settings."""

    storage: azurite.Azurite
    tenant: parts.Part
    host: parts.Part
    settings: Mapping[str, str]
    secrets: Secrets
    base_url: str


def write_private(file: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file that only its owner can read. It replaces an older file atomically."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as new_file:
        json.dump(document, new_file, indent=2)
    Path(new_file.name).replace(file)


def app_settings(storage: azurite.Azurite, tenant: parts.Ready, base_url: str, app_secrets: Secrets) -> dict[str, str]:
    """The app's settings for these parts; `tenant` is the tenant's ready report."""
    return {
        "AzureWebJobsStorage": storage.connection_string,
        "MAILBIND_TABLES": storage.connection_string,
        "MAILBIND_BASE_URL": base_url,
        "MAILBIND_ADMIN_TOKEN_SHA256": hashlib.sha256(app_secrets.admin_token.encode()).hexdigest(),
        "MAILBIND_SEALING_KEY": app_secrets.sealing_key,
        "MAILBIND_OAUTH_APP_ID": APP_ID,
        "MAILBIND_OAUTH_APP_NAME": "Contoso mail",
        "MAILBIND_OAUTH_CLIENT_ID": tenant["clientId"],
        "MAILBIND_OAUTH_CLIENT_SECRET": tenant["clientSecret"],
        "MAILBIND_OAUTH_TENANT": tenant["tenantId"],
        "MAILBIND_OAUTH_CREDENTIAL_REUSE": "false",
        "MAILBIND_ALLOWED_TENANTS": tenant["tenantId"],
        "MAILBIND_CALLER_AUDIENCE": f"{tenant['apiUri']},{tenant['apiClientId']}",
        "MAILBIND_REDIRECT_ORIGINS": "",
        "MAILBIND_AUTHORITY_HOST": tenant["url"],
        "MAILBIND_GRAPH_ROOT": tenant["url"],
        "MAILBIND_IMAP_SERVER": tenant["imapServer"],
        "MAILBIND_CA_FILE": tenant["caFile"],
        "MAILBIND_LINK_HOURS": "24",
        "MAILBIND_AGENDA_SHARDS": "16",
        "MAILBIND_WEBHOOKS_LOOPBACK": "true",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(LARGEST_REQUEST_BODY_BYTES),
        **SCHEDULES,
    }


def start_tenant(folder: Path, *, state: Path, port: int = 0) -> parts.Part:
    """Start the Microsoft 365 tenant. It keeps its keys in the folder `state`."""
    command = parts.python_part("infra.local.tenant", "--port", str(port), "--folder", str(state))
    return parts.start("tenant", command, folder=folder)


def start_host(
    app: Path,
    listener: socket.socket,
    settings: Mapping[str, str],
    folder: Path,
    python: Sequence[str] = (sys.executable,),
    certificate: Path | None = None,
) -> parts.Part:
    """Start the Functions host with an app, on a socket that already listens.

    The app's settings contain its address, so the port must be known before the host starts. With a `certificate` (PEM,
    with its key) it serves https.
    """
    arguments = ["--app", str(app), "--fd", str(listener.fileno())]
    if certificate:
        arguments += ["--certificate", str(certificate)]
    command = parts.python_part("infra.local.host", *arguments, python=python)
    return parts.start("host", command, folder=folder, settings=settings, inherit=[listener.fileno()])


@contextmanager
def running_app(
    folder: Path,
    storage: azurite.Azurite,
    tenant: parts.Part,
    *,
    app_secrets: Secrets | None = None,
    port: int = 0,
    changes: Mapping[str, str] | None = None,
    app: Path = parts.ROOT,
    python: Sequence[str] = (sys.executable,),
) -> Iterator[Environment]:
    """Run the app on storage and a tenant that already run, until the end of the block. Its log goes to `folder`.

    By default the secrets are random. `changes` override settings. `app` is the folder of the app, and `python` runs
    the host. Raises parts.PartError, and OSError if the port is taken.
    """
    app_secrets = app_secrets or Secrets.fresh()
    with socket.create_server(("127.0.0.1", port)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = app_settings(storage, tenant.ready, base_url, app_secrets) | dict(changes or {})
        host = start_host(app, listener, settings, folder, python)
    with parts.running(host):
        yield Environment(storage, tenant, host, settings, app_secrets, base_url)


@contextmanager
def local_environment(
    folder: Path,
    *,
    app_secrets: Secrets | None = None,
    ports: Ports | None = None,
    data: Path | None = None,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Environment]:
    """Run everything until the end of the block. Output and the tenant's files go to `folder`.

    By default the secrets are random and storage is in memory (`data` is a folder for it). `changes` override settings.
    Raises parts.PartError, and OSError if a port is taken.
    """
    ports = ports or Ports()
    with ExitStack() as stack:
        storage = azurite.start(folder=folder, data=data, table_port=ports.tables)
        stack.callback(storage.stop)
        tenant = stack.enter_context(parts.running(start_tenant(folder, state=folder / "tenant", port=ports.tenant)))
        app = running_app(folder, storage, tenant, app_secrets=app_secrets, port=ports.app, changes=changes)
        yield stack.enter_context(app)
