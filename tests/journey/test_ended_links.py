"""Links that their caller cancels, and links that end with their account."""

import asyncio
import json
from collections.abc import Callable

import httpx

from infra.local.visitor import Visitor
from shared.domain.caller import Binding, Scope
from shared.ports import App
from shared.usecases.accounts.read import find_account
from tests.conftest import MovedClock, storage_of
from tests.journey.callers import api_token, bearer
from tests.journey.conftest import Tenant, ask, bind, code_of, status, tick
from tests.journey.many import SALES, SUPPORT, Many, where_grants_serve_many  # noqa: F401 - a fixture
from tests.journey.test_callback import to_the_callback
from tests.journey.test_waiting import press_keep_checking

type NewPerson = Callable[..., str]


def end(api: httpx.Client, registration: str) -> httpx.Response:
    return api.delete(f"/v1/authentication/form/{registration}")


async def grants_of(instance: App, who: str) -> list[str]:
    rows = storage_of(instance).get_table_client("Principals")
    return [row["RowKey"] async for row in rows.list_entities() if who in str(row) and "event~" not in row["RowKey"]]


async def failures_of(instance: App, account: str) -> list[str]:
    """The codes of `registrationFailed` events that are not delivered yet."""
    found = []
    for table in ("Principals", "Registrations"):
        rows = storage_of(instance).get_table_client(table)
        found += [row async for row in rows.list_entities() if row["RowKey"].startswith("event~")]
    mine = [row for row in found if row.get("account") == account and row["name"] == "registrationFailed"]
    return [json.loads(row["data"])["code"] for row in mine]


async def test_ended_link_does_not_work(api: httpx.Client, visitor: Visitor, instance: App, clock: MovedClock) -> None:
    asked = ask(api)
    form = visitor.open(asked["url"]).form_with("confirmation")

    answers = [end(api, asked["registration"]) for _ in range(2)]

    told = {"registration": asked["registration"], "deleted": True, "status": "cancelled"}
    assert [(200, told)] * 2 == [(answer.status_code, answer.json()) for answer in answers]
    for page in (visitor.open(asked["url"]), visitor.submit(form)):
        assert (410, "link_cancelled") == (page.status, code_of(page))
        assert not page.forms
    clock.forward(hours=26)
    await tick(instance)
    assert "cancelled" == status(api, asked)["status"]


def test_ending_a_completed_link_keeps_it_completed(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person())

    answer = end(api, asked["registration"])

    assert (False, "completed") == (answer.json()["deleted"], answer.json()["status"])
    assert "connected" == api.get(f"/v1/account/{asked['account']}").json()["state"]


async def test_ended_link_refuses_a_sign_in_without_an_event(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App
) -> None:
    at_microsoft, probing = ask(api), ask(api)
    form = to_the_callback(visitor, at_microsoft["url"], person())
    end(api, at_microsoft["registration"])
    assert "link_cancelled" == code_of(visitor.submit(form))

    visitor.cookies.clear()
    form = to_the_callback(visitor, probing["url"], person())
    tenant.do("latency", endpoint="graph", milliseconds=1500)
    coming_back = asyncio.create_task(asyncio.to_thread(visitor.submit, form))
    await asyncio.sleep(1)
    ended = await asyncio.to_thread(end, api, probing["registration"])

    assert "link_cancelled" == code_of(await coming_back)
    assert ended.json()["deleted"]
    for asked in (at_microsoft, probing):
        assert await find_account(instance, asked["account"]) is None
        assert [] == await failures_of(instance, asked["account"])


async def test_ending_a_link_ends_waiting_for_access(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App, clock: MovedClock
) -> None:
    who, asked = person(access=False), ask(api)
    page = visitor.follow(asked["url"], who)
    press_keep_checking(visitor, page)
    assert await grants_of(instance, who)

    end(api, asked["registration"])

    assert [] == await grants_of(instance, who)
    assert "link_cancelled" == code_of(press_keep_checking(visitor, page))
    tenant.do("access", person=who, mailbox=SUPPORT, fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)
    assert await find_account(instance, asked["account"]) is None
    assert ["no_mailbox_access"] == await failures_of(instance, asked["account"])  # of the sign-in that began to wait


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


async def test_removing_an_account_ends_its_open_links(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    who = person()
    account = bind(api, visitor, who)
    repair = ask(api, account=account)
    form = to_the_callback(visitor, repair["url"], who)

    api.delete(f"/v1/account/{account}")

    assert "account_removed" == code_of(visitor.submit(form))
    assert (410, "account_removed") == ((page := visitor.open(repair["url"])).status, code_of(page))
    assert "cancelled" == status(api, repair)["status"]
    assert 404 == api.get(f"/v1/account/{account}").status_code
    newer = ask(api, account=account)
    assert "account_removed" != code_of(visitor.open(repair["url"]))
    assert "new" == visitor.follow(newer["url"], who).back["state"]
    api.delete(f"/v1/account/{account}")
    clock.forward(days=9)
    await tick(instance)
    rows = [row async for row in storage_of(instance).get_table_client("Registrations").list_entities()]
    assert [] == [row["PartitionKey"] for row in rows if account in str(row)]


async def test_removing_an_account_ends_waiting_for_it(
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
) -> None:
    account, waits = bind(api, visitor, person()), person(access=False)
    handover = ask(api, account=account, allowPrincipalChange=True)
    press_keep_checking(other_visitor, other_visitor.follow(handover["url"], waits))
    assert await grants_of(instance, waits)

    api.delete(f"/v1/account/{account}")
    tenant.do("access", person=waits, mailbox=SUPPORT, fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)

    assert await find_account(instance, account) is None
    assert [] == await grants_of(instance, waits)
    assert ["account_removed"] == [code for code in await failures_of(instance, account) if code != "no_mailbox_access"]


def test_removed_account_leaves_a_link_to_several(many: Many) -> None:
    who = many.person(SUPPORT, SALES)
    first, (support, sales) = many.ask(SUPPORT, SALES)
    many.visitor.follow(first["url"], who)
    again = many.form(mailboxes=[{"account": support, "email": SUPPORT}, {"account": sales, "email": SALES}]).json()

    many.api.delete(f"/v1/account/{support}")

    many.visitor.follow(again["url"], who)
    assert ["completed", "account_removed", "existing"] == many.states(again)
    assert 404 == many.api.get(f"/v1/account/{support}").status_code
