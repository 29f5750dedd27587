"""Reconnecting an account and verifying an app say what came of it."""

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.account import AccountState
from shared.ports import App
from shared.usecases.apps.verify import verify_oauth_app
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import SUPPORT, NewPerson, Register, bind, state_of

# Sealed, it is more than four properties take (shared/adapters/tables/sealed_parts.py).
TOO_LARGE = {"groups": ["x" * 1000] * 200}


async def failed_code(app: App, account: str) -> str | None:
    failed = (await reconnect_account(app, account)).failed
    return failed.code if failed else None


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("7000222", "app_credential"),
        ("7000112", "app_configuration"),
        ("90033", "entra_unavailable"),
        ("http-503", "entra_unavailable"),
        ("70000", "needs_sign_in"),
    ],
)
async def test_refused_refresh_is_the_result_of_reconnecting(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register, failure: str, code: str
) -> None:
    account = await bind(app, visitor, person(), type=await register())
    tenant.do("fail", endpoint="token", failure=failure, times=1)

    assert code == await failed_code(app, account)

    has_error = code == "needs_sign_in"
    state = AccountState.AUTHENTICATION_ERROR if has_error else AccountState.CONNECTED
    assert (state, code if has_error else None) == await state_of(app, account)


async def test_reconnecting_fails_while_the_breaker_is_open(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register, clock: MovedClock
) -> None:
    oauth_app = await register()
    first, second = [await bind(app, visitor, person(), type=oauth_app) for _ in range(2)]
    tenant.do("fail", endpoint="token", failure="7000222", times=1)
    await reconnect_account(app, first)

    assert "app_credential" == await failed_code(app, second)  # Entra is not asked

    clock.forward(minutes=2)
    assert None is await failed_code(app, second)


@pytest.mark.parametrize("mode", ["503", "reset", "html"])
async def test_mailbox_that_could_not_be_opened_is_not_reconnected(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, mode: str
) -> None:
    account = await bind(app, visitor, person())
    tenant.do("outage", endpoint="graph", mode=mode)

    assert "graph_unavailable" == await failed_code(app, account)

    assert (AccountState.CONNECTED, None) == await state_of(app, account)
    mailbox = (await verify_oauth_app(app, APP_ID, account, open_mailbox=True)).steps[-1]
    assert ("mailbox", "fail") == (mailbox.id, mailbox.status)


async def test_lost_access_is_the_result_of_reconnecting(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=False)

    assert "no_mailbox_access" == await failed_code(app, account)
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    assert None is await failed_code(app, account)


async def test_tokens_that_are_not_stored_are_no_success(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    account = await bind(app, visitor, person())
    tenant.do("access-token", claims=TOO_LARGE, times=2)

    assert "storage_unavailable" == await failed_code(app, account)

    grant = (await verify_oauth_app(app, APP_ID, account, open_mailbox=True)).steps[-2]
    assert ("grant", "fail") == (grant.id, grant.status)


async def test_unexplained_refusal_is_no_success(app: App, visitor: Visitor, person: NewPerson, tenant: Tenant) -> None:
    account = await bind(app, visitor, person())
    tenant.do("fail", endpoint="token", failure="54005", times=1)

    assert "unknown_failure" == await failed_code(app, account)

    assert (AccountState.CONNECTED, None) == await state_of(app, account)


async def test_verification_goes_on_while_the_grant_waits(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    account = await bind(app, visitor, person())
    tenant.do("fail", endpoint="token", failure="http-503", times=1)
    await reconnect_account(app, account)

    steps = {step.id: step for step in (await verify_oauth_app(app, APP_ID, account, open_mailbox=True)).steps}

    assert ("ok", "fail", "skip") == tuple(steps[step].status for step in ("client", "grant", "mailbox"))
