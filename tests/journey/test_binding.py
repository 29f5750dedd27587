"""Request a link, sign in, prove, bind; each refusal changes nothing."""

from collections.abc import Callable

import httpx

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.ports import App, DirectoryEntry, Insert
from tests.conftest import storage_of
from tests.contract import records
from tests.journey.conftest import ask, bind, code_of, graph_opens, status

type NewPerson = Callable[..., str]


def test_shared_mailbox_is_bound_and_its_token_opens_it(
    api: httpx.Client, visitor: Visitor, environment: Environment, person: NewPerson
) -> None:
    who = person()
    asked = ask(api, name="Shared Account")
    assert "pending" == status(api, asked)["status"]

    page = visitor.follow(asked["url"], who)

    assert f"https://myapp.example/done?x=1&account={asked['account']}&state=new#frag" == page.refresh
    assert ("completed", "new") == (status(api, asked)["status"], status(api, asked)["state"])
    token = api.get(f"/v1/account/{asked['account']}/oauth-token").json()
    assert (who, "support@contoso.example", True) == (token["user"], token["email"], token["cached"])
    assert "AAABiCtT7XUAAAAF" == token["app"]
    assert graph_opens(environment, token["accessToken"], "support@contoso.example")


def test_page_names_the_mailbox_that_the_form_omits(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    account = bind(api, visitor, who)
    asked = ask(api, account=account, email=None, delegated=None)

    page = visitor.open(asked["url"])

    assert "Connect a shared mailbox" in page.text
    assert "support@contoso.example" in page.text
    assert ("support@contoso.example", True) == (status(api, asked)["email"], status(api, asked)["delegated"])
    assert (True, None) == (asked["delegated"], asked.get("hint"))
    assert "existing" == visitor.follow(asked["url"], who).back["state"]
    found = api.get(f"/v1/account/{account}").json()
    assert ("support@contoso.example", True) == (found["email"], found["delegated"])
    named = ask(api, account=account, delegated=None)
    assert (True, None) == (named["delegated"], named.get("hint")), "the account is of a shared mailbox already"


async def test_account_created_meanwhile_keeps_its_kind(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    asked = ask(api, email=None, delegated=None, allowPrincipalChange=True)
    other = records.principal()
    there = records.account(other, instance.clock(), asked["account"])
    await instance.stores.principals.commit(other.id, [Insert(there)])
    await instance.stores.directory.insert(DirectoryEntry(there.id, other.id, there.app))

    page = visitor.follow(asked["url"], person())

    assert (409, "other_kind") == (page.status, code_of(page))
    assert not page.forms
    found = api.get(f"/v1/account/{asked['account']}").json()
    assert ("support@contoso.example", True, other.sign_in_name) == (found["email"], found["delegated"], found["user"])


def test_another_person_cannot_take_over_an_account(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    who, other = person(), person()
    account = bind(api, visitor, who)

    page = other_visitor.follow(ask(api, account=account)["url"], other)

    assert (403, "wrong_principal") == (page.status, code_of(page))
    assert who == api.get(f"/v1/account/{account}").json()["user"]


async def test_without_access_nothing_is_bound_and_the_link_works(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, instance: App
) -> None:
    stranger, right = person(access=False), person()
    asked = ask(api)

    page = visitor.follow(asked["url"], stranger)

    assert (403, "no_mailbox_access") == (page.status, code_of(page))
    assert {"keep", "confirmation"} <= {name for form in page.forms for name in form.fields}
    assert "no_mailbox_access" == page.back["error"]
    assert asked["account"] == page.back["account"]
    assert page.back["error_description"]
    assert ("failed", "no_mailbox_access") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])
    assert "new" == other_visitor.follow(asked["url"], right).back["state"]
    raw = storage_of(instance).get_table_client("Principals")
    assert not [row async for row in raw.list_entities() if stranger in str(row)]


def test_same_browser_can_retry_with_another_account(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    stranger, right = person(access=False), person()
    page = visitor.follow(ask(api)["url"], stranger)

    again = visitor.sign_in(visitor.submit(page.form_with("confirmation")), right)

    assert "new" == again.back["state"]


def test_link_works_once(api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person())

    page = other_visitor.open(asked["url"])

    assert (410, "link_used") == (page.status, code_of(page))
    assert not page.forms


def test_unknown_link_is_refused(api: httpx.Client, visitor: Visitor, environment: Environment) -> None:
    for ticket in ("", "x", "A" * 43, ask(api)["registration"]):
        page = visitor.open(f"{environment.base_url}/accounts/new?ticket={ticket}")

        assert (404, "link_unknown") == (page.status, code_of(page))


def test_link_contains_nothing_readable(api: httpx.Client) -> None:
    asked = ask(api, account="the-account", name="The Name")

    assert asked["url"].rpartition("?")[2].startswith("ticket=")
    assert asked["registration"] not in asked["url"]
    assert 43 == len(asked["url"].rpartition("=")[2])
