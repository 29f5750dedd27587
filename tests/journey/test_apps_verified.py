"""Verifying an OAuth app: each step says what to do, and a fault is shown until it is fixed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.local.visitor import Visitor
from shared.usecases.upkeep.statistics import HEALTH_LIFETIME
from tests.conftest import TENANT_ID
from tests.journey.apps import SECRET, Register, registers_apps, steps  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, bind

type NewPerson = Callable[..., str]


def test_verification_checks_every_step(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register(secretExpires="2040-01-31")
    account = bind(api, visitor, person(), type=app)

    whole = api.post(f"/v1/oauth2/{app}/verify", json={"account": account}).json()
    without = steps(api, app, account=account, testConnection=False)

    assert (app, "outlook", "secret", account, True) == tuple(
        whole[name] for name in ("app", "provider", "authMethod", "account", "ok")
    )
    assert dict.fromkeys(("authority", "client", "redirect", "scopes", "secret", "grant", "mailbox"), "ok") == {
        step["id"]: step["status"] for step in whole["steps"]
    }
    assert ("ok", "skip") == (without["grant"]["status"], without["mailbox"]["status"])
    assert "skip" == steps(api, app)["grant"]["status"]
    assert "fail" == steps(api, app, account="nobody-of-that-name")["grant"]["status"]


@pytest.mark.parametrize(
    ("changes", "step", "hint"),
    [
        ({"authority": "9188040d-6c67-4c5b-b112-36a304b66dad"}, "authority", "no such tenant"),
        ({"clientId": "9188040d-6c67-4c5b-b112-36a304b66dad"}, "client", "no app with this client id"),
        ({"clientSecret": "not-the-secret"}, "client", "value of the client secret"),
        ({"skipScopes": ["Mail.ReadWrite.Shared"]}, "scopes", "Mail.ReadWrite.Shared"),
        ({"secretExpires": "2020-01-31"}, "secret", "new one"),
        ({"secretExpires": (datetime.now(UTC) + timedelta(days=29)).isoformat()}, "secret", "new one"),
        ({"authentication": "federated", "clientSecret": "", "managedIdentity": TENANT_ID}, "client", "run verify"),
    ],
)
def test_failed_step_says_what_to_do(
    api: httpx.Client, register: Register, changes: dict[str, Any], step: str, hint: str
) -> None:
    app = register(**changes)

    found = steps(api, app)[step]

    assert "fail" == found["status"]
    assert hint in found["hint"]
    if step == "client":
        assert found["hint"] == api.get(f"/v1/oauth2/{app}").json()["lastError"]["action"]


def test_one_valid_secret_is_enough_and_the_other_is_reported(api: httpx.Client, register: Register) -> None:
    app = register(clientSecret="not-the-secret", clientSecret2=SECRET)

    found = steps(api, app)["client"]

    assert "ok" == found["status"]
    assert "secret 1" in found["hint"]
    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None


async def test_open_breaker_is_the_last_error_of_its_app(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="7000222", times=1)
    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    told = api.get(f"/v1/oauth2/{app}").json()["lastError"]
    assert ("app_credential", 7000222) == (told["code"], told["aadsts"])
    (breaker,) = [one for one in api.get("/v1/stats").json()["breakers"] if one["app"] == app]
    assert ("app_credential", 7000222) == (breaker["code"], breaker["aadsts"])
    assert "Certificates & secrets" in breaker["action"]

    assert "ok" == steps(api, app)["client"]["status"]

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None
    assert [] == api.get("/v1/stats").json()["breakers"]


def test_failed_verification_blocks_nobody(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="700016", times=1)
    steps(api, app)
    assert "app_configuration" == api.get(f"/v1/oauth2/{app}").json()["lastError"]["code"]
    assert [app] == [one["app"] for one in api.get("/v1/stats").json()["breakers"]]

    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None


@pytest.mark.parametrize("number", [7000112, 700016, 90002, 7000222])
def test_refused_app_is_shown_to_operators_wherever_they_look(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register, number: int
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure=str(number), times=1)
    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    shown = [
        *api.get("/v1/stats").json()["breakers"],
        *api.get("/v1/accounts", params={"app": app}).json()["refusedApps"],
        api.get(f"/v1/oauth2/{app}").json()["lastError"],
        *(one["lastError"] for one in api.get("/v1/oauth2").json()["apps"] if one["id"] == app),
    ]

    assert [number] * 4 == [one["aadsts"] for one in shown]
    assert 1 == len({(one["code"], one["since"], one["action"]) for one in shown})
    assert {(app, "Contoso archive")} == {(one["app"], one["name"]) for one in shown[:2]}
    assert "connected" == api.get(f"/v1/account/{account}").json()["state"]
    time.sleep(HEALTH_LIFETIME.total_seconds())
    health = api.get("/health")
    assert (200, False) == (health.status_code, health.json()["success"])
    steps(api, app)
    assert [] == api.get("/v1/stats").json()["breakers"]


def test_disabled_app_holds_no_call_back(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    first, second = (bind(api, visitor, person(), type=app) for _ in range(2))
    tenant.do("fail", endpoint="token", failure="7000112", times=1)

    answers = [api.put(f"/v1/account/{account}/reconnect").json()["reconnect"] for account in (first, second)]

    assert [False, True] == answers
    assert None is api.get(f"/v1/oauth2/{app}").json()["lastError"]


def test_refusal_of_one_request_is_no_fault_of_the_app(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="70011", times=1)

    assert "app_configuration" == api.put(f"/v1/account/{account}/reconnect").json()["error"]["code"]

    assert None is api.get(f"/v1/oauth2/{app}").json()["lastError"]


def test_refused_assertion_is_the_apps_fault_whatever_its_error(
    api: httpx.Client, tenant: Tenant, register: Register
) -> None:
    """Entra has answered a federated credential that it does not know with `invalid_request`."""
    app = register()
    tenant.do("fail", endpoint="token", failure="invalid_request-70021", times=1, grant="client_credentials")

    found = steps(api, app)["client"]

    assert "fail" == found["status"]
    assert "federated credential" in found["hint"]
    assert "app_credential" == api.get(f"/v1/oauth2/{app}").json()["lastError"]["code"]
    assert "ok" == steps(api, app)["client"]["status"]


def test_outage_is_no_fault_of_the_app(api: httpx.Client, tenant: Tenant, register: Register) -> None:
    app = register()
    tenant.do("outage", endpoint="token", mode="503")

    assert "fail" == steps(api, app)["client"]["status"]

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None
