"""An existing account gets another person or mailbox only from permitted callers, and never silently."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.domain.caller import Scope
from shared.ports import App, DirectoryEntry, Insert
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import find_account
from shared.usecases.events.delivery import deliver_events
from tests.events.conftest import Receiver
from tests.journey.apps import Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.callers import api_token, bearer
from tests.journey.conftest import Tenant, ask, bind, code_of, status
from tests.journey.many import Many, where_grants_serve_many  # noqa: F401 - a fixture

type NewPerson = Callable[..., str]

SUPPORT, SALES = "support@contoso.example", "sales@contoso.example"
FORM = {"redirectUrl": "https://myapp.example/done"}


@contextmanager
def calling(environment: Environment, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=environment.base_url, headers=bearer(token), timeout=30) as client:
        yield client


@pytest.fixture
async def registrar(environment: Environment, instance: App) -> AsyncIterator[httpx.Client]:
    """A caller that may register, and nothing else."""
    with calling(environment, await api_token(instance, frozenset({Scope.REGISTER}))) as client:
        yield client


@pytest.fixture
async def writer(environment: Environment, instance: App) -> AsyncIterator[httpx.Client]:
    """A caller that may register and write accounts."""
    scopes = frozenset({Scope.REGISTER, Scope.ACCOUNTS_WRITE})
    with calling(environment, await api_token(instance, scopes)) as client:
        yield client


def refused_fields(client: httpx.Client, **form: Any) -> set[str]:
    answer = client.post("/v1/authentication/form", json={**FORM, **form})
    assert 400 == answer.status_code, answer.text
    return {field["key"] for field in answer.json()["fields"]}


def test_form_that_changes_an_account_needs_accounts_write(
    api: httpx.Client, registrar: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    moved = {"account": bind(api, visitor, person()), "email": SALES, "delegated": True}
    both = {"allowPrincipalChange": True, "changeMailbox": True}

    assert {"email"} == refused_fields(registrar, **moved)
    assert {*both} == refused_fields(registrar, **moved, **both)


def test_link_by_account_route_needs_accounts_write_too(
    api: httpx.Client, registrar: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    account = bind(api, visitor, person())
    auth = {"delegatedUser": SALES}
    oauth2 = {"authorize": True, "redirectUrl": FORM["redirectUrl"], "auth": auth}

    link = registrar.post("/v1/account", json={"account": account, "oauth2": oauth2})

    assert (400, ["email"]) == (link.status_code, [field["key"] for field in link.json()["fields"]])


async def test_further_account_keeps_its_mailbox_by_default(many: Many) -> None:
    who = many.person(SUPPORT, SALES)
    asked, (support, sales) = many.ask(SUPPORT, SALES)
    many.visitor.follow(asked["url"], who)
    provider = many.api.get(f"/v1/account/{support}").json()["app"]
    oauth2 = {"provider": provider, "auth": {"delegatedUser": SALES, "delegatedAccount": sales}}

    kept = many.api.post("/v1/account", json={"account": support, "oauth2": oauth2})
    assert (409, "other_mailbox") == (kept.status_code, kept.json()["code"])
    assert SUPPORT == many.api.get(f"/v1/account/{support}").json()["email"]

    moved = many.api.post("/v1/account", json={"account": support, "oauth2": oauth2, "changeMailbox": True})
    assert "existing" == moved.json()["state"]
    assert SALES == many.api.get(f"/v1/account/{support}").json()["email"]


async def test_page_refuses_another_mailbox_and_another_app(
    api: httpx.Client,
    registrar: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    register: Register,
    instance: App,
) -> None:
    who, app = person(), register()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    held = await find_account(instance, bind(api, visitor, who, type=APP_ID))
    assert held is not None
    for code, wanted in (
        ("other_mailbox", {"email": SALES, "changeMailbox": True, "type": APP_ID}),
        ("other_app", {"type": app}),
    ):
        asked = ask(registrar, **wanted)
        # The account is created after the form.
        there = replace(held.account.value, id=asked["account"], inbox_id=None)
        await instance.stores.principals.commit(there.principal_id, [Insert(there)])
        await instance.stores.directory.insert(DirectoryEntry(there.id, there.principal_id, there.app))

        page = visitor.follow(asked["url"], who)

        assert (409, code) == (page.status, code_of(page))
        await remove_account(instance, there.id)


async def test_change_of_mailbox_or_person_is_announced_and_reported(
    api: httpx.Client,
    writer: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    receiver: Receiver,
) -> None:
    who, other = person(), person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    tenant.do("access", person=other, mailbox=SALES, fullAccess=True)
    account = bind(api, visitor, who)
    wish = {"url": receiver.url("ok/changes"), "account": account, "events": ["accountChanged"], "verify": False}
    assert 201 == api.post("/v1/webhooks", json=wish).status_code

    moved = ask(writer, account=account, email=SALES, changeMailbox=True)
    page = visitor.open(moved["url"]).text
    assert f"This replaces {SUPPORT}: the account {account} currently opens it with the sign-in of {who}" in page
    visitor.follow(moved["url"], who)
    taken = ask(writer, account=account, email=SALES, allowPrincipalChange=True)
    page = other_visitor.open(taken["url"]).text
    assert f"currently opens {SALES} with the sign-in of {who}" in page
    other_visitor.follow(taken["url"], other)
    repaired = ask(writer, account=account, email=SALES)
    assert "currently" not in other_visitor.open(repaired["url"]).text
    other_visitor.follow(repaired["url"], other)
    assert await deliver_events(instance, instance.clock() + timedelta(minutes=4))

    assert [
        {"user": who, "email": SALES, "previous": {"user": who, "email": SUPPORT}},
        {"user": other, "email": SALES, "previous": {"user": who, "email": SALES}},
    ] == [record["body"]["data"] for record in receiver.took("ok/changes")]


def test_hand_out_for_an_expected_mailbox_returns_no_other(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    route = f"/v1/account/{bind(api, visitor, person())}/oauth-token"
    claims = {"claims": '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'}

    expected = api.get(route, params={"expectedEmail": SUPPORT.upper()})
    other = api.get(route, params={"expectedEmail": SALES})
    challenged = api.post(route, json={**claims, "expectedEmail": SALES})
    broken = api.get(route, params={"expectedEmail": "x"})

    assert [200, 409, 409, 400] == [answer.status_code for answer in (expected, other, challenged, broken)]
    assert ["mailbox_changed"] * 2 == [answer.json()["code"] for answer in (other, challenged)]
    assert "accessToken" not in other.json()


async def test_register_scope_does_not_reveal_an_existing_mailbox(
    api: httpx.Client, registrar: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = bind(api, visitor, who)
    unnamed = ask(registrar, account=account, email=None, delegated=None)
    repair = registrar.post(f"/v1/account/{account}/reauthorize", json=FORM).json()

    for asked in (unnamed, repair):
        told, whole = status(registrar, asked), status(api, asked)
        assert [None, SUPPORT] == [one["email"] for one in (told, whole)]
        assert [None, SUPPORT] == [one["mailboxes"][0]["email"] for one in (told, whole)]
    named = ask(registrar, account=account)
    assert SUPPORT == status(registrar, named)["email"]
    visitor.follow(named["url"], who)
    assert ("completed", SUPPORT) == (status(registrar, named)["status"], status(registrar, named)["email"])
