"""Pending accounts wait until Exchange knows a new permission, or until Graph answers again."""

from collections.abc import Callable

import httpx

from infra.local.visitor import Page, Visitor
from shared.ports import App
from tests.conftest import MovedClock
from tests.journey.conftest import Tenant, ask, code_of, status, tick

type NewPerson = Callable[..., str]


def press_keep_checking(visitor: Visitor, page: Page) -> Page:
    return visitor.submit(page.form_with("keep"))


async def test_waiting_and_its_success_are_shown_to_person_and_caller(
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    tenant: Tenant,
    person: NewPerson,
    instance: App,
    clock: MovedClock,
) -> None:
    who, asked = person(access=False), ask(api)
    page = press_keep_checking(visitor, visitor.follow(asked["url"], who))
    assert (202, "waitingForAccess") == (page.status, status(api, asked)["status"])
    assert "waitingForAccess" == page.back["state"]
    assert "still checking" in other_visitor.open(asked["url"]).text

    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    clock.forward(minutes=6)
    await tick(instance)

    assert ("completed", "new") == (status(api, asked)["status"], status(api, asked)["state"])
    assert who == api.get(f"/v1/account/{asked['account']}/oauth-token").json()["user"]


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
