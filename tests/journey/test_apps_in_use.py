"""OAuth apps in use: several of them, chosen, changed, disabled and deleted."""

from collections.abc import Callable

import httpx

from infra.local.environment import APP_ID
from infra.local.visitor import Visitor
from tests.journey.apps import Register, fields_of, registers_apps  # noqa: F401 - a fixture
from tests.journey.conftest import ask, bind, code_of
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


def test_disabled_app_renews_grants_but_starts_no_sign_in(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register()
    account, opened = bind(api, visitor, person(), type=app), ask(api, type=app)

    api.put(f"/v1/oauth2/{app}", json={"enabled": False})

    assert {"type"} == fields_of(api.post("/v1/authentication/form", json={"redirectUrl": "https://a.b", "type": app}))
    assert "app_unavailable" == code_of(other_visitor.open(opened["url"]))
    assert "connected" == api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()["state"]


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


def test_sign_in_through_a_deleted_app_offers_no_retry(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    consent = to_the_callback(visitor, ask(api, type=(app := register()))["url"], person())
    form = visitor.submit(consent, consent="accept").forms[0]
    assert 200 == api.delete(f"/v1/oauth2/{app}", params={"force": "true"}).status_code

    page = visitor.submit(form)

    assert (410, "app_unavailable") == (page.status, code_of(page))
    assert [] == page.forms
