"""POST /v1/account binds a further mailbox to an existing grant, without a sign-in."""

import secrets
from typing import Any

import httpx

from shared.domain.caller import Binding, Scope
from tests.journey.callers import api_token, bearer
from tests.journey.conftest import principal_id
from tests.journey.many import BOARD, SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture
from tests.journey.test_api import HINT

APP = "AAABiCtT7XUAAAAF"


def parent(many: Many, *mailboxes: str) -> str:
    """An account for support@ of a person who may open these too."""
    asked, (account,) = many.ask(SUPPORT)
    many.visitor.follow(asked["url"], many.person(SUPPORT, *mailboxes))
    return account


def wish(through: str | None, mailbox: str, **changes: Any) -> dict[str, Any]:
    auth = {"delegatedUser": mailbox, "delegatedAccount": through}
    return {"account": f"further-{secrets.token_hex(4)}", "oauth2": {"provider": APP, "auth": auth}, **changes}


def add(many: Many, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
    return many.api.post("/v1/account", json=body, headers=headers)


def keys(answer: httpx.Response) -> set[str]:
    assert 400 == answer.status_code, answer.text
    return {field["key"] for field in answer.json()["fields"]}


async def test_further_mailbox_is_bound_to_an_existing_grant(many: Many) -> None:
    account = parent(many, SALES)
    signed_in = len(many.tenant.events("signed in"))
    body = wish(account, SALES, name="Sales", email=SALES.upper(), imapIndexer="full", copy=True)

    answer = add(many, body)

    assert 200 == answer.status_code
    assert {"account": body["account"], "state": "new", "delegated": True} == answer.json()
    assert signed_in == len(many.tenant.events("signed in"))
    tokens = [many.token(one).json() for one in (account, body["account"])]
    assert tokens[0]["accessToken"] == tokens[1]["accessToken"]
    assert (SALES, tokens[0]["user"]) == (tokens[1]["email"], tokens[1]["user"])
    told = many.api.get(f"/v1/account/{body['account']}").json()
    assert ("Sales", account) == (told["name"], told["oauth2"]["auth"]["delegatedAccount"])
    assert "existing" == add(many, body).json()["state"]
    assert {1} == {
        len((await many.instance.stores.principals.partition(await principal_id(many.instance, account))).grants)
    }


def test_without_access_nothing_is_bound(many: Many) -> None:
    body = wish(parent(many), BOARD)

    answer = add(many, body)

    assert (403, "no_mailbox_access") == (answer.status_code, answer.json()["code"])
    assert "Full Access" in answer.json()["message"]
    assert 404 == many.api.get(f"/v1/account/{body['account']}").status_code


def test_account_of_another_person_is_a_conflict(many: Many) -> None:
    mine, theirs = parent(many), parent(many)

    assert (409, "wrong_principal") == refusal(add(many, wish(mine, SUPPORT, account=theirs)))


def test_paused_account_binds_no_further_mailbox(many: Many) -> None:
    paused = parent(many, SALES)
    many.api.put(f"/v1/account/{paused}", json={"paused": True})

    assert (403, "account_paused") == refusal(add(many, wish(paused, SALES)))


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_further_account_can_be_retried_after_a_graph_outage(many: Many) -> None:
    body = wish(parent(many, SALES), SALES)
    many.tenant.do("outage", endpoint="graph", mode="503")

    answer = add(many, body)

    assert (503, "graph_unavailable") == refusal(answer)
    assert answer.headers["retry-after"]
    assert 404 == many.api.get(f"/v1/account/{body['account']}").status_code
    many.tenant.do("outage", endpoint="graph", mode="none")
    assert 200 == add(many, body).status_code


def test_every_fault_is_named_at_once(many: Many) -> None:
    needed = {"oauth2.provider", "oauth2.auth.delegatedUser", "oauth2.auth.delegatedAccount"}
    assert needed <= keys(add(many, {"account": "x"}))
    assert needed <= keys(add(many, {"account": "x", "oauth2": {"auth": {}}}))
    body = wish("x", "no address", account="a/b", email=SALES, imap={"host": "x"}, bogus=1)
    body["oauth2"] |= {"provider": "none", "odd": 1}
    assert {
        "account",
        "email",
        "imap",
        "bogus",
        "oauth2.provider",
        "oauth2.odd",
        "oauth2.auth.delegatedUser",
    } == keys(add(many, body))
    assert 404 == add(many, wish("nobody-here", SALES)).status_code


def test_with_authorize_it_answers_with_a_link_to_sign_in(many: Many) -> None:
    oauth2 = {"authorize": True, "provider": APP, "redirectUrl": "https://myapp.example/done"}
    account = f"asked-{secrets.token_hex(4)}"
    body = {"account": account, "name": "Sales", "oauth2": {**oauth2, "auth": {"delegatedUser": SALES}}}

    page = many.visitor.follow(add(many, body).json()["redirect"], many.person(SALES))

    assert {"account": account, "state": "new"} == page.back
    told = many.api.get(f"/v1/account/{account}").json()
    assert ("Sales", SALES, True) == (told["name"], told["email"], told["delegated"])
    wrong = {**oauth2, "redirectUrl": "no", "provider": "none", "auth": {"delegatedAccount": account}}
    answer = add(many, {"oauth2": wrong})
    assert {"oauth2.redirectUrl", "oauth2.provider", "oauth2.auth.delegatedAccount"} == keys(answer)
    assert '"oauth2.redirectUrl" must be' in answer.text.replace("\\", "")


def test_link_without_a_delegated_user_is_for_the_own_mailbox(many: Many) -> None:
    oauth2 = {"authorize": True, "provider": APP, "redirectUrl": "https://myapp.example/done"}

    named = add(many, {"email": SALES, "oauth2": oauth2}).json()
    unnamed = add(many, {"oauth2": oauth2}).json()
    shared = add(many, {"email": SALES, "oauth2": {**oauth2, "auth": {"delegatedUser": SALES}}}).json()

    assert {"redirect", "delegated", "hint"} == set(named)
    assert HINT.format(SALES, 'send its address as "oauth2.auth.delegatedUser"') == named["hint"]
    assert [False, False, True] == [answer["delegated"] for answer in (named, unnamed, shared)]
    assert {"redirect", "delegated"} == set(unnamed) == set(shared)


async def test_bound_caller_must_reach_both_accounts(many: Many) -> None:
    account = parent(many, SALES)
    both = frozenset({Scope.REGISTER, Scope.ACCOUNTS_WRITE})

    async def of(*accounts: str, scopes: frozenset[Scope] = both) -> dict[str, str]:
        return bearer(await api_token(many.instance, scopes, binding=Binding.to(accounts)))

    body = wish(account, SALES)
    assert 403 == add(many, body, await of(body["account"])).status_code
    assert 403 == add(many, body, await of(account)).status_code
    assert {"account"} == keys(add(many, {**body, "account": None}, await of(account)))
    for scope in both:
        one = await of(account, body["account"], scopes=frozenset({scope}))
        assert 403 == add(many, body, one).status_code
    assert 200 == add(many, body, await of(account, body["account"])).status_code
