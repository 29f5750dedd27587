"""The local tenant with its vault and its managed identities, for tests that run the app's services in this process."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import parts
from infra.local.azurite import Azurite
from infra.local.environment import start_tenant
from shared.bootstrap import build
from shared.ports import App
from tests.conftest import MovedClock, settings_for, storage_of
from tests.environments import trust

IDENTITY = "1de27171-0000-4000-8000-0000000000a1"
STRANGER = "1de27171-0000-4000-8000-0000000000a2"
numbers = itertools.count(1)


@dataclass
class Vault:
    """The tenant's control endpoint, as far as it is about keys."""

    client: httpx.Client
    ready: parts.Ready

    def do(self, action: str, **body: Any) -> dict[str, Any]:
        answer = self.client.post(action, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def make(self, name: str | None = None) -> str:
        """A new key, or a new version of one; its identifier, without the version."""
        return str(self.do("vault-key", name=name or f"key-{next(numbers)}", change="make")["key"])

    def events(self, what: str) -> list[dict[str, Any]]:
        return [event for event in self.client.get("events").json()["events"] if event["what"] == what]


@pytest.fixture(scope="session")
def tenant_part(tmp_path_factory: pytest.TempPathFactory) -> Iterator[parts.Part]:
    folder = tmp_path_factory.mktemp("keys")
    with parts.running(start_tenant(folder, state=folder / "tenant")) as part:
        yield part


@pytest.fixture
def vault(tenant_part: parts.Part, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    ready = tenant_part.ready
    monkeypatch.setenv("IDENTITY_ENDPOINT", ready["identityEndpoint"])
    monkeypatch.setenv("IDENTITY_HEADER", ready["identityHeader"])
    with httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as client:
        yield Vault(client, ready)
        client.post("reset", json={})


type Start = Callable[..., App]


@pytest.fixture
async def start(storage: Azurite, vault: Vault, clock: MovedClock) -> AsyncIterator[Start]:
    """Starts one more process of the app: services of their own, on the same storage, clock and tenant."""
    started: list[App] = []

    def start_app(**changes: str) -> App:
        values = settings_for(storage.connection_string, **{**tenant_settings(vault.ready), **changes})
        started.append(build({name: value for name, value in values.items() if value}, clock))
        return started[-1]

    yield start_app
    for services in started:
        await services.close()


@pytest.fixture
async def fresh(start: Start) -> None:
    """Storage without a table: what other tests sealed may be under keys that are gone."""
    services = start()
    for table in [table.name async for table in storage_of(services).list_tables()]:
        await storage_of(services).delete_table(table)


def tenant_settings(ready: parts.Ready) -> dict[str, str]:
    return {
        "MAILBIND_OAUTH_CLIENT_ID": ready["clientId"],
        "MAILBIND_OAUTH_CLIENT_SECRET": ready["clientSecret"],
        "MAILBIND_OAUTH_TENANT": ready["tenantId"],
        "MAILBIND_AUTHORITY_HOST": ready["url"],
        "MAILBIND_GRAPH_ROOT": ready["url"],
        "MAILBIND_CA_FILE": ready["caFile"],
        "AZURE_CLIENT_ID": IDENTITY,
    }


def written(folder: Path, text: str) -> str:
    """A file with that text."""
    file = folder / f"file-{next(numbers)}.pem"
    file.write_text(text)
    return str(file)
