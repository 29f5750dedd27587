"""Grants that cannot be decrypted: the caller is told, and a sign-in repairs them."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from shared.ports import App
from tests.journey.conftest import bind
from tests.usecases.grants import lose_tokens

type NewPerson = Callable[..., str]


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
