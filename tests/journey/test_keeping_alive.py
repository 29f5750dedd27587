"""A grant that Microsoft refuses, and what a caller is told about it."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from shared.domain.grant import DelegatedGrant
from shared.ports import App, Stored
from tests.conftest import storage_of
from tests.journey.conftest import Tenant, bind, principal_id

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


async def test_revoked_sign_ins_are_noticed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("revoke", person=who)

    answer = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()

    assert ("authenticationError", "needs_sign_in") == (answer["state"], answer["lastError"]["code"])
    assert answer["lastError"]["action"]
