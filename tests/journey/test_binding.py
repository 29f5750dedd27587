"""Request a link, sign in, prove, bind; each refusal changes nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.ports import App, DirectoryEntry, Insert
from tests.conftest import storage_of
from tests.contract import records
from tests.journey.conftest import Tenant, ask, bind, code_of, graph_opens, principal_id, status

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


def test_shared_mailbox_never_gets_the_name_of_the_person(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    account = bind(api, visitor, person())

    assert "support@contoso.example" == api.get(f"/v1/account/{account}").json()["name"]


def test_without_delegation_the_signers_own_mailbox_is_bound(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    who = person()

    account = bind(api, visitor, who, email=None, delegated=None)

    found = api.get(f"/v1/account/{account}").json()
    assert (who, False) == (found["email"], found["delegated"])


def test_account_without_an_id_gets_one(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api, account=None)
    page = visitor.follow(asked["url"], person())

    made = page.back["account"]
    assert 16 == len(made)
    assert "connected" == api.get(f"/v1/account/{made}").json()["state"]


def test_reauthorizing_without_delegated_keeps_the_mailbox(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = bind(api, visitor, who)

    page = visitor.follow(ask(api, account=account, email=None, delegated=None)["url"], who)

    assert "existing" == page.back["state"]
    found = api.get(f"/v1/account/{account}").json()
    assert ("support@contoso.example", True) == (found["email"], found["delegated"])


def test_page_names_the_mailbox_that_the_form_omits(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    account = bind(api, visitor, person())
    asked = ask(api, account=account, email=None, delegated=None)

    page = visitor.open(asked["url"])

    assert "Connect a shared mailbox" in page.text
    assert "support@contoso.example" in page.text
    assert ("support@contoso.example", True) == (status(api, asked)["email"], status(api, asked)["delegated"])


def test_form_that_contradicts_the_account_kind_is_refused(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    shared = bind(api, visitor, person())
    own = bind(api, other_visitor, who, email=None, delegated=None)

    def faults(**form: object) -> set[str]:
        answer = api.post("/v1/authentication/form", json={"redirectUrl": "https://myapp.example/", **form})
        return {field["key"] for field in answer.json().get("fields", [])}

    assert {"email"} == faults(account=shared, email=who)
    assert {"email", "bogus"} == faults(account=shared.upper(), delegated=False, email="sales@contoso.example", bogus=1)
    assert {"delegated"} == faults(account=own, delegated=True, email="support@contoso.example")
    assert set() == faults(account=shared, email="Support@contoso.example")
    assert set() == faults(account=own, email=who)


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


async def test_another_person_can_take_over_if_the_form_allows_it(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who, other = person(), person()
    account = bind(api, visitor, who)
    before = await principal_id(instance, account)

    page = other_visitor.follow(ask(api, account=account, allowPrincipalChange=True)["url"], other)

    assert "existing" == page.back["state"]
    assert other == api.get(f"/v1/account/{account}").json()["user"]
    left = await instance.stores.principals.partition(before)
    assert not left.accounts
    assert not left.grants
    assert 1 == len(
        [a for _, a in [pair async for pair in instance.stores.principals.accounts(None, None)] if a.id == account]
    )


def test_one_person_authorizes_one_account(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    first = bind(api, visitor, who)
    second = ask(api)

    page = visitor.follow(second["url"], who)

    assert (403, "principal_in_use") == (page.status, code_of(page))
    assert ("failed", "principal_in_use") == (status(api, second)["status"], status(api, second)["failure"]["code"])
    assert 404 == api.get(f"/v1/account/{second['account']}").status_code
    assert "connected" == api.get(f"/v1/account/{first}").json()["state"]
    own = visitor.follow(ask(api, email=None, delegated=None)["url"], who)
    assert "principal_in_use" == code_of(own)


def test_credential_reuse_lets_one_grant_serve_many_accounts(reusing: Environment) -> None:
    headers = {"Authorization": f"Bearer {reusing.secrets.admin_token}"}
    with (
        httpx.Client(base_url=reusing.base_url, headers=headers) as api,
        Visitor(reusing.tenant.ready["caFile"]) as visitor,
    ):
        first = bind(api, visitor, "alice@contoso.example")
        second = bind(api, visitor, "alice@contoso.example", email="Sales@contoso.example")
        tokens = [api.get(f"/v1/account/{account}/oauth-token").json() for account in (first, second)]
        assert tokens[0]["accessToken"] == tokens[1]["accessToken"]
        assert ["support@contoso.example", "Sales@contoso.example"] == [token["email"] for token in tokens]

        left = {"account": first, "deleted": True, "tokensDeleted": False, "accountsLeft": 1}
        assert left == api.delete(f"/v1/account/{first}").json()

        assert 404 == api.get(f"/v1/account/{first}/oauth-token").status_code
        assert 200 == api.get(f"/v1/account/{second}/oauth-token").status_code


def test_only_the_expected_person_may_sign_in(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who, other = person(), person()
    asked = ask(api, expectedEmail=who.upper())

    refused = visitor.follow(asked["url"], other)
    assert "unexpected_person" == code_of(refused)

    assert "new" == visitor.follow(asked["url"], who).back["state"]


def test_own_mailbox_is_no_shared_one_in_any_case(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()

    page = visitor.follow(ask(api, email=who.title())["url"], who)

    assert "own_mailbox" == code_of(page)


def test_address_of_another_mailbox_is_not_the_own_one(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    page = visitor.follow(ask(api, delegated=False)["url"], person())

    assert "email_mismatch" == code_of(page)


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
    raw = storage_of(instance).get_table_client("Principals")
    assert not [row async for row in raw.list_entities() if stranger in str(row)]
    assert ("failed", "no_mailbox_access") == (status(api, asked)["status"], status(api, asked)["failure"]["code"])
    assert "new" == other_visitor.follow(asked["url"], right).back["state"]


def test_same_browser_can_retry_with_another_account(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    stranger, right = person(access=False), person()
    page = visitor.follow(ask(api)["url"], stranger)

    again = visitor.sign_in(visitor.submit(page.form_with("confirmation")), right)

    assert "new" == again.back["state"]


def test_one_of_two_people_who_complete_a_link_at_once_wins(
    api: httpx.Client, environment: Environment, person: NewPerson
) -> None:
    for _ in range(4):
        asked = ask(api)
        people = [person() for _ in range(3)]

        def follow(who: str, link: str = asked["url"]) -> str:
            with Visitor(environment.tenant.ready["caFile"]) as browser:
                page = browser.follow(link, who)
                return "bound" if page.refresh else code_of(page)

        with ThreadPoolExecutor(3) as pool:
            ends = list(pool.map(follow, people))

        assert 1 == ends.count("bound"), ends
        assert {"bound", "link_used"} >= set(ends) - {"account_busy"}, ends
        winner = people[ends.index("bound")]
        assert winner == api.get(f"/v1/account/{asked['account']}").json()["user"]
        assert "completed" == status(api, asked)["status"]


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


def test_opening_is_noticed_and_may_happen_often(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    for _ in range(3):
        assert 200 == visitor.open(asked["url"]).status

    assert "opened" == status(api, asked)["status"]
    assert "new" == visitor.follow(asked["url"], person()).back["state"]


def test_login_hint_is_the_person_and_never_the_shared_mailbox(
    api: httpx.Client, visitor: Visitor, tenant: Tenant, person: NewPerson
) -> None:
    who = person()
    visitor.go_to_microsoft(ask(api)["url"])
    visitor.go_to_microsoft(ask(api, expectedEmail=who)["url"])

    shown = tenant.events("authorize shown")[-2:]
    assert [None, who] == [event.get("login_hint") for event in shown]
    assert ["select_account"] * 2 == [event["prompt"] for event in shown]
