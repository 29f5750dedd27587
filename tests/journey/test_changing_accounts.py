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
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import App, DirectoryEntry, Insert
from shared.usecases.accounts.change import remove_account
from shared.usecases.accounts.read import find_account
from shared.usecases.callers.identify import identify_caller
from shared.usecases.events.delivery import deliver_events
from shared.usecases.sign_in.invitation import Invitation
from shared.usecases.sign_in.start import start_registration
from tests.contract import records
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
    api: httpx.Client, registrar: httpx.Client, writer: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    shared = {"account": bind(api, visitor, person()), "email": SUPPORT, "delegated": True}
    moved = {**shared, "email": SALES}

    assert {"allowPrincipalChange"} == refused_fields(registrar, **shared, allowPrincipalChange=True)
    assert {"changeMailbox"} == refused_fields(registrar, **moved, changeMailbox=True)
    assert {"email"} == refused_fields(registrar, **moved)
    assert {"email"} == refused_fields(writer, **moved)
    both = {"allowPrincipalChange": True, "changeMailbox": True}
    assert {*both} == refused_fields(registrar, **moved, **both)
    for client, form in ((registrar, shared), (writer, {**moved, **both}), (registrar, {"account": shared["account"]})):
        assert 200 == client.post("/v1/authentication/form", json={**FORM, **form}).status_code


def test_changes_by_other_forms_need_accounts_write_too(many: Many, reusing: Environment) -> None:
    who = many.person(SUPPORT, SALES)
    asked, (support, sales) = many.ask(SUPPORT, SALES)
    assert "completed" == many.visitor.follow(asked["url"], who).back["state"]
    token = many.api.post("/v1/token", json={"description": "a test's", "scopes": ["register"]}).json()["token"]
    swapped = [{"account": support, "email": SALES}, {"account": sales, "email": SUPPORT}]
    auth = {"delegatedUser": SALES}
    oauth2 = {"authorize": True, "redirectUrl": FORM["redirectUrl"], "auth": auth}

    with calling(reusing, token) as registrar:
        assert {"mailboxes[0].email", "mailboxes[1].email"} == refused_fields(registrar, mailboxes=swapped)
        assert {"changeMailbox"} == refused_fields(registrar, mailboxes=swapped, changeMailbox=True)
        link = registrar.post("/v1/account", json={"account": support, "oauth2": oauth2})

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


async def test_account_created_after_the_form_keeps_person_and_mailbox(
    api: httpx.Client,
    registrar: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
) -> None:
    who = person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    held = await find_account(instance, bind(api, visitor, who))
    assert held is not None
    changes = {"allowPrincipalChange": True, "changeMailbox": True}
    for principal_id, wanted, code in (
        (records.principal().id, SUPPORT, "wrong_principal"),
        (held.account.value.principal_id, SALES, "other_mailbox"),
    ):
        asked = ask(registrar, email=wanted, **changes)
        there = replace(held.account.value, id=asked["account"], principal_id=principal_id, inbox_id=None)
        await instance.stores.principals.commit(principal_id, [Insert(there)])
        await instance.stores.directory.insert(DirectoryEntry(there.id, principal_id, there.app))

        page = visitor.follow(asked["url"], who)

        assert code == code_of(page)
        found = await find_account(instance, there.id)
        assert found is not None
        assert there == found.account.value


async def test_authority_lost_before_the_sign_in_changes_nothing(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, instance: App
) -> None:
    who, mallory = person(), person()
    tenant.do("access", person=who, mailbox=SALES, fullAccess=True)
    account = bind(api, visitor, who)
    for login, wanted, code in ((mallory, SUPPORT, "wrong_principal"), (who, SALES, "other_mailbox")):
        token = await api_token(instance, frozenset({Scope.REGISTER, Scope.ACCOUNTS_WRITE}))
        invitation = Invitation(
            FORM["redirectUrl"],
            account,
            email=wanted,
            delegated=True,
            allow_principal_change=True,
            change_mailbox=True,
        )
        caller = await identify_caller(instance, Secret(token), None)
        link = await start_registration(instance, invitation, {}, caller)
        stored = await instance.stores.api_tokens.get(fingerprint(token))
        assert stored is not None
        # The host has not cached the token yet, so it reads the current row.
        await instance.stores.api_tokens.replace(stored, replace(stored.value, scopes=frozenset({Scope.REGISTER})))
        visitor.cookies.clear()

        page = visitor.follow(link.url.reveal(), login)

        assert code == code_of(page)
        told = api.get(f"/v1/account/{account}").json()
        assert (who, SUPPORT) == (told["user"], told["email"])


async def test_register_scope_changes_neither_name_nor_oauth_app(
    api: httpx.Client,
    registrar: httpx.Client,
    visitor: Visitor,
    person: NewPerson,
    register: Register,
    instance: App,
) -> None:
    who, app = person(), register()
    account = bind(api, visitor, who, name="Support", type=APP_ID)

    assert {"type"} == refused_fields(registrar, account=account, email=SUPPORT, delegated=True, type=app)
    page = visitor.follow(ask(registrar, account=account, name="Mallory")["url"], who)
    assert "existing" == page.back["state"]
    held = await find_account(instance, account)
    assert held is not None
    assert ("Support", APP_ID) == (held.account.value.name, held.account.value.app)

    raced = ask(registrar, type=app)
    there = replace(held.account.value, id=raced["account"])
    await instance.stores.principals.commit(there.principal_id, [Insert(there)])
    await instance.stores.directory.insert(DirectoryEntry(there.id, there.principal_id, there.app))
    assert "other_app" == code_of(visitor.follow(raced["url"], who))
    await remove_account(instance, there.id)

    visitor.follow(ask(api, account=account, name="Sales desk", type=app)["url"], who)
    told = api.get(f"/v1/account/{account}").json()
    assert ("Sales desk", app) == (told["name"], told["app"])


def test_own_mailbox_keeps_its_person_if_the_form_names_nobody(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    who, other = person(), person()
    own = bind(api, visitor, who, email=None, delegated=None)
    both = {"allowPrincipalChange": True, "changeMailbox": True}

    unnamed = other_visitor.follow(ask(api, account=own, email=None, delegated=None, **both)["url"], other)

    assert "wrong_principal" == code_of(unnamed)
    assert who == api.get(f"/v1/account/{own}").json()["user"]
    change = {"account": own, "email": other}
    assert {"changeMailbox"} == refused_fields(api, **change, allowPrincipalChange=True)
    other_visitor.cookies.clear()
    named = other_visitor.follow(ask(api, account=own, email=other, delegated=None, **both)["url"], other)
    assert "existing" == named.back["state"]
    told = api.get(f"/v1/account/{own}").json()
    assert (other, other) == (told["user"], told["email"])


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
