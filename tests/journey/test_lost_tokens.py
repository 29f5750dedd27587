"""Grants that cannot be decrypted affect no others, and a sign-in repairs them."""

from collections.abc import Callable

import httpx
import pytest

from infra.local.visitor import Visitor
from shared.domain.errors import SealBroken, Unavailable
from shared.domain.formats import table_key
from shared.ports import App
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock, lose
from tests.contract.records import APP
from tests.journey.conftest import Tenant, bind, principal_id

type NewPerson = Callable[..., str]


async def lose_tokens(instance: App, account: str, *names: str) -> None:
    await lose(
        instance, "Principals", table_key(await principal_id(instance, account)), f"grant~{table_key(APP)}", *names
    )


async def test_account_with_lost_tokens_can_be_paused_and_removed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    await lose_tokens(instance, account)

    for paused in (True, False):
        assert 200 == api.put(f"/v1/account/{account}", json={"paused": paused}).status_code
    assert "connected" == api.get(f"/v1/account/{account}").json()["state"]
    assert api.delete(f"/v1/account/{account}").json()["tokensDeleted"]
    assert 404 == api.get(f"/v1/account/{account}").status_code


async def test_sign_in_replaces_lost_tokens(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    await lose_tokens(instance, account)

    refused = api.get(f"/v1/account/{account}/oauth-token")
    assert (503, "secrets_lost") == (refused.status_code, refused.json()["code"])
    bind(api, visitor, who, account=account)

    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code


async def test_readable_access_token_is_handed_out_if_others_are_lost(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    await lose_tokens(instance, account, "refresh_token")

    assert (await hand_out(instance, account)).access_token.reveal()
    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code


async def test_lost_tokens_use_up_no_trial_of_a_breaker(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock, tenant: Tenant
) -> None:
    lost, well = bind(api, visitor, person()), bind(api, visitor, person())
    await lose_tokens(instance, lost)
    clock.forward(hours=2)
    tenant.do("fail", endpoint="token", failure="7000222", times=1, grant="refresh_token")
    with pytest.raises(Unavailable):
        await hand_out(instance, well)
    clock.forward(seconds=61)

    with pytest.raises(SealBroken):
        await hand_out(instance, lost)

    assert not (await hand_out(instance, well)).cached
