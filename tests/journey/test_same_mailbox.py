"""The inbox that opens identifies a mailbox, not its address."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from tests.journey.conftest import Tenant, ask, bind, code_of
from tests.journey.many import SALES, SUPPORT

type NewPerson = Callable[..., str]


def test_own_mailbox_under_an_alias_is_refused(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who = person()
    alias = who.replace("person", "alias")
    tenant.do("address", mailbox=who, address=alias)
    asked = ask(api, email=alias)

    page = visitor.follow(asked["url"], who)

    assert (403, "own_mailbox") == (page.status, code_of(page))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


def test_account_is_refused_until_its_address_returns(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who, mailbox = person(), "5a000000-0000-4000-8000-000000000011"
    account = bind(api, visitor, who)
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)

    def state() -> tuple[str, str | None]:
        found = api.get(f"/v1/account/{account}").json()
        return found["state"], (found["lastError"] or {}).get("code")

    def repair() -> str:
        body = {"redirectUrl": "https://myapp.example/done"}
        return str(api.post(f"/v1/account/{account}/reauthorize", json=body).json()["url"])

    tenant.do("address", mailbox=SALES, address=SUPPORT)
    assert "connectError" == api.put(f"/v1/account/{account}/reconnect").json()["state"]
    assert ("connectError", "mailbox_replaced") == state()
    token = api.get(f"/v1/account/{account}/oauth-token")
    assert (403, "mailbox_replaced") == (token.status_code, token.json()["code"])
    page = visitor.follow(repair(), who)
    assert (403, "mailbox_replaced") == (page.status, code_of(page))

    tenant.do("address", mailbox=mailbox, address=SUPPORT)
    assert "existing" == visitor.follow(repair(), who).back["state"]
    assert ("connected", None) == state()
    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code
