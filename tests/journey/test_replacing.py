"""Only the newest link of an account works, and an earlier one says so."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from infra.local.visitor import Visitor
from shared.domain.event import EventName
from shared.ports import App
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, ask, bind, code_of, status, tick
from tests.journey.test_callback import to_the_callback
from tests.journey.test_waiting import press_keep_checking

type NewPerson = Callable[..., str]


def test_newer_form_replaces_the_earlier_link(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    earlier = ask(api)
    newer = ask(api, account=earlier["account"].upper())

    page = visitor.open(earlier["url"])

    assert (410, "link_replaced") == (page.status, code_of(page))
    assert not page.forms
    assert "Use the newest link" in page.text
    assert "link_replaced" == page.back["error"]
    assert ["replaced", "pending"] == [status(api, asked)["status"] for asked in (earlier, newer)]
    assert "new" == visitor.follow(newer["url"], person()).back["state"]
    assert "replaced" == status(api, earlier)["status"]


def test_open_page_of_a_replaced_link_does_not_work(api: httpx.Client, visitor: Visitor) -> None:
    asked = ask(api)
    form = visitor.open(asked["url"]).form_with("confirmation")
    ask(api, account=asked["account"])

    page = visitor.submit(form)

    assert (410, "link_replaced") == (page.status, code_of(page))


def test_code_of_a_replaced_link_is_not_redeemed(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    asked = ask(api)
    form = to_the_callback(visitor, asked["url"], person())
    ask(api, account=asked["account"])
    before = len(tenant.events("code redeemed"))

    page = visitor.submit(form)

    assert (410, "link_replaced") == (page.status, code_of(page))
    assert before == len(tenant.events("code redeemed"))
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code


def test_carried_grant_works_for_the_newest_link_only(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    page = visitor.follow(asked["url"], person(access=False))
    ask(api, account=asked["account"])

    assert "link_replaced" == code_of(press_keep_checking(visitor, page))
    assert "replaced" == status(api, asked)["status"]


async def test_waiting_for_access_ends_with_its_link(
    api: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
) -> None:
    who, asked = person(access=False), ask(api)
    press_keep_checking(visitor, visitor.follow(asked["url"], who))
    ask(api, account=asked["account"])
    assert "replaced" == status(api, asked)["status"]
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)

    clock.forward(minutes=6)
    await tick(instance)

    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code
    assert "replaced" == status(api, asked)["status"]
    raw = storage_of(instance).get_table_client("Principals")
    rows = [row async for row in raw.list_entities() if asked["account"] in str(row) or who in str(row)]
    assert [(EventName.REGISTRATION_FAILED, "link_replaced")] == [
        (row["name"], json.loads(row["data"])["code"]) for row in rows
    ]


def test_completed_link_is_not_replaced(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who, asked = person(), ask(api)
    visitor.follow(asked["url"], who)

    repair = ask(api, account=asked["account"])

    assert "completed" == status(api, asked)["status"]
    assert "link_used" == code_of(visitor.open(asked["url"]))
    assert "existing" == visitor.follow(repair["url"], who).back["state"]


def test_one_link_works_after_simultaneous_forms(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    account = ask(api)["account"]
    with ThreadPoolExecutor(6) as pool:
        links = list(pool.map(lambda _: ask(api, account=account), range(6)))

    states = [status(api, link)["status"] for link in links]

    assert ["pending", *["replaced"] * 5] == sorted(states)
    assert "new" == visitor.follow(links[states.index("pending")]["url"], person()).back["state"]


def test_forms_without_an_account_replace_nothing(api: httpx.Client) -> None:
    first = ask(api, account=None)
    ask(api, account=None)

    assert "pending" == status(api, first)["status"]


async def test_replaced_link_stays_replaced(api: httpx.Client, instance: App) -> None:
    earlier = ask(api)
    newer = ask(api, account=earlier["account"])

    await instance.stores.registrations.forget(newer["registration"])

    assert "replaced" == status(api, earlier)["status"]
    rows = [row async for row in storage_of(instance).get_table_client("Registrations").list_entities()]
    assert [] == [row for row in rows if newer["registration"] in str(row)]


def test_refused_form_replaces_nothing(api: httpx.Client) -> None:
    asked = ask(api)

    refused = api.post("/v1/authentication/form", json={"account": asked["account"], "redirectUrl": "no-url"})

    assert 400 == refused.status_code
    assert "pending" == status(api, asked)["status"]


def test_repair_link_replaces_no_link_of_other_accounts(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    other = ask(api)
    account = bind(api, visitor, person())

    ask(api, account=account)

    assert "pending" == status(api, other)["status"]
