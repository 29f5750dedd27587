"""Applications and managed identities that call with an access token from Entra."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from infra.local.environment import Environment
from shared.bootstrap import build
from shared.domain.caller import Caller, Scope
from shared.domain.errors import InvalidToken, Unavailable
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.callers.identify import identify_caller
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.local.calling_app import (
    API,
    API_CLIENT_ID,
    ORDERS,
    msal_application,
    session,
    token_by_azure_identity,
    token_by_msal,
)

ROLES = frozenset({Scope.REGISTER, Scope.OAUTH_TOKEN})


async def call(services: App, token: str) -> Caller:
    return await identify_caller(services, Secret(token), None)


def keys_read(tenant: Tenant) -> int:
    return len(tenant.events("keys read"))


@pytest.mark.parametrize("get", [token_by_msal, token_by_azure_identity])
@pytest.mark.parametrize("version", [1, 2])
async def test_application_calls_with_a_token_of_microsofts_libraries(
    environment: Environment, instance: App, tenant: Tenant, get: Callable[..., str], version: int
) -> None:
    tenant.do("api", address=API, tokenVersion=version)

    caller = await call(instance, get(environment.tenant.ready))

    tenant_id = environment.tenant.ready["tenantId"]
    assert (f"entra:{tenant_id}/{ORDERS}", ROLES, None) == (caller.id, caller.scopes, caller.binding)


async def test_application_may_name_the_api_by_client_id(environment: Environment, instance: App) -> None:
    caller = await call(instance, token_by_msal(environment.tenant.ready, f"{API_CLIENT_ID}/.default"))

    assert ROLES == caller.scopes


async def test_token_of_a_person_is_refused(environment: Environment, instance: App, tenant: Tenant) -> None:
    refresh_token = tenant.do("sign-in", person="alice@contoso.example", clientId=ORDERS)["refreshToken"]
    ready = environment.tenant.ready
    with session(ready) as http:
        application = msal_application(ready, http)
        answer = application.acquire_token_by_refresh_token(refresh_token, [f"{API}/access_as_user"])

    with pytest.raises(InvalidToken, match="a person's"):
        await call(instance, answer["access_token"])


async def test_signing_keys_are_read_once_for_many_tokens(
    environment: Environment, instance: App, tenant: Tenant
) -> None:
    before = keys_read(tenant)

    for _ in range(3):
        await call(instance, token_by_msal(environment.tenant.ready))

    assert before + 1 == keys_read(tenant)


async def test_new_signing_key_is_found_and_the_old_one_stops(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    ready = environment.tenant.ready
    old, unseen = token_by_msal(ready), token_by_msal(ready)
    await call(instance, old)
    tenant.do("signing-key")
    new = token_by_msal(ready)
    clock.forward(minutes=1)

    assert ROLES == (await call(instance, new)).scopes

    with pytest.raises(InvalidToken, match="does not have"):
        await call(instance, unseen)
    clock.forward(minutes=5)
    with pytest.raises(InvalidToken, match="does not have"):
        await call(instance, old)


async def test_unknown_keys_make_us_ask_once_a_minute_at_most(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    good = token_by_msal(environment.tenant.ready)
    tenant.do("signing-key")
    bad = token_by_msal(environment.tenant.ready)
    tenant.do("reset")
    await call(instance, good)

    async def refused(times: int) -> int:
        before = keys_read(tenant)
        for _ in range(times):
            with pytest.raises(InvalidToken):
                await call(instance, bad)
        return keys_read(tenant) - before

    assert 0 == await refused(20)
    clock.forward(minutes=1)
    assert 1 == await refused(20)


@pytest.mark.parametrize("mode", ["503", "html", "reset"])
async def test_known_keys_go_on_while_the_tenant_does_not_answer(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock, mode: str
) -> None:
    tenant.do("lifetimes", accessTokenSeconds=4 * 3600)
    first, second, rolled = token_by_msal(environment.tenant.ready), token_by_msal(environment.tenant.ready), ""
    await call(instance, first)
    tenant.do("signing-key")
    rolled = token_by_msal(environment.tenant.ready)
    tenant.do("outage", endpoint="all", mode=mode)
    clock.forward(hours=2)

    assert ROLES == (await call(instance, second)).scopes
    with pytest.raises(Unavailable):
        await call(instance, rolled)
    tenant.do("outage", endpoint="all", mode="none")
    clock.forward(seconds=5)
    assert ROLES == (await call(instance, rolled)).scopes


async def test_unavailable_signing_keys_refuse_nobody_for_good(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    token = token_by_msal(environment.tenant.ready)
    tenant.do("outage", endpoint="all", mode="503")

    with pytest.raises(Unavailable, match="signing keys"):
        await call(instance, token)

    tenant.do("outage", endpoint="all", mode="none")
    clock.forward(seconds=5)
    assert ROLES == (await call(instance, token)).scopes


async def test_verified_token_ends_at_its_expiry(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    tenant.do("lifetimes", accessTokenSeconds=120)
    token = token_by_msal(environment.tenant.ready)
    await call(instance, token)

    clock.forward(minutes=4)

    with pytest.raises(InvalidToken, match="expired"):
        await call(instance, token)


@pytest.fixture
async def changed(environment: Environment) -> AsyncIterator[Callable[..., App]]:
    """Further instances with other settings."""
    made: list[App] = []

    def start(**settings: str) -> App:
        made.append(build({**environment.settings, **settings}))
        return made[-1]

    yield start
    for services in made:
        await services.close()


async def test_application_is_bound_to_accounts_by_setting(
    environment: Environment, changed: Callable[..., App]
) -> None:
    services = changed(MAILBIND_CALLER_ACCOUNTS=f"{ORDERS.upper()}=Orders, {ORDERS}=sales-*")

    caller = await call(services, token_by_msal(environment.tenant.ready))

    assert [True, True, False, False] == [
        caller.can_access(name) for name in ("ORDERS", "sales-1", "orders-1", "sales")
    ]


@pytest.mark.parametrize(
    ("kinds", "by_token", "by_entra"), [("tokens", True, False), ("entra", False, True), ("Entra , tokens", True, True)]
)
async def test_each_kind_of_caller_can_be_switched_off(
    environment: Environment, changed: Callable[..., App], kinds: str, by_token: Any, by_entra: Any
) -> None:
    services = changed(MAILBIND_CALLERS=kinds)

    async def known(token: str) -> bool:
        try:
            return bool(await call(services, token))
        except InvalidToken:
            return False

    assert [by_token, by_entra] == [
        await known(environment.secrets.admin_token),
        await known(token_by_msal(environment.tenant.ready)),
    ]


async def test_applications_of_other_tenants_need_a_listed_tenant(
    environment: Environment, changed: Callable[..., App]
) -> None:
    """Its administrators grant roles freely, so it is not enough that people of the tenant may sign in."""
    other = "9188040d-6c67-4c5b-b112-36a304b66dad"
    services = changed(
        MAILBIND_CALLER_TENANTS=other, MAILBIND_ALLOWED_TENANTS=f"{other},{environment.tenant.ready['tenantId']}"
    )

    with pytest.raises(InvalidToken, match="tenant"):
        await call(services, token_by_msal(environment.tenant.ready))
