"""The parts that tests share: one Azurite and one tenant for each worker, and apps on the local host beside them.

Starting Azurite takes longer than most tests. So it starts once, with many storage accounts, and whatever needs storage
of its own takes the next account.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infra.local import azurite as azurite_part
from infra.local import parts
from infra.local.azurite import ACCOUNT, Azurite
from infra.local.environment import Environment, Secrets, app_settings, running_app, start_tenant

MAX_ACCOUNTS = 200
# The tests say when time passes; the host's own timers would get in between.
TIMERS = ("refresh_grants", "reap_registrations", "sweep_grants", "deliver_events")
STILL = {f"AzureWebJobs.{name}.Disabled": "true" for name in TIMERS}
# All that the tests send comes from one address and one caller.
LIMITS = ("MAILBIND_FORMS_PER_MINUTE", "MAILBIND_PAGES_PER_MINUTE", "MAILBIND_BAD_TOKENS_PER_MINUTE")
STILL |= dict.fromkeys(LIMITS, "1000000")


@dataclass(frozen=True)
class Surroundings:
    """Storage and a tenant, and the settings of an app on them. No host runs the app: the tests do."""

    storage: Azurite
    tenant: parts.Part
    settings: Mapping[str, str]


type StartApp = Callable[..., AbstractContextManager[Environment]]


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    accounts = [ACCOUNT, *(f"storage{number}" for number in range(MAX_ACCOUNTS))]
    part = azurite_part.start(folder=tmp_path_factory.mktemp("azurite"), accounts=accounts)
    yield part
    part.stop()


@pytest.fixture(scope="session")
def empty_accounts(azurite: Azurite) -> Iterator[Azurite]:
    """Storage accounts that nobody has used."""
    return (Azurite(azurite.part, f"storage{number}") for number in range(MAX_ACCOUNTS))


@pytest.fixture(scope="module")
def storage(empty_accounts: Iterator[Azurite]) -> Azurite:
    """A storage account for one module, for tests that look at all there is."""
    return next(empty_accounts)


@pytest.fixture(scope="session")
def shared_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[parts.Part]:
    folder = tmp_path_factory.mktemp("tenant")
    with parts.running(start_tenant(folder, state=folder / "tenant")) as part:
        yield part


@pytest.fixture(scope="session")
def start_app(
    empty_accounts: Iterator[Azurite], shared_tenant: parts.Part, tmp_path_factory: pytest.TempPathFactory
) -> StartApp:
    """Starts an app on storage of its own, until the end of the block; the tenant is reset then."""

    @contextmanager
    def start(folder: Path | None = None, **changes: str) -> Iterator[Environment]:
        folder = folder or tmp_path_factory.mktemp("app")
        with running_app(folder, next(empty_accounts), shared_tenant, changes={**STILL, **changes}) as running:
            yield running
        reset(shared_tenant)

    return start


@pytest.fixture
def surroundings(empty_accounts: Iterator[Azurite], shared_tenant: parts.Part) -> Iterator[Surroundings]:
    """For tests that run the app's use cases themselves and look at all there is."""
    storage = next(empty_accounts)
    settings = app_settings(storage, shared_tenant.ready, "http://127.0.0.1:7071", Secrets.fresh())
    yield Surroundings(storage, shared_tenant, settings)
    reset(shared_tenant)


@pytest.fixture(scope="session")
def environment(start_app: StartApp) -> Iterator[Environment]:
    with start_app() as running:
        yield running


@pytest.fixture(scope="session")
def reusing(start_app: StartApp) -> Iterator[Environment]:
    """An environment whose OAuth app lets one grant serve many accounts."""
    with start_app(MAILBIND_OAUTH_CREDENTIAL_REUSE="true") as running:
        yield running


def trust(ca_file: str) -> ssl.SSLContext:
    """Trust in the tenant's own authority."""
    return ssl.create_default_context(cafile=ca_file)


def reset(tenant: parts.Part) -> None:
    """Have the tenant as it was when it started."""
    answer = httpx.post(f"{tenant.ready['controlUrl']}/reset", json={}, verify=trust(tenant.ready["caFile"]))
    answer.raise_for_status()
