"""Claims of callers, refreshes on demand, and tokens that live too long."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.errors import NotAuthorized, TooManyRequests, Unavailable
from shared.ports import App, Replace
from shared.usecases.tokens.hand_out import answer_challenge, hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant
from tests.usecases.conftest import NewPerson, StartApp, ask, bind, end_of, sign_in
from tests.usecases.grants import CLAIMS, grant_of, padded, refreshes

TOO_LONG = "access token lives too long"


async def test_claims_of_a_caller_are_not_kept_for_the_next_sign_in(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    # Entra demands a sign-in, without claims of its own.
    tenant.do("fail", endpoint="token", failure="16000", times=1, person=who, grant="refresh_token")
    values = {"essential": True, "values": ["c1"] * 10}
    claims = {"access_token": {"acrs": values, "capolids": {"values": ["c5c0e6f4-6d6b-4f0f-9d1e-0b7f6a5c4d3e"] * 10}}}

    with pytest.raises(NotAuthorized) as refused:
        await answer_challenge(app, account, json.dumps(claims))

    assert "claims_challenge" == refused.value.code
    assert None is (await grant_of(app, account)).value.claims
    assert "existing" == end_of(await sign_in(app, visitor, await ask(app, account=account), who))
    assert None is tenant.events("code issued")[-1].get("claims")


async def test_claims_kept_by_earlier_versions_break_no_sign_in(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    """Rows of earlier versions hold up to 8,192 characters made up by a caller."""
    who = person()
    account = await bind(app, visitor, who)
    for length in (2000, 4000, 8000):
        stored = await grant_of(app, account)
        kept = replace(stored.value, claims=padded(length), challenged=app.clock())
        await app.stores.principals.commit(stored.value.principal.id, [Replace(kept, stored.version)])

        assert "existing" == end_of(await sign_in(app, visitor, await ask(app, account=account), who))
        assert None is tenant.events("code issued")[-1].get("claims")


async def test_sign_in_after_a_refused_one_leaves_the_claims_out(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who, grant="refresh_token")
    with pytest.raises(NotAuthorized):
        await answer_challenge(app, account, CLAIMS)
    link = await ask(app, account=account)

    assert "wrong_principal" == end_of(await sign_in(app, visitor, link, person()))
    first = tenant.events("authorize shown")[-1]
    assert "existing" == end_of(await sign_in(app, visitor, link, who))

    assert "capolids" in (first.get("claims") or "")
    assert None is tenant.events("code issued")[-1].get("claims")


async def test_token_valid_for_a_day_is_handed_out_for_two_hours(
    app: App,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    clock: MovedClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    who = person()
    tenant.do("lifetimes", accessTokenSeconds=86_400)
    account = await bind(app, visitor, who)

    assert (await hand_out(app, account)).expires - clock() <= timedelta(hours=2)
    clock.forward(minutes=116)
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        refreshed = await hand_out(app, account)

    assert (False, True) == (refreshed.cached, refreshed.expires - clock() <= timedelta(hours=2))
    told = [record for record in caplog.records if record.message == TOO_LONG]
    assert [(APP_ID, "graph")] == [(record.__dict__["app"], record.__dict__["resource"]) for record in told]


@pytest.mark.parametrize("lifetime", [1, 7200])
async def test_token_of_normal_lifetime_is_not_reported(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, lifetime: int, caplog: pytest.LogCaptureFixture
) -> None:
    account = await bind(app, visitor, person())
    tenant.do("lifetimes", accessTokenSeconds=lifetime)

    with caplog.at_level(logging.ERROR):
        await reconnect_account(app, account)

    assert [] == [record for record in caplog.records if record.message == TOO_LONG]


async def test_two_instances_share_the_limit_of_refreshes_on_demand(
    new_app: StartApp, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    app, other, who = new_app(), new_app(), person()
    account = await bind(app, visitor, who)
    before = refreshes(tenant, who)

    async def reconnect(instance: App) -> Any:
        try:
            return await reconnect_account(instance, account)
        except TooManyRequests as limited:
            return limited

    results = await asyncio.gather(*(reconnect(instance) for instance in (app, other) * 4))

    assert 6 == sum(isinstance(result, TooManyRequests) for result in results)
    assert 2 == refreshes(tenant, who) - before


async def test_reconnecting_respects_a_pause_requested_by_entra(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    tenant.do("fail", endpoint="token", failure="50196", times=1, person=who, grant="refresh_token")
    await reconnect_account(app, account)
    before = refreshes(tenant, who)

    clock.forward(minutes=30)
    with pytest.raises(Unavailable) as waiting:
        await reconnect_account(app, account)

    assert waiting.value.retry_after is not None
    assert timedelta(minutes=20) < waiting.value.retry_after <= timedelta(minutes=31)
    assert before == refreshes(tenant, who)
    clock.forward(minutes=31)
    await reconnect_account(app, account)
    assert before + 1 == refreshes(tenant, who)


async def test_app_refused_in_one_tenant_is_retried_like_any_failure(
    app: App, visitor: Visitor, person: NewPerson, tenant: Tenant, clock: MovedClock
) -> None:
    who = person()
    account = await bind(app, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="650052", times=50, person=who, grant="refresh_token")
    before = refreshes(tenant, who)

    for _ in range(10):
        with pytest.raises(Unavailable):
            await hand_out(app, account)

    assert 1 == refreshes(tenant, who) - before
