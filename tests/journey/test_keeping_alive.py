"""Grants are kept alive, and tokens are handed out during failures of Microsoft."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.domain.errors import NotAuthorized, NotFound, Unavailable
from shared.domain.grant import DelegatedGrant
from shared.ports import App, Stored
from shared.usecases.events.delivery import deliver_events
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.refresh import refresh_grant
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, ask, bind, graph_opens, principal_id, tick

type NewPerson = Callable[..., str]


async def grant_of(instance: App, account: str) -> Stored[DelegatedGrant]:
    stored = await instance.stores.principals.grant(await principal_id(instance, account), "AAABiCtT7XUAAAAF")
    assert stored is not None
    return stored


async def events_of(instance: App, account: str) -> list[str]:
    raw = storage_of(instance).get_table_client("Principals")
    found = raw.query_entities("RowKey ge 'event~' and account eq @of", parameters={"of": account})
    return [row["name"] async for row in found]


def state_of(api: httpx.Client, account: str) -> tuple[str, str | None]:
    found = api.get(f"/v1/account/{account}").json()
    return found["state"], (found["lastError"] or {}).get("code")


async def test_hot_token_is_renewed_before_it_expires(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    first = await hand_out(instance, account)

    clock.forward(minutes=66)
    await tick(instance)

    second = await hand_out(instance, account)
    assert second.cached
    assert first.access_token != second.access_token
    assert second.expires > first.expires


async def test_idle_grant_is_refreshed_once_a_week(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    before = await grant_of(instance, account)

    clock.forward(days=6)
    await tick(instance)
    assert before.value.refreshed == (await grant_of(instance, account)).value.refreshed

    clock.forward(days=1, minutes=1)
    await tick(instance)
    after = await grant_of(instance, account)
    assert after.value.refreshed > before.value.refreshed
    assert after.value.refresh_token != before.value.refresh_token


async def test_every_grant_has_the_agendas_row_that_it_waits_for(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    for _ in range(3):
        await hand_out(instance, account)
        clock.forward(minutes=70)
        await tick(instance)
        grant = (await grant_of(instance, account)).value

        assert grant.due is not None
        later = [
            row
            for shard in instance.stores.agenda.shards
            for row in await instance.stores.agenda.due(shard, grant.due, None)
        ]
        assert grant.due in [row.due for row in later if row.owner == grant.principal.id]


async def test_hand_out_is_recorded_once_an_hour(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    await hand_out(instance, account)
    noted = await grant_of(instance, account)

    for _ in range(5):
        await hand_out(instance, account)

    assert noted.value.handed_out is not None
    assert noted.version == (await grant_of(instance, account)).version


async def test_many_callers_of_an_expired_token_cost_one_refresh(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    clock.forward(hours=3)

    tokens = await asyncio.gather(*(hand_out(instance, account) for _ in range(20)))

    assert 1 == len({token.access_token for token in tokens})
    assert 1 == len([event for event in tenant.events("refreshed") if event.get("person") == who])


async def test_two_instances_that_refresh_at_once_keep_the_grant_valid(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, environment: Environment
) -> None:
    account = bind(api, visitor, person())
    stored = await grant_of(instance, account)

    results = await asyncio.gather(*(refresh_grant(instance, stored) for _ in range(5)))

    assert all(result is not None and result.failure is None for result in results)
    token = await hand_out(instance, account)
    assert graph_opens(environment, token.access_token.reveal(), "support@contoso.example")


FAILURES = [
    ("50173", "authenticationError", "needs_sign_in"),
    ("700082", "authenticationError", "needs_sign_in"),
    ("50076", "authenticationError", "needs_sign_in"),
    ("65001", "authenticationError", "needs_consent"),
    ("53003", "connectError", "blocked_by_policy"),
    ("50057", "connectError", "person_gone"),
    ("7000222", "connected", None),
    ("700016", "connected", None),
    ("50196", "connected", None),
    ("90033", "connected", None),
    ("http-503", "connected", None),
    ("http-429", "connected", None),
]


@pytest.mark.parametrize(("failure", "state", "code"), FAILURES)
async def test_failure_sets_the_right_state(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
    tenant: Tenant,
    failure: str,
    state: str,
    code: str | None,
) -> None:
    who = person()
    account = bind(api, visitor, who)
    await hand_out(instance, account)
    tenant.do("fail", endpoint="token", failure=failure, times=1, person=who, grant="refresh_token")

    clock.forward(minutes=66)
    await tick(instance)

    assert (state, code) == state_of(api, account)
    grant = (await grant_of(instance, account)).value
    assert 1 == grant.failures
    assert (state == "authenticationError") == (grant.due is None)
    told = [name for name in await events_of(instance, account) if name in {"authenticationError", "connectError"}]
    assert ([state] if code else []) == told


async def test_valid_token_is_handed_out_after_a_failed_refresh(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    account = bind(api, visitor, person())
    await hand_out(instance, account)
    tenant.do("outage", endpoint="token", mode="503")
    clock.forward(minutes=66)
    await tick(instance)

    served = await hand_out(instance, account)
    assert served.cached

    clock.forward(minutes=10)
    with pytest.raises(Unavailable) as unavailable:
        await hand_out(instance, account)
    assert "entra_unavailable" == unavailable.value.code
    assert unavailable.value.retry_after is not None
    tenant.do("outage", endpoint="token", mode="none")
    clock.forward(seconds=unavailable.value.retry_after.total_seconds())
    assert not (await hand_out(instance, account)).cached
    assert ("connected", None) == state_of(api, account)


async def test_new_link_with_the_claims_repairs_a_revoked_sign_in(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who)
    clock.forward(hours=2)
    with pytest.raises(NotAuthorized) as refused:
        await hand_out(instance, account)
    assert "needs_sign_in" == refused.value.code
    with pytest.raises(NotAuthorized):
        await hand_out(instance, account)
    claims = (await grant_of(instance, account)).value.claims
    assert claims

    page = visitor.follow(ask(api, account=account)["url"], who)

    assert "existing" == page.back["state"]
    shown = tenant.events("authorize shown")[-1]
    assert (who, True) == (shown["login_hint"], bool(shown.get("claims")))
    assert ("connected", None) == state_of(api, account)
    assert "authenticationSuccess" in await events_of(instance, account)
    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code


async def test_revoked_sign_ins_are_noticed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("revoke", person=who)

    answer = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()

    assert ("authenticationError", "needs_sign_in") == (answer["state"], answer["lastError"]["code"])
    assert answer["lastError"]["action"]


async def test_unknown_invalid_grant_needs_three_confirmations(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    clock.forward(hours=2)
    states = []
    for _ in range(3):
        for _ in range(4):  # callers who ask again and again confirm nothing
            tenant.do("fail", endpoint="token", failure="54005", times=1, person=who)
            await refresh_grant(instance, await grant_of(instance, account))
        states.append(state_of(api, account)[0])
        with pytest.raises((Unavailable, NotAuthorized)):
            await hand_out(instance, account)
        clock.forward(minutes=21)

    assert ["connected", "connected", "authenticationError"] == states


async def test_blocked_account_is_refreshed_at_most_four_times_an_hour(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="53003", times=1000, person=who)

    for _ in range(60):
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(instance, account)
        assert "blocked_by_policy" == refused.value.code
        clock.forward(minutes=1)

    asked = [event for event in tenant.events("failed") if event.get("person") == who]
    assert 4 == len(asked)


async def test_weekly_probe_finds_lost_access_and_a_daily_one_its_end(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=False)
    clock.forward(days=7, minutes=1)
    await tick(instance)
    assert ("connectError", "no_mailbox_access") == state_of(api, account)

    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    clock.forward(days=1, minutes=1)
    await tick(instance)

    assert ("connected", None) == state_of(api, account)
    assert {"connectError", "connectSuccess"} <= set(await events_of(instance, account))


async def test_removing_an_account_ends_its_grant_and_its_id_is_free(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    assert (await hand_out(instance, account)).cached
    principal = await principal_id(instance, account)

    assert api.delete(f"/v1/account/{account}").json()["tokensDeleted"]

    assert not (await instance.stores.principals.partition(principal)).grants
    with pytest.raises(NotFound):
        await hand_out(instance, account)
    assert 404 == api.delete(f"/v1/account/{account}").status_code
    assert account == bind(api, visitor, who, account=account)


async def test_events_and_registrations_are_forgotten_in_time(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person())
    assert ["accountAdded", "accountInitialized"] == sorted(await events_of(instance, asked["account"]))

    clock.forward(days=3, minutes=1)
    await deliver_events(instance, clock() + timedelta(minutes=1))
    assert [] == await events_of(instance, asked["account"])
    assert 200 == api.get(f"/v1/authentication/form/{asked['registration']}").status_code

    clock.forward(days=5, minutes=1)
    await tick(instance)
    assert 404 == api.get(f"/v1/authentication/form/{asked['registration']}").status_code
    rows: list[Any] = [row async for row in storage_of(instance).get_table_client("Registrations").list_entities()]
    assert not [row for row in rows if asked["registration"] in str(row)]
