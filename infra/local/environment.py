"""The local environment: Azurite, the tenant and the app on the Functions host, with the settings that join them."""

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
from typing import Self

from infra.local import azurite, parts

APP_ID = "AAABiCtT7XUAAAAF"
# The same number as in Azure, where infra/app/function.bicep says why it is this one.
LARGEST_REQUEST_BODY_BYTES: int = json.loads((parts.ROOT / "infra/request-limits.json").read_text())[
    "largestRequestBodyBytes"
]
# Every timer's; the host reads them, disabled or not.
SCHEDULES = {
    "REFRESH_SCHEDULE": "0 * * * * *",
    "REAP_SCHEDULE": "0 */5 * * * *",
    "DELIVER_SCHEDULE": "*/10 * * * * *",
    "SWEEP_SCHEDULE": "0 30 3 * * *",
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What has to stay the same from run to run: the admin API token and the key that seals secrets at rest."""

    admin_token: str
    sealing_key: str

    @classmethod
    def fresh(cls) -> Self:
        """Random ones: 64 hexadecimal digits, and 32 bytes in base64."""
        return cls(secrets.token_hex(32), base64.b64encode(secrets.token_bytes(32)).decode())

    @classmethod
    def kept(cls, file: Path) -> Self:
        """Those in the file, which is made at the first time and readable by its owner only."""
        if not file.exists():
            write_private(file, asdict(cls.fresh()))
        return cls(**json.loads(file.read_text()))


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on 127.0.0.1; 0 picks a free one."""

    app: int = 0
    tenant: int = 0
    tables: int = 0


@dataclass(frozen=True, slots=True)
class Environment:
    """The three parts, running, and what the app was told."""

    storage: azurite.Azurite
    tenant: parts.Part
    host: parts.Part
    settings: Mapping[str, str]
    secrets: Secrets
    base_url: str


def write_private(file: Path, document: Mapping[str, str]) -> None:
    """Write a JSON file that only its owner can read; it is there at once and whole, in place of an older one."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as new:
        json.dump(document, new, indent=2)
    Path(new.name).replace(file)


def app_settings(storage: azurite.Azurite, tenant: parts.Ready, base_url: str, kept: Secrets) -> dict[str, str]:
    """Settings of the app on these parts; `tenant` is the tenant's ready line."""
    return {
        "AzureWebJobsStorage": storage.connection_string,
        "MAILBIND_TABLES": storage.connection_string,
        "MAILBIND_BASE_URL": base_url,
        "MAILBIND_ADMIN_TOKEN_SHA256": hashlib.sha256(kept.admin_token.encode()).hexdigest(),
        "MAILBIND_SEALING_KEY": kept.sealing_key,
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
    """Start the Microsoft 365 tenant; it keeps its certificates and state in the folder `state`."""
    command = parts.python_part("infra.local.tenant", "--port", str(port), "--folder", str(state))
    return parts.start("tenant", command, folder=folder)


def start_host(
    app: Path,
    listening: socket.socket,
    settings: Mapping[str, str],
    folder: Path,
    python: Sequence[str] = (sys.executable,),
) -> parts.Part:
    """Start the Functions host with an app and its settings behind a socket that listens already.

    So the address is known before the app starts, which has to be told it.
    """
    command = parts.python_part("infra.local.host", "--app", str(app), "--fd", str(listening.fileno()), python=python)
    return parts.start("host", command, folder=folder, settings=settings, inherit=[listening.fileno()])


@contextmanager
def local_environment(
    folder: Path,
    *,
    kept: Secrets | None = None,
    ports: Ports | None = None,
    data: Path | None = None,
    changes: Mapping[str, str] | None = None,
    app: Path = parts.ROOT,
    python: Sequence[str] = (sys.executable,),
) -> Iterator[Environment]:
    """Run everything until the end of the block; output and the tenant's files go to `folder`.

    Without `kept` the secrets are new, without `data` storage is in memory, and `changes` are settings that differ.
    `python` runs the host with the app in the folder `app`.
    Raises parts.PartError, and OSError when a port is taken.
    """
    ports, kept = ports or Ports(), kept or Secrets.fresh()
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", ports.app)))
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        storage = azurite.start(folder=folder, data=data, table_port=ports.tables)
        stack.callback(storage.stop)
        tenant = stack.enter_context(parts.running(start_tenant(folder, state=folder / "tenant", port=ports.tenant)))
        settings = app_settings(storage, tenant.ready, base_url, kept) | dict(changes or {})
        host = stack.enter_context(parts.running(start_host(app, listening, settings, folder, python)))
        listening.close()
        yield Environment(storage, tenant, host, settings, kept, base_url)
