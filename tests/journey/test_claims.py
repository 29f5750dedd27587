"""Claims that callers pass on, long tokens, and refreshes on demand."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from shared.domain.errors import TooManyRequests, Unavailable
from shared.ports import App, Replace
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, ask, bind, principal_id

type NewPerson = Callable[..., str]

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


def padded(length: int) -> str:
    """Claims with that many characters made up by the caller."""
    return json.dumps({"access_token": {"acrs": {"value": "c1"}, "x": "x" * length}})


def fields_of(answer: httpx.Response) -> set[str]:
    return {field["key"] for field in answer.json()["fields"]}


def refreshes(tenant: Tenant, person: str) -> int:
    return sum(each.get("person") == person for what in ("refreshed", "failed") for each in tenant.events(what))


def probes(tenant: Tenant, person: str) -> int:
    return sum(each["person"] == person for each in tenant.events("graph called"))


@pytest.mark.parametrize(
    ("claims", "field"),
    [
        *((padded(length), "claims.access_token.x") for length in (2000, 4000, 8000)),
        ('{"access_token":{"xms_cc":{"values":["cp1"]}}}', "claims.access_token.xms_cc"),
        ('{"access_token":{"acrs":{"value":"c1"},"xms_cc":{"values":["cp1"]}}}', "claims.access_token.xms_cc"),
        ('{"id_token":{"amr":{"values":["mfa"]}}}', "claims.id_token"),
        ('{"access_token":{"nbf":{"essential":true,"value":"' + "9" * 5000 + '"}}}', "claims.access_token.nbf.value"),
        ('{"access_token":{"acrs":{"values":[' + '"c1",' * 1500 + '"c1"]}}}', "claims.access_token.acrs.values"),
        ('{"access_token":' + '{"acrs":' * 400 + "1" + "}" * 401, "claims.access_token.acrs.acrs"),
        ('{"access_token":{"__proto__":{"value":"c1"}}}', "claims.access_token.__proto__"),
        ('{"access_token":{"acrs":{"value":"\\ud83d\\ude00"}}}', "claims.access_token.acrs.value"),
    ],
)
def test_claims_that_are_no_challenge_are_refused(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, claims: str, field: str
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="16000", times=1, person=who, grant="refresh_token")

    in_base64 = api.post(
        f"/v1/account/{account}/oauth-token", json={"claims": base64.b64encode(claims.encode()).decode()[:8192]}
    )
    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": claims})

    assert (400, 400) == (answer.status_code, in_base64.status_code)
    assert field in fields_of(answer)
    assert 0 == refreshes(tenant, who)
    assert 200 == visitor.follow(ask(api, account=account)["url"], who).status


async def test_claims_of_a_caller_are_not_kept_for_the_next_sign_in(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    # Entra demands a sign-in, without claims of its own.
    tenant.do("fail", endpoint="token", failure="16000", times=1, person=who, grant="refresh_token")
    values = {"essential": True, "values": ["c1"] * 10}
    claims = {"access_token": {"acrs": values, "capolids": {"values": ["c5c0e6f4-6d6b-4f0f-9d1e-0b7f6a5c4d3e"] * 10}}}

    answer = api.post(f"/v1/account/{account}/oauth-token", json={"claims": json.dumps(claims)})

    assert (403, "claims_challenge") == (answer.status_code, answer.json()["code"])
    grant = await instance.stores.principals.grant(await principal_id(instance, account), APP_ID)
    assert grant is not None
    assert None is grant.value.claims
    assert 200 == visitor.follow(ask(api, account=account)["url"], who).status
    assert None is tenant.events("code issued")[-1].get("claims")


async def test_claims_kept_by_earlier_versions_break_no_sign_in(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App
) -> None:
    """Rows of earlier versions hold up to 8,192 characters made up by a caller."""
    who = person()
    account = bind(api, visitor, who)
    for length in (2000, 4000, 8000):
        stored = await instance.stores.principals.grant(await principal_id(instance, account), APP_ID)
        assert stored is not None
        kept = replace(stored.value, claims=padded(length), challenged=instance.clock())
        await instance.stores.principals.commit(stored.value.principal.id, [Replace(kept, stored.version)])

        assert 200 == visitor.follow(ask(api, account=account)["url"], who).status
        assert None is tenant.events("code issued")[-1].get("claims")


async def test_sign_in_after_a_refused_one_leaves_the_claims_out(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="50076", times=1, person=who, grant="refresh_token")
    api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})
    opened = ask(api, account=account)

    visitor.follow(opened["url"], person())
    first = tenant.events("authorize shown")[-1]
    assert 200 == visitor.follow(opened["url"], who).status

    assert "capolids" in (first.get("claims") or "")
    assert None is tenant.events("code issued")[-1].get("claims")


async def test_token_valid_for_a_day_is_handed_out_for_two_hours(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    who = person()
    tenant.do("lifetimes", accessTokenSeconds=86_400)
    account = bind(api, visitor, who)

    assert (await hand_out(instance, account)).expires - clock() <= timedelta(hours=2)
    clock.forward(minutes=116)
    with caplog.at_level(logging.ERROR):
        refreshed = await hand_out(instance, account)

    assert (False, True) == (refreshed.cached, refreshed.expires - clock() <= timedelta(hours=2))
    told = [record for record in caplog.records if record.message == "access token lives too long"]
    assert [(APP_ID, "graph")] == [(record.__dict__["app"], record.__dict__["resource"]) for record in told]


@pytest.mark.parametrize("lifetime", [1, 7200])
async def test_token_of_normal_lifetime_is_not_reported(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    lifetime: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    account = bind(api, visitor, person())
    tenant.do("lifetimes", accessTokenSeconds=lifetime)

    with caplog.at_level(logging.ERROR):
        await reconnect_account(instance, account)

    assert [] == [record for record in caplog.records if record.message == "access token lives too long"]


def test_refreshes_on_demand_are_limited_to_two_a_minute(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    before, probed = refreshes(tenant, who), probes(tenant, who)

    answers = [api.put(f"/v1/account/{account}/reconnect") for _ in range(20)]
    challenged = api.post(f"/v1/account/{account}/oauth-token", json={"claims": CLAIMS})
    verified = api.post(f"/v1/oauth2/{APP_ID}/verify", json={"account": account})

    assert [200, 200, *[429] * 18] == [answer.status_code for answer in answers]
    assert (429, 429) == (challenged.status_code, verified.status_code)
    for held in (*answers[2:], challenged, verified):
        assert "TooManyRequests" == held.json()["code"]
        assert 0 < int(held.headers["retry-after"]) <= 30
    assert 2 == refreshes(tenant, who) - before
    assert 2 == probes(tenant, who) - probed


async def test_two_instances_share_the_limit_of_refreshes_on_demand(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App, other: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    before = refreshes(tenant, who)

    async def reconnect(services: App) -> Any:
        try:
            return await reconnect_account(services, account)
        except TooManyRequests as limited:
            return limited

    results = await asyncio.gather(*(reconnect(services) for services in (instance, other) * 4))

    assert 6 == sum(isinstance(result, TooManyRequests) for result in results)
    assert 2 == refreshes(tenant, who) - before


async def test_reconnecting_respects_a_pause_requested_by_entra(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("fail", endpoint="token", failure="50196", times=1, person=who, grant="refresh_token")
    await reconnect_account(instance, account)
    before = refreshes(tenant, who)

    clock.forward(minutes=30)
    with pytest.raises(Unavailable) as waiting:
        await reconnect_account(instance, account)

    assert waiting.value.retry_after is not None
    assert timedelta(minutes=20) < waiting.value.retry_after <= timedelta(minutes=31)
    assert before == refreshes(tenant, who)
    clock.forward(minutes=31)
    await reconnect_account(instance, account)
    assert before + 1 == refreshes(tenant, who)


async def test_app_refused_in_one_tenant_is_retried_like_any_failure(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="650052", times=50, person=who, grant="refresh_token")
    before = refreshes(tenant, who)

    for _ in range(10):
        with pytest.raises(Unavailable):
            await hand_out(instance, account)

    assert 1 == refreshes(tenant, who) - before
