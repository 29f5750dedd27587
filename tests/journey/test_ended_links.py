"""Links that their caller cancels, and links that end with their account."""

import asyncio
from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from shared.domain.caller import Binding, Scope
from shared.ports import App
from tests.journey.callers import api_token, bearer
from tests.journey.conftest import ask, bind, code_of, status
from tests.journey.test_callback import to_the_callback

type NewPerson = Callable[..., str]


def end(api: httpx.Client, registration: str) -> httpx.Response:
    return api.delete(f"/v1/authentication/form/{registration}")


def test_ended_link_does_not_work(api: httpx.Client, visitor: Visitor) -> None:
    asked = ask(api)
    form = visitor.open(asked["url"]).form_with("confirmation")

    answers = [end(api, asked["registration"]) for _ in range(2)]

    told = {"registration": asked["registration"], "deleted": True, "status": "cancelled"}
    assert [(200, told)] * 2 == [(answer.status_code, answer.json()) for answer in answers]
    for page in (visitor.open(asked["url"]), visitor.submit(form)):
        assert (410, "link_cancelled") == (page.status, code_of(page))
        assert not page.forms
    assert "cancelled" == status(api, asked)["status"]


def test_ending_a_completed_link_keeps_it_completed(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person())

    answer = end(api, asked["registration"])

    assert (False, "completed") == (answer.json()["deleted"], answer.json()["status"])
    assert "connected" == api.get(f"/v1/account/{asked['account']}").json()["state"]


async def test_ending_a_link_needs_the_right_to_its_accounts(api: httpx.Client, instance: App) -> None:
    asked = ask(api)
    route = f"/v1/authentication/form/{asked['registration']}"
    callers = {
        404: await api_token(instance, frozenset({Scope.REGISTER}), binding=Binding.to(["another"])),
        403: await api_token(instance, frozenset({Scope.ACCOUNTS_READ, Scope.ACCOUNTS_WRITE})),
        200: await api_token(instance, frozenset({Scope.REGISTER}), binding=Binding.to([asked["account"]])),
    }
    for expected, token in callers.items():
        answer = await asyncio.to_thread(api.delete, route, headers=bearer(token))
        assert expected == answer.status_code
    assert 404 == end(api, "0" * 64).status_code


def test_removing_an_account_ends_its_open_links(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    account = bind(api, visitor, who)
    repair = ask(api, account=account)
    form = to_the_callback(visitor, repair["url"], who)

    api.delete(f"/v1/account/{account}")

    assert "account_removed" == code_of(visitor.submit(form))
    assert (410, "account_removed") == ((page := visitor.open(repair["url"])).status, code_of(page))
    assert "cancelled" == status(api, repair)["status"]
    assert 404 == api.get(f"/v1/account/{account}").status_code
