"""Pending accounts wait until Exchange knows a new permission, or until Graph answers again."""

import uuid
from collections.abc import Callable

import httpx

from infra.local.visitor import Page, Visitor
from shared.ports import App
from shared.usecases.accounts.read import find_account
from tests.conftest import MovedClock, storage_of
from tests.journey.conftest import Tenant, ask, code_of, status, tick

type NewPerson = Callable[..., str]


def press_keep_checking(visitor: Visitor, page: Page) -> Page:
    return visitor.submit(page.form_with("keep"))


async def test_keep_checking_binds_without_a_second_sign_in(
    api: httpx.Client,
    visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
) -> None:
    who, asked = person(access=False), ask(api)
    page = press_keep_checking(visitor, visitor.follow(asked["url"], who))
    assert (202, "waitingForAccess") == (page.status, status(api, asked)["status"])
    assert "waitingForAccess" == page.back["state"]
    clock.forward(minutes=6)
    await tick(instance)
    assert "waitingForAccess" == status(api, asked)["status"]

    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)

    assert ("completed", "new") == (status(api, asked)["status"], status(api, asked)["state"])
    assert who == api.get(f"/v1/account/{asked['account']}/oauth-token").json()["user"]
    found = await find_account(instance, asked["account"])
    assert found is not None
    assert not (await instance.stores.principals.partition(found.account.value.principal_id)).pending


async def test_waiting_ends_when_the_tenant_is_removed(
    api: httpx.Client,
    visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
) -> None:
    who, asked = person(access=False), ask(api)
    press_keep_checking(visitor, visitor.follow(asked["url"], who))
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    app = instance.config.seed.id
    assert 200 == api.put(f"/v1/oauth2/{app}", json={"tenants": [str(uuid.uuid4())]}).status_code
    clock.forward(minutes=6)

    await tick(instance)

    assert 200 == api.delete(f"/v1/oauth2/{app}").status_code
    assert ("failed", "tenant_not_allowed") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])
    rows = storage_of(instance).get_table_client("Principals").list_entities()
    assert [] == [row async for row in rows if who in str(row) and "event~" not in row["RowKey"]]


async def test_grant_is_deleted_after_a_day_without_access(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    who, asked = person(access=False), ask(api)
    press_keep_checking(visitor, visitor.follow(asked["url"], who))
    raw = storage_of(instance).get_table_client("Principals")
    assert 1 == len([row async for row in raw.list_entities() if who in str(row)])

    for _ in range(2):
        clock.forward(hours=12, minutes=10)
        await tick(instance)

    assert ("expired", "no_mailbox_access") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])
    assert [] == [row async for row in raw.list_entities() if who in str(row)]


def test_only_the_same_browser_can_keep_checking(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    asked = ask(api)
    page = visitor.follow(asked["url"], person(access=False))
    other_visitor.open(asked["url"])

    stolen = press_keep_checking(other_visitor, page)

    assert "sign_in_unknown" == code_of(stolen)
    assert "waitingForAccess" != status(api, asked)["status"]


def test_grant_in_the_page_cannot_be_read(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person(access=False)
    page = visitor.follow(ask(api)["url"], who)

    assert who not in page.form_with("keep").fields["keep"]
    assert page.form_with("keep").fields["keep"].startswith("v1.")


async def test_graph_outage_needs_no_second_sign_in(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    asked, who = ask(api), person()
    tenant.do("outage", endpoint="graph", mode="503")

    page = visitor.follow(asked["url"], who)

    assert (202, "waitingForAccess") == (page.status, status(api, asked)["status"])
    assert 404 == api.get(f"/v1/account/{asked['account']}").status_code
    for _ in range(3):
        clock.forward(minutes=2)
        await tick(instance)
    assert "graph_unavailable" == status(api, asked)["failure"]["code"]
    tenant.do("outage", endpoint="graph", mode="none")
    clock.forward(minutes=2)
    await tick(instance)
    assert "completed" == status(api, asked)["status"]


async def test_mailbind_waits_an_hour_for_graph(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    asked, who = ask(api), person()
    tenant.do("outage", endpoint="graph", mode="503")
    visitor.follow(asked["url"], who)

    clock.forward(minutes=61)
    await tick(instance)

    assert ("failed", "graph_unavailable") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])
    tenant.do("outage", endpoint="graph", mode="none")
    assert "new" == visitor.follow(asked["url"], who).back["state"]


async def test_missing_access_ends_waiting_for_graph(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson, instance: App, clock: MovedClock
) -> None:
    asked, who = ask(api), person(access=False)
    tenant.do("outage", endpoint="graph", mode="503")
    visitor.follow(asked["url"], who)
    tenant.do("outage", endpoint="graph", mode="none")

    clock.forward(minutes=2)
    await tick(instance)

    assert ("failed", "no_mailbox_access") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])


async def test_person_with_access_can_overtake_a_waiting_one(
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
) -> None:
    waiting, right, asked = person(access=False), person(), ask(api)
    press_keep_checking(visitor, visitor.follow(asked["url"], waiting))

    assert "still checking" in other_visitor.open(asked["url"]).text
    assert "new" == other_visitor.follow(asked["url"], right).back["state"]

    tenant.do("access", person=waiting, mailbox="support@contoso.example", fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)
    assert right == api.get(f"/v1/account/{asked['account']}").json()["user"]
    raw = storage_of(instance).get_table_client("Principals")
    assert [] == [row async for row in raw.list_entities() if waiting in str(row)]
