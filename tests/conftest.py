"""Real parts for all tests: Azurite in memory, and the app's services on it with a clock that tests move."""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables.aio import TableServiceClient
from hypothesis import HealthCheck, settings

from infra.local.azurite import Azurite
from shared.adapters.entra import MsalEntra
from shared.adapters.open_data_keys import OpenDataKeys
from shared.adapters.tables.connection import TableStorage
from shared.adapters.tables.principals import TablePrincipals
from shared.bootstrap import build
from shared.domain.oauth_app import OAuthApp
from shared.ports import App, KeyWrapping
from shared.usecases.apps.circuit_breaker import CachedBreaker, CircuitBreakerEntra
from tests.sealed_text import data_key_of

pytest_plugins = ["tests.environments"]

API_TOKEN = secrets.token_hex(32)
TENANT_ID = "7d1b2f0a-0000-4000-8000-00000000c0de"

# How long an example takes is the machine's, and no promise of ours.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.parent.name != "faults")


@dataclass
class MovedClock:
    """The real time, moved forward by what a test says."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, **by: float) -> None:
        self.ahead += timedelta(**by)


def settings_for(tables: str, **more: str) -> dict[str, str]:
    return {
        "AzureWebJobsStorage": tables,
        "MAILBIND_TABLES": tables,
        "MAILBIND_BASE_URL": "http://127.0.0.1:7071",
        "MAILBIND_ADMIN_TOKEN_SHA256": hashlib.sha256(API_TOKEN.encode()).hexdigest(),
        "MAILBIND_SEALING_KEY": base64.b64encode(bytes(range(32))).decode(),
        "MAILBIND_OAUTH_APP_ID": "AAABiCtT7XUAAAAF",
        "MAILBIND_OAUTH_CLIENT_ID": "5f0c1d9e-0000-4000-8000-0000000000c1",
        "MAILBIND_OAUTH_CLIENT_SECRET": "not-a-real-secret",
        "MAILBIND_OAUTH_TENANT": TENANT_ID,
        **more,
    }


def tables_of(app: App) -> TableStorage:
    """The app's own connection to Table Storage."""
    principals = app.stores.principals
    assert isinstance(principals, TablePrincipals)
    storage = getattr(principals.table.connect, "__self__", None)
    assert isinstance(storage, TableStorage)
    return storage


def storage_of(app: App) -> TableServiceClient:
    """The app's own client of Table Storage, for tests that look at rows as they lie."""
    return tables_of(app).service


def key_wrapping_of(app: App) -> KeyWrapping:
    """The key-encryption keys."""
    assert isinstance(app.sealing.data_keys, OpenDataKeys)
    return app.sealing.data_keys.wrapping


def seen_breakers(app: App) -> dict[str, CachedBreaker]:
    """What this instance remembers of circuit breakers."""
    assert isinstance(app.microsoft.entra, CircuitBreakerEntra)
    return app.microsoft.entra._cache  # noqa: SLF001 - memory shows nowhere else


def unguarded(app: App) -> MsalEntra:
    """Entra without circuit breakers."""
    assert isinstance(app.microsoft.setup, MsalEntra)
    return app.microsoft.setup


def first_app(app: App) -> OAuthApp:
    """The OAuth app of the settings."""
    return app.config.seed.to_oauth_app(app.config.clouds)


async def lose(services: App, table: str, partition: str, row: str, *names: str) -> None:
    """Have a row's sealed values, or those named, as they are when the data key that they were sealed under is gone."""
    rows = storage_of(services).get_table_client(table)
    found = await rows.get_entity(partition, row)
    sealed = names or [name for name, value in found.items() if data_key_of(value)]
    lost = dict.fromkeys(sealed, f"v1.{20 * 'f'}.AAAA")
    await rows.upsert_entity({"PartitionKey": found["PartitionKey"], "RowKey": found["RowKey"], **lost})


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def services(azurite: Azurite, clock: MovedClock) -> AsyncIterator[App]:
    built = build(settings_for(azurite.connection_string), clock)
    yield built
    await built.close()
