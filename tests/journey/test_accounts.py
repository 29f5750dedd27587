"""The account resource: what it shows, what can be changed, and how it is repaired."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from infra.local.visitor import Visitor
from shared.domain.errors import NotAuthorized
from shared.ports import App
from shared.usecases.accounts.change import AccountChange, change_account
from shared.usecases.accounts.read import AccountQuery, list_accounts
from shared.usecases.callers.identify import ADMINISTRATOR
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.tick import run_tick
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, ask, bind, code_of, principal_id
from tests.patience import until

type NewPerson = Callable[..., str]

BACK = {"redirectUrl": "https://myapp.example/repaired"}


def state_of(api: httpx.Client, account: str) -> tuple[str, str | None]:
    found = api.get(f"/v1/account/{account}").json()
    return found["state"], (found["lastError"] or {}).get("code")


async def test_account_shows_its_person_and_when_the_grant_expires(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who = person()
    asked = ask(api, name="Shared Account")
    visitor.follow(asked["url"], who)
    api.get(f"/v1/account/{asked['account']}/oauth-token")

    found = api.get(f"/v1/account/{asked['account']}").json()

    tenant_id, _, object_id = (await principal_id(instance, asked["account"])).partition(".")
    bound, oauth2 = found["authorizedBy"]["since"], found["oauth2"]
    refreshed = datetime.fromisoformat(found["lastRefresh"])
    assert {
        "account": asked["account"],
        "name": "Shared Account",
        "email": "support@contoso.example",
        "type": "outlook",
        "delegated": True,
        "app": "AAABiCtT7XUAAAAF",
        "state": "connected",
        "user": who,
        "created": bound,
        "lastError": None,
        "authorizedBy": {"user": who, "tenantId": tenant_id, "objectId": object_id, "since": bound},
        "registration": asked["registration"],
        "secretExpires": None,
        "baseScopes": "api",
    } == {name: found[name] for name in found if name not in TIMES}
    assert refreshed + timedelta(days=90) == datetime.fromisoformat(found["expiresIfIdle"])
    assert refreshed <= datetime.fromisoformat(found["lastHandOut"])
    assert {"user": who, "delegatedUser": "support@contoso.example"} == oauth2["auth"]
    assert ("AAABiCtT7XUAAAAF", "Bearer", found["lastRefresh"], found["lastRefresh"]) == tuple(
        oauth2[name] for name in ("provider", "tokenType", "generated", "refreshTokenGenerated")
    )
    assert any(scope.endswith("Mail.ReadWrite.Shared") for scope in oauth2["scope"])


TIMES = {"lastRefresh", "lastHandOut", "expiresIfIdle", "oauth2"}


async def test_accounts_are_found_by_app_address_and_person(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    both = await principal_id(instance, account)

    def found(**query: str) -> list[str]:
        answer = api.get("/v1/accounts", params={"pageSize": "1000", **query})
        assert 200 == answer.status_code, answer.text
        return [one["account"] for one in answer.json()["accounts"]]

    for name in (who, who.upper(), both, both.upper(), both.partition(".")[2]):
        assert [account] == found(authorizedBy=name), name
    assert [account] == found(authorizedBy=who, email="SUPPORT@contoso.example", app="AAABiCtT7XUAAAAF")
    assert account in found(email="support@contoso.example")
    assert [] == found(authorizedBy=who, email="upport@contoso.example")
    assert [] == found(authorizedBy=who, app="AAABiCtT7XUAAAAA")
    assert [] == found(authorizedBy=both, state="paused")
    assert [] == found(state="syncing")
    assert account not in found(authorizedBy=f"{both[:-1]}{'0' if both[-1] != '0' else '1'}")


async def test_behind_a_cursor_a_rare_find_costs_a_bounded_look(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    instance: App,
) -> None:
    wanted = {bind(api, visitor, person(), name="A Rare Find") for _ in range(2)}
    listing = partial(list_accounts, instance, max_scanned=3)
    first = await listing(AccountQuery(page_size=1), ADMINISTRATOR)

    seen: list[str] = [account.id for account in first.accounts if account.name == "A Rare Find"]
    cursor, pages = first.cursor, 0
    while cursor is not None:
        page = await listing(AccountQuery(query="rare find", page_size=5, cursor=cursor), ADMINISTRATOR)
        assert len(page.accounts) <= 3
        seen += [account.id for account in page.accounts]
        cursor, pages = page.cursor, pages + 1

    assert (first.total or 0) / 3 <= pages + 1
    assert sorted(wanted) == sorted(seen)


def test_renaming_changes_only_the_name(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    account = bind(api, visitor, who)
    path = f"/v1/account/{account}"
    everything = {"name": " Help Desk ", "email": "Support@contoso.example", "expectedEmail": None, "imap": False}
    without_effect = {"path": "*", "subconnections": ["a"], "notifyFrom": None, "logs": True, "locale": "en"}

    assert {"account": account} == api.put(path, json=everything | without_effect).json()
    assert {"account": account} == api.put(path, json={"expectedEmail": who.upper()}).json()
    wrong = {"name": 5, "email": "sales@contoso.example", "expectedEmail": "other@contoso.example", "oauth2": {"x": 1}}
    wrong |= {"webhooks": "https://myapp.example/events"}
    refused = api.put(path, json=wrong | {"imap": {"auth": {}}, "logs": "loud", "paused": "maybe", "bogus": 1})

    assert {*wrong, "imap", "logs", "paused", "bogus"} == {field["key"] for field in refused.json()["fields"]}
    assert "reauthorize" in refused.text
    assert "sales@" not in refused.text
    found = api.get(path).json()
    assert ("Help Desk", "support@contoso.example", "connected") == (found["name"], found["email"], found["state"])
    visitor.follow(api.post(f"{path}/reauthorize", json=BACK).json()["url"], who)
    assert "Help Desk" == api.get(path).json()["name"]


async def test_changes_at_the_same_time_all_find_their_way(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())

    changes = [AccountChange(name="Renamed"), AccountChange(paused=True), AccountChange(name="Renamed")]
    await asyncio.gather(
        *(change_account(instance, account, change, {}) for change in changes), reconnect_account(instance, account)
    )

    found = api.get(f"/v1/account/{account}").json()
    assert ("Renamed", "paused") == (found["name"], found["state"])


async def test_paused_account_hands_out_nothing_and_loses_nothing(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    account = bind(api, visitor, person())
    path = f"/v1/account/{account}"
    assert (await hand_out(instance, account)).cached
    counted = api.get("/v1/stats").json()["accounts"].get("paused", 0)

    assert 200 == api.put(path, json={"paused": True}).status_code

    assert ("paused", None) == state_of(api, account)
    refused = api.get(f"{path}/oauth-token")
    assert (403, "account_paused") == (refused.status_code, refused.json()["code"])
    with pytest.raises(NotAuthorized):  # an instance that had it in mind
        await hand_out(instance, account)
    await until(lambda: counted + 1 == paused(api))
    clock.forward(days=6.9)
    principal = await principal_id(instance, account)
    before = await instance.stores.principals.grant(principal, "AAABiCtT7XUAAAAF")
    await run_tick(instance)
    after = await instance.stores.principals.grant(principal, "AAABiCtT7XUAAAAF")
    assert before is not None
    assert after is not None
    assert before.value.refreshed < after.value.refreshed
    assert ("paused", None) == state_of(api, account)

    api.put(path, json={"paused": False})

    assert ("connected", None) == state_of(api, account)
    assert 200 == api.get(f"{path}/oauth-token").status_code
    await until(lambda: counted == paused(api))


def paused(api: httpx.Client) -> int:
    return int(api.get("/v1/stats").json()["accounts"].get("paused", 0))


def test_paused_account_shows_errors_and_can_be_repaired(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who)
    path = f"/v1/account/{account}"
    api.put(path, json={"paused": True})
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=False)
    assert "no_mailbox_access" == api.put(f"{path}/reconnect").json()["lastError"]["code"]
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    api.put(path, json={"paused": False})
    assert ("connectError", "no_mailbox_access") == state_of(api, account)
    api.put(path, json={"paused": True})
    tenant.do("revoke", person=who)
    api.put(f"{path}/reconnect")
    assert ("paused", "needs_sign_in") == state_of(api, account)
    api.put(path, json={"paused": False})
    assert ("authenticationError", "needs_sign_in") == state_of(api, account)
    assert None is api.get(path).json()["expiresIfIdle"]
    api.put(path, json={"paused": True})

    visitor.follow(api.post(f"{path}/reauthorize", json=BACK).json()["url"], who)

    assert ("paused", None) == state_of(api, account)
    api.put(path, json={"paused": False})
    assert ("connected", None) == state_of(api, account)


def test_repair_link_is_for_the_same_person_and_mailbox(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who, name="Help Desk")
    path = f"/v1/account/{account}"
    tenant.do("revoke", person=who)
    api.put(f"{path}/reconnect")
    earlier = api.post(f"{path}/reauthorize", json=BACK).json()
    made = api.post(f"/v1/account/{account.upper()}/reauthorize", json=BACK)
    assert {"url", "registration", "expires"} == set(made.json())

    assert "newer link" in visitor.open(earlier["url"]).text
    assert "wrong_principal" == code_of(other_visitor.follow(made.json()["url"], person()))
    assert "authenticationError" == state_of(api, account)[0]
    page = visitor.follow(made.json()["url"], who)

    assert f"https://myapp.example/repaired?account={account}&state=existing" == page.refresh
    found = api.get(path).json()
    assert ("connected", "Help Desk", "support@contoso.example", made.json()["registration"]) == tuple(
        found[name] for name in ("state", "name", "email", "registration")
    )
    assert 200 == api.get(f"{path}/oauth-token").status_code


def test_repair_link_is_for_one_person_and_ends_with_the_account(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = bind(api, visitor, who)
    link = api.post(f"/v1/account/{account}/reauthorize", json=BACK).json()["url"]

    assert "wrong_principal" == code_of(other_visitor.follow(link, person()))
    assert who == api.get(f"/v1/account/{account}").json()["user"]
    api.delete(f"/v1/account/{account}")

    assert "account_removed" == code_of(visitor.open(link))
    assert 404 == api.get(f"/v1/account/{account}").status_code


def test_invalid_repair_request_replaces_no_link(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    account = bind(api, visitor, person())
    path = f"/v1/account/{account}/reauthorize"
    link = api.post(path, json=BACK).json()["url"]

    def faults(body: dict[str, Any]) -> set[str]:
        return {field["key"] for field in api.post(path, json=body).json()["fields"]}

    assert {"redirectUrl"} == faults({})
    assert {"redirectUrl", "email"} == faults({"redirectUrl": "nowhere", "email": "sales@contoso.example"})
    assert 404 == api.post("/v1/account/nobody-here/reauthorize", json={}).status_code
    assert 200 == visitor.open(link).status


def test_removal_reports_what_was_deleted(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    account = bind(api, visitor, person())

    assert 400 == api.delete(f"/v1/account/{account}?revoke=perhaps&bogus=1").status_code

    assert {
        "account": account,
        "deleted": True,
        "tokensDeleted": True,
        "accountsLeft": 0,
        "revoked": False,
    } == api.delete(f"/v1/account/{account}?revoke=true").json()
