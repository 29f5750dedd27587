"""A grant that Microsoft refuses, and what a caller is told about it."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from tests.journey.conftest import Tenant, bind

type NewPerson = Callable[..., str]


async def test_revoked_sign_ins_are_noticed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("revoke", person=who)

    answer = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()

    assert ("authenticationError", "needs_sign_in") == (answer["state"], answer["lastError"]["code"])
    assert answer["lastError"]["action"]
