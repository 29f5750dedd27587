"""The deployment package, and a journey with the app that runs from it."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import parts
from infra.local.azurite import Azurite
from infra.local.demo import Demo
from infra.local.environment import Environment, running_app
from infra.local.package import Package, build
from tests.environments import STILL, TIMERS


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("beside"))


@pytest.fixture(scope="session")
def deployed(
    package: Package,
    empty_accounts: Iterator[Azurite],
    shared_tenant: parts.Part,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Environment]:
    """The local environment with the app of the package, on a Python that has only the package."""
    soon = (datetime.now(UTC) + timedelta(days=13)).isoformat()
    changes = {
        **STILL,
        "PYTHONPATH": package.path,
        "MAILBIND_WEBHOOKS_LOOPBACK": "true",
        "MAILBIND_OAUTH_SECRET_EXPIRES": soon,
    }
    with running_app(
        tmp_path_factory.mktemp("deployed"),
        next(empty_accounts),
        shared_tenant,
        changes=changes,
        app=package.folder,
        python=package.python,
    ) as running:
        yield running


@pytest.fixture(scope="session")
def journey(deployed: Environment) -> dict[str, Any]:
    """The token of a journey that runs every timer, until access is taken away and Microsoft refuses the app."""
    ready = deployed.tenant.ready
    trust = ssl.create_default_context(cafile=ready["caFile"])
    token = {"Authorization": f"Bearer {deployed.secrets.admin_token}"}
    with (
        httpx.Client(base_url=deployed.base_url, headers=token, timeout=30, trust_env=False) as api,
        httpx.Client(base_url=ready["url"], verify=trust, timeout=30, trust_env=False) as tenant,
    ):
        # Nothing listens there, so deliveries fail.
        nowhere = {"url": "http://127.0.0.1:9/", "events": ["*"], "verify": False}
        api.post("/v1/webhooks", json=nowhere).raise_for_status()
        demo = Demo(deployed, api, tenant)
        started = demo.start_registration()
        demo.sign_in(started["url"])
        demo.check_registration(started["registration"])
        handed_out = demo.get_token()
        demo.read_mailbox(handed_out)
        key = {"x-functions-key": deployed.host.ready["keys"]["master"]}
        for timer in TIMERS:
            api.post(f"/admin/functions/{timer}", json={}, headers=key).raise_for_status()
        take_access_away(api, tenant, handed_out)
        for timer in ("reap_registrations", "sweep_grants"):
            api.post(f"/admin/functions/{timer}", json={}, headers=key).raise_for_status()
        tenant.post(f"{ready['controlUrl']}/reset", json={}).raise_for_status()
    return handed_out


def take_access_away(api: httpx.Client, tenant: httpx.Client, handed_out: dict[str, Any]) -> None:
    """Have the account need a person, and the app refused."""
    access = {"person": handed_out["user"], "mailbox": handed_out["email"], "fullAccess": False}
    for action, body in (("access", access), ("fail", {"endpoint": "token", "failure": "7000222", "times": 1})):
        tenant.post(f"control/{action}", json=body).raise_for_status()
        api.put(f"/v1/account/{handed_out['account']}/reconnect", json={}).raise_for_status()


@pytest.fixture(scope="session")
def log(deployed: Environment, journey: dict[str, Any]) -> Path:
    """The host's log of that journey."""
    assert journey
    return deployed.host.log
