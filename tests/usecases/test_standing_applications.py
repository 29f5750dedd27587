"""An application has the authority of its newest Entra token, for ninety days."""

from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local import parts
from shared.domain.caller import Caller, CallingApplication, EntraTrust, Scope, entra_caller_id
from shared.domain.secret import Secret
from shared.ports import App
from shared.usecases.callers.identify import identify_caller, standing_caller
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.local.calling_app import API, ORDERS, token_by_msal
from tests.usecases.conftest import StartApp

BOTH = frozenset({Scope.REGISTER, Scope.WEBHOOKS})


def token(shared_tenant: parts.Part, tenant: Tenant, *roles: Scope) -> Secret:
    tenant.do("app", clientId=ORDERS, roles=[f"{API}/{role}" for role in roles])
    return Secret(token_by_msal(shared_tenant.ready))


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
    shared_tenant: parts.Part, app: App, new_app: StartApp, tenant: Tenant, clock: MovedClock
) -> None:
    other, wide = new_app(), token(shared_tenant, tenant, *BOTH)
    caller = await call(app, wide)
    assert caller == await standing_caller(app, caller.id) == await standing_caller(other, caller.id)
    clock.forward(minutes=1)

    narrow = token(shared_tenant, tenant, Scope.OAUTH_TOKEN)
    await age(app, caller.id)
    await call(app, narrow)
    # The older token is valid for an hour, and revokes nothing.
    await call(app, wide)
    clock.forward(seconds=31)

    for services in (app, other):
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
    shared_tenant: parts.Part, app: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(app, token(shared_tenant, tenant))
    await forget(app, caller.id)
    await call(app, token(shared_tenant, tenant))
    assert await app.stores.calling_applications.get(caller.id) is None

    await call(app, token(shared_tenant, tenant, *BOTH))
    await age(app, caller.id)
    clock.forward(minutes=1)
    await call(app, token(shared_tenant, tenant))
    clock.forward(seconds=31)

    standing = await standing_caller(app, caller.id)
    assert standing is not None
    assert not standing.scopes


async def test_current_settings_decide_about_an_application(
    shared_tenant: parts.Part, app: App, new_app: StartApp, tenant: Tenant
) -> None:
    caller = await call(app, token(shared_tenant, tenant, *BOTH))
    bound = new_app(MAILBIND_CALLER_ACCOUNTS=f"{ORDERS}=orders-*")
    untrusting = new_app(MAILBIND_CALLER_TENANTS="9188040d-6c67-4c5b-b112-36a304b66dad")
    without = new_app(MAILBIND_CALLERS="tokens")

    narrowed = await standing_caller(bound, caller.id)
    assert narrowed is not None
    assert [True, False] == [narrowed.can_access(account) for account in ("orders-1", "other")]
    assert [None, None] == [await standing_caller(services, caller.id) for services in (untrusting, without)]


async def test_silent_application_is_forgotten_after_ninety_days(
    shared_tenant: parts.Part, app: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(app, token(shared_tenant, tenant, *BOTH))

    clock.forward(days=89, hours=23)
    assert await standing_caller(app, caller.id) is not None
    clock.forward(hours=2)
    assert await standing_caller(app, caller.id) is None


async def test_work_of_an_unrecorded_application_continues(
    shared_tenant: parts.Part, app: App, new_app: StartApp, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(app, token(shared_tenant, tenant, *BOTH))
    await forget(app, caller.id)
    clock.forward(seconds=31)

    standing = await standing_caller(app, caller.id)
    assert standing is not None
    assert standing.scopes == BOTH
    assert not standing.has_scope(Scope.ACCOUNTS_WRITE)
    clock.forward(days=91)
    assert [None, None] == [await standing_caller(services, caller.id) for services in (app, new_app())]


async def test_call_is_recorded_at_most_once_a_day(
    shared_tenant: parts.Part, app: App, new_app: StartApp, tenant: Tenant
) -> None:
    caller = await call(app, token(shared_tenant, tenant, *BOTH))
    before = await app.stores.calling_applications.get(caller.id)

    for services in (app, new_app()):
        for _ in range(3):
            await call(services, Secret(token_by_msal(shared_tenant.ready)))

    after = await app.stores.calling_applications.get(caller.id)
    assert before is not None
    assert after is not None
    assert before.version == after.version


@pytest.mark.parametrize("caller_id", ["", "test", "token:", "token:x", "entra", "person:x", "administrator:x"])
async def test_unknown_application_has_no_authority(app: App, caller_id: str) -> None:
    assert await standing_caller(app, caller_id) is None


async def test_administrator_has_authority_while_its_token_is_set(app: App, new_app: StartApp) -> None:
    replaced = new_app(MAILBIND_ADMIN_TOKEN_SHA256="0" * 64)
    without = new_app(MAILBIND_CALLERS="entra")

    standing = [await standing_caller(services, "administrator") for services in (app, replaced, without)]

    assert [True, True, False] == [caller is not None for caller in standing]


def test_application_of_another_audience_does_not_count(clock: MovedClock) -> None:
    now = clock()
    seen = CallingApplication("entra:a", "a", "a", BOTH, now, now, "tenant", "api://mailbind")

    assert seen.caller(EntraTrust(frozenset({"api://mailbind"}), frozenset({"tenant"})), now) is not None
    assert seen.caller(EntraTrust(frozenset({"api://another"}), frozenset({"tenant"})), now) is None


async def test_application_id_without_a_tenant_is_still_recognized(
    shared_tenant: parts.Part, app: App, tenant: Tenant, clock: MovedClock
) -> None:
    caller = await call(app, token(shared_tenant, tenant, *BOTH))

    assert caller == await standing_caller(app, f"entra:{ORDERS}")

    await age(app, caller.id)
    clock.forward(minutes=1)
    await call(app, token(shared_tenant, tenant, Scope.OAUTH_TOKEN))
    clock.forward(seconds=31)
    standing = await standing_caller(app, f"entra:{ORDERS}")
    assert standing is not None
    assert frozenset({Scope.OAUTH_TOKEN}) == standing.scopes


async def test_one_application_of_two_tenants_is_two_callers(shared_tenant: parts.Part, app: App) -> None:
    here, elsewhere = shared_tenant.ready["tenantId"], "9188040d-6c67-4c5b-b112-36a304b66dad"

    standing = [await standing_caller(app, entra_caller_id(tenant, ORDERS)) for tenant in (here, elsewhere)]

    assert [entra_caller_id(here, ORDERS), None] == [caller.id if caller else None for caller in standing]
