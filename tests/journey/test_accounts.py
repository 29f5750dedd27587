"""The account resource: what it shows, what can be changed, and how it is repaired."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from infra.local.visitor import Visitor
from shared.ports import App
from tests.journey.conftest import Tenant, ask, bind, code_of, principal_id
from tests.patience import wait_until

type NewPerson = Callable[..., str]

BACK = {"redirectUrl": "https://myapp.example/repaired"}


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
        "handOut": True,
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

    def found(**query: str) -> list[str]:
        answer = api.get("/v1/accounts", params={"pageSize": "1000", **query})
        assert 200 == answer.status_code, answer.text
        return [one["account"] for one in answer.json()["accounts"]]

    assert [account] == found(authorizedBy=who, email="SUPPORT@contoso.example", app="AAABiCtT7XUAAAAF")
    assert [account] == found(authorizedBy=await principal_id(instance, account), state="connected")
    for other in ({"email": "upport@contoso.example"}, {"app": "AAABiCtT7XUAAAAA"}, {"state": "paused"}):
        assert [] == found(authorizedBy=who, **other)


def test_renaming_changes_only_the_name(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    account = bind(api, visitor, who)
    path = f"/v1/account/{account}"
    everything = {"name": " Help Desk ", "email": "Support@contoso.example", "expectedEmail": None, "imap": False}
    without_effect = {"path": "*", "subconnections": ["a"], "notifyFrom": None, "logs": True, "locale": "en"}

    for body in (everything | without_effect, {"expectedEmail": who.upper()}):
        answer = api.put(path, json=body).json()
        assert {"account": account, "state": "connected", "handOut": True, "lastError": None} == answer
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


def test_paused_account_hands_out_nothing_until_it_is_resumed(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    path = f"/v1/account/{bind(api, visitor, person())}"
    counted = paused(api)

    assert 200 == api.put(path, json={"paused": True}).status_code

    assert ("paused", None) == (api.get(path).json()["state"], api.get(path).json()["lastError"])
    refused = api.get(f"{path}/oauth-token")
    assert (403, "account_paused") == (refused.status_code, refused.json()["code"])
    wait_until(lambda: counted + 1 == paused(api))

    assert 200 == api.put(path, json={"paused": False}).status_code

    assert "connected" == api.get(path).json()["state"]
    assert 200 == api.get(f"{path}/oauth-token").status_code
    wait_until(lambda: counted == paused(api))


def paused(api: httpx.Client) -> int:
    return int(api.get("/v1/stats").json()["accounts"].get("paused", 0))


def test_repair_link_is_for_the_same_person_and_mailbox(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = bind(api, visitor, who, name="Help Desk")
    path = f"/v1/account/{account}"
    tenant.do("revoke", person=who)
    assert "needs_sign_in" == api.put(f"{path}/reconnect").json()["lastError"]["code"]
    assert None is api.get(path).json()["expiresIfIdle"]
    earlier = api.post(f"{path}/reauthorize", json=BACK).json()
    made = api.post(f"/v1/account/{account.upper()}/reauthorize", json=BACK)
    assert {"url", "registration", "expires", "delegated"} == set(made.json())
    assert made.json()["delegated"]

    assert "newer link" in visitor.open(earlier["url"]).text
    assert "wrong_principal" == code_of(other_visitor.follow(made.json()["url"], person()))
    assert "authenticationError" == api.get(path).json()["state"]
    page = visitor.follow(made.json()["url"], who)

    assert f"https://myapp.example/repaired?account={account}&state=existing" == page.refresh
    found = api.get(path).json()
    assert ("connected", "Help Desk", "support@contoso.example", made.json()["registration"]) == tuple(
        found[name] for name in ("state", "name", "email", "registration")
    )
    assert 200 == api.get(f"{path}/oauth-token").status_code


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
