"""An application has the authority of its newest Entra token, for ninety days."""

from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.environment import Environment
from shared.bootstrap import build
from shared.domain.caller import Caller, CallingApplication, EntraTrust, Scope, entra_caller_id
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.callers.identify import identify_caller, standing_caller
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.local.calling_app import API, ORDERS, token_by_msal

BOTH = frozenset({Scope.REGISTER, Scope.WEBHOOKS})


def token(environment: Environment, tenant: Tenant, *roles: Scope) -> Secret:
    tenant.do("app", clientId=ORDERS, roles=[f"{API}/{role}" for role in roles])
    return Secret(token_by_msal(environment.tenant.ready))


async def call(services: App, shown: Secret) -> Caller:
    caller = await identify_caller(services, shown, None)
    await services.callers.applications.flush()
    return caller


async def forget(services: App, caller: str) -> None:
    """As before calls of applications were recorded."""
    stored = await services.stores.calling_applications.get(caller)
    if stored is not None:
        await services.stores.calling_applications.remove(stored)


async def test_application_has_the_roles_of_its_newest_token(
    environment: Environment, instance: App, other: App, tenant: Tenant, clock: MovedClock
) -> None:
    wide = token(environment, tenant, *BOTH)
    caller = await call(instance, wide)
    assert caller == await standing_caller(instance, caller.id) == await standing_caller(other, caller.id)
    clock.forward(minutes=1)

    narrow = token(environment, tenant, Scope.OAUTH_TOKEN)
    await age(instance, caller.id)
    await call(instance, narrow)
    # The older token is valid for an hour, and revokes nothing.
    await call(instance, wide)
    clock.forward(seconds=31)

    for services in (instance, other):
        standing = await standing_caller(services, caller.id)
        assert standing is not None
        assert frozenset({Scope.OAUTH_TOKEN}) == standing.scopes


async def age(services: App, caller: str) -> None:
    """The tenant issues both tokens within the same second."""
    stored = await services.stores.calling_applications.get(caller)
    assert stored is not None
    older = replace(stored.value, issued=stored.value.issued - timedelta(seconds=1))
    await services.stores.calling_applications.replace(stored, older)


async def test_application_without_roles_loses_its_authority(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(instance, token(environment, tenant))
    await forget(instance, caller.id)
    await call(instance, token(environment, tenant))
    assert await instance.stores.calling_applications.get(caller.id) is None

    await call(instance, token(environment, tenant, *BOTH))
    await age(instance, caller.id)
    clock.forward(minutes=1)
    await call(instance, token(environment, tenant))
    clock.forward(seconds=31)

    standing = await standing_caller(instance, caller.id)
    assert standing is not None
    assert not standing.scopes


async def test_current_settings_decide_about_an_application(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(instance, token(environment, tenant, *BOTH))
    bound = build({**environment.settings, "MAILBIND_CALLER_ACCOUNTS": f"{ORDERS}=orders-*"}, clock)
    untrusting = build(
        {**environment.settings, "MAILBIND_CALLER_TENANTS": "9188040d-6c67-4c5b-b112-36a304b66dad"}, clock
    )
    without = build({**environment.settings, "MAILBIND_CALLERS": "tokens"}, clock)

    narrowed = await standing_caller(bound, caller.id)
    assert narrowed is not None
    assert [True, False] == [narrowed.can_access(account) for account in ("orders-1", "other")]
    assert [None, None] == [await standing_caller(services, caller.id) for services in (untrusting, without)]
    for services in (bound, untrusting, without):
        await services.close()


async def test_silent_application_is_forgotten_after_ninety_days(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(instance, token(environment, tenant, *BOTH))

    clock.forward(days=89, hours=23)
    assert await standing_caller(instance, caller.id) is not None
    clock.forward(hours=2)
    assert await standing_caller(instance, caller.id) is None


async def test_work_of_an_unrecorded_application_continues(
    environment: Environment, instance: App, other: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(instance, token(environment, tenant, *BOTH))
    await forget(instance, caller.id)
    clock.forward(seconds=31)

    standing = await standing_caller(instance, caller.id)
    assert standing is not None
    assert standing.scopes == BOTH
    assert not standing.has_scope(Scope.ACCOUNTS_WRITE)
    clock.forward(days=91)
    assert [None, None] == [await standing_caller(services, caller.id) for services in (instance, other)]


async def test_call_is_recorded_at_most_once_a_day(
    environment: Environment, instance: App, other: App, tenant: Tenant
) -> None:
    caller = await call(instance, token(environment, tenant, *BOTH))
    before = await instance.stores.calling_applications.get(caller.id)

    for services in (instance, other):
        for _ in range(3):
            await call(services, Secret(token_by_msal(environment.tenant.ready)))

    after = await instance.stores.calling_applications.get(caller.id)
    assert before is not None
    assert after is not None
    assert before.version == after.version


@pytest.mark.parametrize("caller_id", ["", "test", "token:", "token:x", "entra", "person:x", "administrator:x"])
async def test_unknown_application_has_no_authority(instance: App, caller_id: str) -> None:
    assert await standing_caller(instance, caller_id) is None


async def test_administrator_has_authority_while_its_token_is_set(
    environment: Environment, instance: App, clock: MovedClock
) -> None:
    replaced = build({**environment.settings, "MAILBIND_ADMIN_TOKEN_SHA256": "0" * 64}, clock)
    without = build({**environment.settings, "MAILBIND_CALLERS": "entra"}, clock)

    standing = [await standing_caller(services, "administrator") for services in (instance, replaced, without)]

    assert [True, True, False] == [caller is not None for caller in standing]
    for services in (replaced, without):
        await services.close()


def test_application_of_another_audience_does_not_count(clock: MovedClock) -> None:
    now = clock()
    seen = CallingApplication("entra:a", "a", "a", BOTH, now, now, "tenant", "api://mailbind")

    assert seen.caller(EntraTrust(frozenset({"api://mailbind"}), frozenset({"tenant"})), now) is not None
    assert seen.caller(EntraTrust(frozenset({"api://another"}), frozenset({"tenant"})), now) is None


async def test_application_id_without_a_tenant_is_still_recognized(
    environment: Environment, instance: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(instance, token(environment, tenant, *BOTH))

    assert caller == await standing_caller(instance, f"entra:{ORDERS}")

    await age(instance, caller.id)
    clock.forward(minutes=1)
    await call(instance, token(environment, tenant, Scope.OAUTH_TOKEN))
    clock.forward(seconds=31)
    standing = await standing_caller(instance, f"entra:{ORDERS}")
    assert standing is not None
    assert frozenset({Scope.OAUTH_TOKEN}) == standing.scopes


async def test_one_application_of_two_tenants_is_two_callers(environment: Environment, instance: App) -> None:
    here, elsewhere = environment.tenant.ready["tenantId"], "9188040d-6c67-4c5b-b112-36a304b66dad"

    standing = [await standing_caller(instance, entra_caller_id(tenant, ORDERS)) for tenant in (here, elsewhere)]

    assert [entra_caller_id(here, ORDERS), None] == [caller.id if caller else None for caller in standing]
