"""OAuth apps in use: several of them, chosen, changed, disabled and deleted."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.domain.errors import NotAuthorized
from shared.ports import App
from shared.usecases.accounts.read import find_account
from shared.usecases.tokens.hand_out import hand_out
from tests.conftest import MovedClock, unguarded
from tests.journey.apps import SECRET, Register, fields_of, registers_apps, steps  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, ask, bind, code_of
from tests.journey.test_callback import to_the_callback

type NewPerson = Callable[..., str]


def test_second_app_binds_a_mailbox_while_the_first_works(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, register: Register
) -> None:
    first, app = bind(api, other_visitor, person(), type=APP_ID), register()
    account = bind(api, visitor, person(), type=app)

    token = api.get(f"/v1/account/{account}/oauth-token").json()

    assert app == token["app"]
    assert app == api.get(f"/v1/account/{account}").json()["app"]
    assert APP_ID == api.get(f"/v1/account/{first}/oauth-token").json()["app"]
    assert 1 == api.get(f"/v1/oauth2/{app}").json()["accounts"]
    assert "connected" == api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()["state"]
    # A new link without a type keeps the account's app.
    assert app == api.get(f"/v1/authentication/form/{ask(api, account=account)['registration']}").json()["type"]


def test_app_in_use_is_deleted_by_force_and_its_accounts_show_it(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app, who = register(), person()
    account = bind(api, visitor, who, type=app)

    refused = api.delete(f"/v1/oauth2/{app}")
    forced = api.delete(f"/v1/oauth2/{app}", params={"force": "true"})

    assert (409, "OAuthAppInUse") == (refused.status_code, refused.json()["code"])
    assert "1 account" in refused.json()["message"]
    assert {"id": app, "deleted": True, "accounts": 1} == forced.json()
    assert 200 == api.get(f"/v1/account/{account}/oauth-token").status_code  # what is still good is handed out
    after = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()
    assert ("connectError", "oauth_app_gone") == (after["state"], after["lastError"]["code"])
    assert "another OAuth app" in after["lastError"]["action"]
    assert {"type"} == fields_of(api.post("/v1/authentication/form", json={"redirectUrl": "https://a.b", "type": app}))
    # A link through another app repairs it.
    visitor.follow(ask(api, account=account, type=APP_ID)["url"], who)
    mended = api.get(f"/v1/account/{account}").json()
    assert ("connected", APP_ID, None) == (mended["state"], mended["app"], mended["lastError"])


async def test_grant_of_a_deleted_app_is_retried_once_a_day(
    api: httpx.Client, instance: App, visitor: Visitor, person: NewPerson, register: Register, clock: MovedClock
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    api.delete(f"/v1/oauth2/{app}", params={"force": "true"})
    clock.forward(hours=2)

    with pytest.raises(NotAuthorized) as refused:
        await hand_out(instance, account)

    assert "oauth_app_gone" == refused.value.code
    found = await find_account(instance, account)
    assert found is not None
    grant = await instance.stores.principals.grant(found.account.value.principal_id, app)
    assert grant is not None
    assert grant.value.due is not None
    assert timedelta(hours=23) < grant.value.due - clock()


def test_added_scope_waits_for_the_next_sign_in(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register(skipScopes=["Mail.Send.Shared"])
    account = bind(api, visitor, person(), type=app)

    api.put(f"/v1/oauth2/{app}", json={"skipScopes": []})

    assert "ok" == steps(api, app, account=account)["grant"]["status"]
    token = api.get(f"/v1/account/{account}/oauth-token").json()
    assert not [scope for scope in token["registeredScopes"] if scope.endswith("Mail.Send.Shared")]


def test_disabled_app_renews_grants_but_starts_no_sign_in(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register()
    account, opened = bind(api, visitor, person(), type=app), ask(api, type=app)

    api.put(f"/v1/oauth2/{app}", json={"enabled": False})

    assert {"type"} == fields_of(api.post("/v1/authentication/form", json={"redirectUrl": "https://a.b", "type": app}))
    assert "app_unavailable" == code_of(other_visitor.open(opened["url"]))
    assert "connected" == api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()["state"]


async def test_changed_secret_is_used_everywhere_in_30_seconds(
    api: httpx.Client,
    instance: App,
    visitor: Visitor,
    person: NewPerson,
    register: Register,
    clock: MovedClock,
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    used = await instance.oauth_apps.get(app)
    assert used is not None

    api.put(f"/v1/oauth2/{app}", json={"clientSecret": "not-the-secret"})

    failed = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})
    assert "connected" == failed.json()["state"]  # nothing is blamed on the account
    told = api.get(f"/v1/oauth2/{app}").json()["lastError"]
    assert ("app_credential", 7000215) == (told["code"], told["aadsts"])
    assert "client secret" in told["action"]
    assert used.credentials == (await instance.oauth_apps.get(app) or used).credentials
    clock.forward(seconds=31)
    assert used.credentials != (await instance.oauth_apps.get(app) or used).credentials

    api.put(f"/v1/oauth2/{app}", json={"clientSecret": SECRET})

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None
    assert "ok" == steps(api, app, account=account)["grant"]["status"]


async def test_unknown_app_costs_one_read_and_a_new_one_is_found(
    instance: App, register: Register, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, reads = type(instance.stores.oauth_apps), Counter[str]()

    def count(name: str, read: Callable[..., Any]) -> None:
        def counted(*given: Any) -> Any:
            reads[name] += 1
            return read(*given)

        monkeypatch.setattr(rows, name, counted)

    count("get", rows.get)
    count("all", rows.all)
    for _ in range(3):
        for app in ("unknown-1", "unknown-2"):
            assert None is await instance.oauth_apps.get(app)
    assert {"all": 1, "get": 2} == reads
    new = register()
    assert new == getattr(await instance.oauth_apps.get(new), "id", None)
    assert new in [app.id for app in await instance.oauth_apps.all()]
    assert {"all": 2, "get": 3} == reads
    clock.forward(seconds=31)
    assert None is await instance.oauth_apps.get("unknown-1")
    assert {"all": 3, "get": 4} == reads


async def test_clients_of_changed_credentials_do_not_pile_up(
    environment: Environment, api: httpx.Client, register: Register
) -> None:
    app = register()
    here = build(environment.settings)
    try:
        for number in range(5):
            api.put(f"/v1/oauth2/{app}", json={"clientSecret": f"wrong-{number}", "clientSecret2": SECRET})
            here.oauth_apps.forget()
            used = await here.oauth_apps.get(app)
            assert used is not None
            await unguarded(here).authenticate(used)
            assert 2 >= len(unguarded(here).applications._applications[app])  # noqa: SLF001 - memory shows nowhere else
    finally:
        await here.close()


def test_person_binds_through_the_app_that_they_chose(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app, asked, who = register(title="Archive mail"), ask(api), person(access=False)
    page = visitor.open(asked["url"])
    assert api.get(f"/v1/authentication/form/{asked['registration']}").json()["type"] is None

    form = page.form_with("confirmation")
    assert [APP_ID, app] == form.buttons
    assert "Continue with Archive mail" in page.text
    refused = visitor.sign_in(visitor.submit(form, app=app), who)
    again = visitor.sign_in(visitor.submit(refused.forms[-1]), person())

    assert "no_mailbox_access" == code_of(refused)
    assert 200 == again.status, again.text
    assert app == api.get(f"/v1/account/{asked['account']}").json()["app"]
    assert 410 == other_visitor.open(asked["url"]).status


def test_choice_of_an_unknown_app_is_refused(api: httpx.Client, visitor: Visitor, register: Register) -> None:
    app, asked = register(), ask(api)
    form = visitor.open(asked["url"]).form_with("confirmation")
    api.put(f"/v1/oauth2/{app}", json={"enabled": False})

    for chosen in ("", "AAAAAAAAAAAAAAAA", app):
        assert "app_unavailable" == code_of(visitor.submit(form, app=chosen))


def test_sign_in_through_a_deleted_app_offers_no_retry(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    consent = to_the_callback(visitor, ask(api, type=(app := register()))["url"], person())
    form = visitor.submit(consent, consent="accept").forms[0]
    assert 200 == api.delete(f"/v1/oauth2/{app}", params={"force": "true"}).status_code

    page = visitor.submit(form)

    assert (410, "app_unavailable") == (page.status, code_of(page))
    assert [] == page.forms


async def test_carried_grant_remembers_the_chosen_app(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: App, register: Register
) -> None:
    app, asked, who = register(), ask(api), person(access=False)
    page = visitor.open(asked["url"])
    refused = visitor.sign_in(visitor.submit(page.form_with("confirmation"), app=app), who)

    waiting = visitor.submit(refused.form_with("keep"))

    assert 202 == waiting.status
    stored = await instance.stores.registrations.get(asked["registration"])
    assert stored is not None
    partition = await instance.stores.principals.partition(str(stored.value.mailboxes[0].principal_id))
    assert [app] == [pending.value.app for pending in partition.pending.values()]


def test_account_moved_to_another_app_can_be_paused_or_removed(
    api: httpx.Client, tenant: Tenant, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    apps, who = [register(credentialReuse=True) for _ in range(2)], person()
    tenant.do("access", person=who, mailbox="sales@contoso.example", fullAccess=True)
    account = bind(api, visitor, who, type=apps[0])
    bind(api, visitor, who, type=apps[0], email="sales@contoso.example")
    route = f"/v1/account/{account}/oauth-token"
    assert apps[0] == api.get(route).json()["app"]

    bind(api, visitor, who, account=account, type=apps[1])

    assert apps[1] == api.get(route).json()["app"]
    api.put(f"/v1/account/{account}", json={"paused": True})
    assert "account_paused" == api.get(route).json()["code"]
    api.delete(f"/v1/account/{account}")
    assert 404 == api.get(route).status_code
