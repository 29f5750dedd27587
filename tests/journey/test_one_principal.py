"""The rule "one principal, one account" cannot be bypassed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.domain.formats import table_key
from shared.ports import App
from tests.conftest import storage_of
from tests.journey.apps import CONTOSO, Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, ask, bind, code_of, principal_id

type NewPerson = Callable[..., str]


def test_second_account_with_a_similar_id_is_refused(api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    who = person()
    first = bind(api, visitor, who, account="strasse-1")

    page = visitor.follow(ask(api, account="straẞe-1")["url"], who)

    assert "principal_in_use" == code_of(page)
    assert 404 == api.get("/v1/account/straẞe-1").status_code
    assert "connected" == api.get(f"/v1/account/{first}").json()["state"]


def test_another_spelling_of_an_accounts_id_is_that_account(
    api: httpx.Client, visitor: Visitor, person: NewPerson
) -> None:
    who = person()
    account = bind(api, visitor, who, account="Straße-2")

    page = visitor.follow(ask(api, account="STRAßE-2")["url"], who)

    assert "existing" == page.back["state"]
    assert account == api.get("/v1/account/straße-2").json()["account"]


def test_one_of_two_concurrent_links_through_two_apps_wins(
    api: httpx.Client, environment: Environment, tenant: Tenant, person: NewPerson, register: Register
) -> None:
    ready = environment.tenant.ready
    second = register(clientId=ready["clientId"], clientSecret=ready["clientSecret"], authority=CONTOSO)

    for _ in range(10):
        who, together = person(), Barrier(2)

        def follow(app: str, login: str = who, meet: Barrier = together) -> str:
            with Visitor(ready["caFile"]) as browser:
                picker = browser.go_to_microsoft(ask(api, type=app)["url"])
                back = browser.submit(picker.forms[0], login=login).forms[0]
                meet.wait(timeout=60)
                page = browser.submit(back)
                return "bound" if page.refresh else code_of(page)

        tenant.do("latency", endpoint="graph", milliseconds=300)
        with ThreadPoolExecutor(2) as pool:
            ends = sorted(pool.map(follow, (APP_ID, second)))
        tenant.do("latency", endpoint="graph", milliseconds=0)

        assert ["bound", "principal_in_use"] == ends
        assert 1 == api.get("/v1/accounts", params={"authorizedBy": who}).json()["total"]


async def test_principal_without_a_bindings_row_authorizes_one_account(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    who = person()
    account = bind(api, visitor, who)
    partition = table_key(await principal_id(instance, account))
    rows = storage_of(instance).get_table_client("Principals")
    await rows.delete_entity(partition, "bindings~")

    assert "principal_in_use" == code_of(visitor.follow(ask(api)["url"], who))
    assert "existing" == visitor.follow(ask(api, account=account)["url"], who).back["state"]
    assert "bindings~" in [row["RowKey"] async for row in rows.query_entities(f"PartitionKey eq '{partition}'")]


async def test_bindings_row_is_deleted_with_the_last_account(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App
) -> None:
    account = bind(api, visitor, person())
    of = await principal_id(instance, account)
    assert (await instance.stores.principals.partition(of)).bindings is not None

    api.delete(f"/v1/account/{account}")

    assert (await instance.stores.principals.partition(of)).bindings is None
