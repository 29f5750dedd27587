"""The inbox that opens identifies a mailbox, not its address."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.domain.errors import NotAuthorized
from shared.domain.formats import table_key
from shared.ports import App
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from tests.conftest import MovedClock, storage_of
from tests.journey.apps import CONTOSO, Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, ask, bind, code_of, principal_id, tick
from tests.journey.many import SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture

type NewPerson = Callable[..., str]


def state_of(api: httpx.Client, account: str) -> tuple[str, str | None]:
    found = api.get(f"/v1/account/{account}").json()
    return found["state"], (found["lastError"] or {}).get("code")


@pytest.mark.parametrize("name", ["alias", "address", "sign-in name"])
def test_own_mailbox_is_no_shared_one_under_any_address(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, name: str
) -> None:
    who = person()
    primary, alias = who.replace("person", "primary"), who.replace("person", "alias")
    tenant.do("person", upn=who, address=primary)
    tenant.do("address", mailbox=who, address=alias)
    asked = ask(api, email={"alias": alias, "address": primary, "sign-in name": who}[name])

    page = visitor.follow(asked["url"], who)

    assert (403, "own_mailbox") == (page.status, code_of(page))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


def test_own_address_of_an_imap_account_comes_from_graph(
    api: httpx.Client, environment: Environment, tenant: Tenant, person: NewPerson, register: Register
) -> None:
    ready, who = environment.tenant.ready, person()
    registered = {"clientId": ready["clientId"], "clientSecret": ready["clientSecret"], "authority": CONTOSO}
    app = register(**registered, baseScopes=["imap"], extraScopes=["User.Read"])
    primary, alias = who.replace("person", "primary"), who.replace("person", "alias")
    tenant.do("person", upn=who, address=primary)
    tenant.do("address", mailbox=who, address=alias)

    for address in (who, primary, alias):
        with Visitor(ready["caFile"]) as browser:
            assert "own_mailbox" == code_of(browser.follow(ask(api, type=app, email=address)["url"], who))
    with Visitor(ready["caFile"]) as browser:
        assert "new" == browser.follow(ask(api, type=app)["url"], who).back["state"]


async def test_address_given_to_another_mailbox_stops_its_account(
    api: httpx.Client,
    visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,
    instance: App,
    other: App,
    clock: MovedClock,
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    assert SUPPORT == (await hand_out(other, account)).email  # and remembered

    tenant.do("address", mailbox=SALES, address=SUPPORT)
    clock.forward(days=7, minutes=1)
    await tick(instance)

    assert ("connectError", "mailbox_replaced") == state_of(api, account)
    for one in (instance, other):
        with pytest.raises(NotAuthorized) as refused:
            await hand_out(one, account)
        assert "mailbox_replaced" == refused.value.code
    link = api.post(f"/v1/account/{account}/reauthorize", json={"redirectUrl": "https://myapp.example/done"}).json()
    page = visitor.follow(link["url"], who)
    assert (403, "mailbox_replaced") == (page.status, code_of(page))
    assert 403 == api.get(f"/v1/account/{account}/oauth-token").status_code

    assert "existing" == visitor.follow(ask(api, account=account, changeMailbox=True)["url"], who).back["state"]
    assert ("connected", None) == state_of(api, account)
    assert SUPPORT == (await hand_out(other, account)).email


async def test_returned_address_repairs_its_account(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    who, mailbox = person(), "5a000000-0000-4000-8000-000000000011"
    account = bind(api, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    tenant.do("address", mailbox=SALES, address=SUPPORT)
    assert "connectError" == api.put(f"/v1/account/{account}/reconnect").json()["state"]

    tenant.do("revoke", person=who)
    clock.forward(hours=2)
    await reconnect_account(instance, account)
    assert "mailbox_replaced" == (api.get(f"/v1/account/{account}/oauth-token").json())["code"]

    tenant.do("address", mailbox=mailbox, address=SUPPORT)
    link = api.post(f"/v1/account/{account}/reauthorize", json={"redirectUrl": "https://myapp.example/done"}).json()
    assert "existing" == visitor.follow(link["url"], who).back["state"]
    assert ("connected", None) == state_of(api, account)
    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code


async def test_replaced_mailbox_is_reported_once(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    tenant.do("address", mailbox=SALES, address=SUPPORT)

    for _ in range(3):
        clock.forward(days=7, minutes=1)
        await tick(instance)

    partition = table_key(await principal_id(instance, account))
    rows = storage_of(instance).get_table_client("Principals").query_entities(f"PartitionKey eq '{partition}'")
    told = [row async for row in rows if row["RowKey"].startswith("event~") and row["name"] == "connectError"]
    assert 1 == len(told)
    assert "mailbox_replaced" in told[0]["data"]


async def test_account_without_an_inbox_id_gets_one_at_the_next_probe(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    of = await principal_id(instance, account)
    stored = await instance.stores.principals.account(of, account)
    assert stored is not None
    assert stored.value.inbox_id is not None
    rows = storage_of(instance).get_table_client("Principals")
    row = dict(await rows.get_entity(table_key(of), f"account~{table_key(account)}"))
    del row["inbox_id"]
    await rows.upsert_entity(row, mode="replace")

    assert "connected" == api.put(f"/v1/account/{account}/reconnect").json()["state"]

    again = await instance.stores.principals.account(of, account)
    assert again is not None
    assert stored.value.inbox_id == again.value.inbox_id


def test_link_binds_a_mailbox_once_under_several_addresses(many: Many) -> None:
    who, alias = many.person(SUPPORT, SALES), "help@contoso.example"
    many.tenant.do("address", mailbox=SUPPORT, address=alias)
    asked, (first, second, third) = many.ask(SUPPORT, alias, SALES)

    page = many.visitor.follow(asked["url"], who)

    assert ["completed", "new", "same_mailbox", "new"] == many.states(asked), page.text
    assert [200, 404, 200] == [many.api.get(f"/v1/account/{one}").status_code for one in (first, second, third)]
    again = Visitor.follow(many.visitor, asked["url"], who)
    assert ["completed", "new", "same_mailbox", "new"] == many.states(asked), again.text


def test_two_accounts_share_a_mailbox_if_grants_serve_many(many: Many) -> None:
    who, alias = many.person(SUPPORT), "help@contoso.example"
    many.tenant.do("address", mailbox=SUPPORT, address=alias)
    asked, (account,) = many.ask(SUPPORT)
    many.visitor.follow(asked["url"], who)
    auth: dict[str, Any] = {"delegatedUser": alias, "delegatedAccount": account}

    answer = many.api.post(
        "/v1/account", json={"account": f"{account}-b", "oauth2": {"provider": APP_ID, "auth": auth}}
    )

    assert (200, "new") == (answer.status_code, answer.json()["state"])
