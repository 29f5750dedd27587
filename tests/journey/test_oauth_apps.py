"""Promises of OAuth apps: registered, shown without secrets, changed, verified, deleted, and used beside others."""

import asyncio
import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build_services
from shared.domain.errors import NotAuthorized
from shared.services import Services
from tests.conftest import TENANT_ID, MovedClock
from tests.journey.conftest import Tenant, ask, bind, code_of
from tests.keys.test_client_authentication import certificate

type NewPerson = Callable[..., str]
type Register = Callable[..., str]

ARCHIVE, SECRET = "8e41f7b2-60cd-4f1a-9d35-2a7be90c64d8", "local-secret-of-contoso-archive"
CONTOSO = "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10"
GOOD = {
    "name": "Contoso archive",
    "provider": "outlook",
    "enabled": True,
    "clientId": ARCHIVE,
    "clientSecret": SECRET,
    "authority": CONTOSO,
}


@pytest.fixture
def register(api: httpx.Client) -> Iterator[Register]:
    """Registers an app as a caller does; it goes when the test ends, and so do changes to that of the settings."""
    ids = [APP_ID]

    def new(**changes: Any) -> str:
        answer = api.post("/v1/oauth2", json={**GOOD, **changes})
        assert 200 == answer.status_code, answer.text
        assert {"id": answer.json()["id"], "created": True} == answer.json()
        ids.append(answer.json()["id"])
        return ids[-1]

    yield new
    for app in ids:
        api.delete(f"/v1/oauth2/{app}", params={"force": "true"})


def steps(api: httpx.Client, app: str, **body: Any) -> dict[str, dict[str, Any]]:
    answer = api.post(f"/v1/oauth2/{app}/verify", json=body)
    assert 200 == answer.status_code, answer.text
    assert answer.json()["ok"] is all(step["status"] != "fail" for step in answer.json()["steps"])
    return {step["id"]: step for step in answer.json()["steps"]}


def fields_of(answer: httpx.Response) -> set[str]:
    assert 400 == answer.status_code, answer.text
    return {field["key"] for field in answer.json()["fields"]}


def test_an_app_is_registered_and_shown_without_its_secrets(
    api: httpx.Client, environment: Environment, register: Register
) -> None:
    app = register(clientSecret2="another-secret", description="for old mail", secretExpires="2030-01-31")

    shown = api.get(f"/v1/oauth2/{app}")

    assert 16 == len(app)
    made = int.from_bytes(base64.urlsafe_b64decode(app)[:8]) / 1000
    assert abs(made - datetime.now(UTC).timestamp()) < 60
    assert SECRET not in shown.text
    assert "another-secret" not in shown.text
    expected = {
        **GOOD,
        "id": app,
        "description": "for old mail",
        "title": None,
        "clientSecret": "******",
        "clientSecret2": "******",
        "certificate": None,
        "managedIdentity": None,
        "tenants": [CONTOSO],
        "cloud": "global",
        "redirectUrl": f"{environment.base_url}/oauth",
        "baseScopes": "api",
        "extraScopes": [],
        "skipScopes": [],
        "includeInListing": True,
        "credentialReuse": False,
        "authentication": "secret",
        "secretExpires": "2030-01-31T00:00:00.000Z",
        "secretExpires2": None,
        "source": "api",
        "lastError": None,
        "accounts": 0,
    }
    assert expected == {name: value for name, value in shown.json().items() if name not in {"created", "updated"}}


async def test_secrets_are_sealed_and_bound_to_their_row(
    api: httpx.Client, instance: Services, register: Register
) -> None:
    app, other = register(clientSecret2="another-secret"), register()

    table = instance.storage.get_table_client("OAuthApps")
    rows = {row["id"]: row async for row in table.list_entities()}

    assert [] == [secret for secret in (SECRET, "another-secret") if secret in str(rows)]
    moved = {**rows[other], "client_secret": rows[app]["client_secret"]}
    await table.update_entity(moved)
    assert [2, 0] == [len(one.credentials) for one in await instance.oauth_apps.all() if one.id in {app, other}]
    assert "fail" == steps(api, other)["client"]["status"]
    assert "app_credential" == api.get(f"/v1/oauth2/{other}").json()["lastError"]["code"]
    assert 200 == api.put(f"/v1/oauth2/{other}", json={"clientSecret": SECRET}).status_code
    assert "ok" == steps(api, other)["client"]["status"]


async def test_two_changes_at_once_are_both_kept(instance: Services, api: httpx.Client, register: Register) -> None:
    app = register()

    changes: list[dict[str, Any]] = [{"title": "New title"}, {"description": "new words"}, {"credential_reuse": True}]
    await asyncio.gather(*(instance.register_app.change(app, told, {}) for told in changes))

    shown = api.get(f"/v1/oauth2/{app}").json()
    assert ("New title", "new words", True) == (shown["title"], shown["description"], shown["credentialReuse"])


def test_apps_are_listed_the_newest_first_and_that_of_the_settings_last(api: httpx.Client, register: Register) -> None:
    first, second = register(name="First"), register(name="Second")

    whole = api.get("/v1/oauth2").json()
    page = api.get("/v1/oauth2", params={"page": 1, "pageSize": 2}).json()

    assert [second, first, APP_ID] == [app["id"] for app in whole["apps"]]
    assert (3, 1, 0) == (whole["total"], whole["pages"], whole["page"])
    assert ([APP_ID], 3, 2, 1) == ([app["id"] for app in page["apps"]], page["total"], page["pages"], page["page"])
    assert "settings" == page["apps"][0]["source"]


def test_every_problem_of_an_app_is_named_at_once(api: httpx.Client) -> None:
    nothing = api.post("/v1/oauth2", json={})
    wrong = {
        "name": "x" * 257,
        "provider": "gmail",
        "clientId": "not-a-guid-value",
        "clientSecret": "******",
        "authority": "consumers",
        "cloud": "moon-value",
        "redirectUrl": "https://elsewhere-value.example/oauth",
        "baseScopes": ["pubsub"],
        "extraScopes": ["https://elsewhere-value.example/read"],
        "skipScopes": ["two words-value"],
        "tenants": ["contoso-value"],
        "authentication": "password-value",
        "secretExpires": "soon-value",
        "certificate": "pem-value",
        "managedIdentity": "nobody-value",
        "enabled": "maybe-value",
        "sauce": "hot-value",
    }
    answer = api.post("/v1/oauth2", json=wrong)

    assert {"name", "provider", "clientId", "clientSecret", "authority"} == fields_of(nothing)
    assert set(wrong) == fields_of(answer)
    assert "value" not in answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"authority": "organizations"}, "tenants"),
        ({"authentication": "certificate"}, "certificate"),
        ({"authentication": "federated", "clientSecret": ""}, "managedIdentity"),
        ({"managedIdentity": TENANT_ID}, "managedIdentity"),
        ({"cloud": "dod", "extraScopes": ["https://graph.microsoft.com/User.Read"]}, "extraScopes"),
        ({"skipScopes": ["Mail.ReadWrite.Shared", "Mail.Send.Shared", "User.Read"]}, "skipScopes"),
        ({"extraScopes": ["offline_access"]}, "extraScopes"),
    ],
)
def test_what_does_not_fit_together_is_refused(api: httpx.Client, changes: dict[str, Any], field: str) -> None:
    assert field in fields_of(api.post("/v1/oauth2", json={**GOOD, **changes}))


def test_the_quirks_of_emailengine_are_taken(api: httpx.Client, register: Register) -> None:
    app = register(enabled="Y", description="", extraScopes="User.ReadBasic.All", baseScopes=["imap"], cloud="")

    shown = api.get(f"/v1/oauth2/{app}").json()

    assert (True, None, ["User.ReadBasic.All"], "imap") == (
        shown["enabled"],
        shown["description"],
        shown["extraScopes"],
        shown["baseScopes"],
    )


def test_a_change_touches_what_it_names_and_nothing_else(api: httpx.Client, register: Register) -> None:
    app = register(description="old", secretExpires="2030-01-31")
    before = api.get(f"/v1/oauth2/{app}").json()

    answer = api.put(f"/v1/oauth2/{app}", json={"description": None, "title": "Archive", "clientSecret": "******"})

    assert {"id": app, "updated": True} == answer.json()
    after = api.get(f"/v1/oauth2/{app}").json()
    assert {**before, "description": None, "title": "Archive", "updated": after["updated"]} == after
    assert "ok" == steps(api, app)["client"]["status"]


def test_the_end_of_a_secret_is_forgotten_with_the_secret(api: httpx.Client, register: Register) -> None:
    app = register(secretExpires="2030-01-31")

    api.put(f"/v1/oauth2/{app}", json={"clientSecret": "a-newer-one"})

    assert api.get(f"/v1/oauth2/{app}").json()["secretExpires"] is None


def test_another_way_of_authentication_forgets_what_it_does_not_need(api: httpx.Client, register: Register) -> None:
    app, (key, public) = register(), certificate(days=20)

    alone = api.put(f"/v1/oauth2/{app}", json={"authentication": "certificate"})
    api.put(f"/v1/oauth2/{app}", json={"authentication": "certificate", "certificate": public + key})

    assert {"certificate"} == fields_of(alone)
    shown = api.get(f"/v1/oauth2/{app}")
    assert (None, "******") == (shown.json()["clientSecret"], shown.json()["certificate"])
    assert key.splitlines()[1] not in shown.text
    ends = datetime.fromisoformat(shown.json()["secretExpires"])
    assert timedelta(days=19) < ends - datetime.now(UTC) < timedelta(days=21)
    assert "fail" == steps(api, app)["secret"]["status"]


@pytest.mark.parametrize("field", ["provider", "baseScopes"])
def test_what_cannot_be_changed_is_said(api: httpx.Client, register: Register, field: str) -> None:
    assert {field} == fields_of(api.put(f"/v1/oauth2/{register()}", json={field: "outlook"}))


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/verify")], ids=str)
def test_an_unknown_app_is_not_found(api: httpx.Client, register: Register, method: str, path: str) -> None:
    for app in ("AAAAAAAAAAAAAAAA", register().swapcase(), "x" * 500):
        assert 404 == api.request(method, f"/v1/oauth2/{app}{path}", json={}).status_code


def test_a_mailbox_is_bound_through_a_second_app_while_the_first_goes_on(
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
    # Asked again without a type, the account stays with its app.
    assert app == api.get(f"/v1/authentication/form/{ask(api, account=account)['registration']}").json()["type"]


def test_an_app_that_accounts_use_is_deleted_only_by_force_and_its_accounts_say_so(
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
    # It is mended by a link through another app.
    visitor.follow(ask(api, account=account, type=APP_ID)["url"], who)
    mended = api.get(f"/v1/account/{account}").json()
    assert ("connected", APP_ID, None) == (mended["state"], mended["app"], mended["lastError"])


async def test_a_grant_whose_app_is_gone_is_asked_about_once_a_day_and_no_more(
    api: httpx.Client, instance: Services, visitor: Visitor, person: NewPerson, register: Register, clock: MovedClock
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    api.delete(f"/v1/oauth2/{app}", params={"force": "true"})
    clock.forward(hours=2)

    with pytest.raises(NotAuthorized) as refused:
        await instance.hand_out(account)

    assert "oauth_app_gone" == refused.value.code
    found = await instance.find(account)
    assert found is not None
    grant = await instance.principals.grant(found.account.value.principal_id, app)
    assert grant is not None
    assert grant.value.due is not None
    assert timedelta(hours=23) < grant.value.due - clock()


def test_a_scope_that_is_added_to_an_app_waits_for_the_next_sign_in(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register(skipScopes=["Mail.Send.Shared"])
    account = bind(api, visitor, person(), type=app)

    api.put(f"/v1/oauth2/{app}", json={"skipScopes": []})

    assert "ok" == steps(api, app, account=account)["grant"]["status"]
    token = api.get(f"/v1/account/{account}/oauth-token").json()
    assert not [scope for scope in token["registeredScopes"] if scope.endswith("Mail.Send.Shared")]


def test_a_disabled_app_starts_nothing_and_its_grants_are_renewed(
    api: httpx.Client, visitor: Visitor, other_visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register()
    account, opened = bind(api, visitor, person(), type=app), ask(api, type=app)

    api.put(f"/v1/oauth2/{app}", json={"enabled": False})

    assert {"type"} == fields_of(api.post("/v1/authentication/form", json={"redirectUrl": "https://a.b", "type": app}))
    assert "app_unavailable" == code_of(other_visitor.open(opened["url"]))
    assert "connected" == api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True}).json()["state"]


async def test_a_changed_secret_takes_effect_here_at_once_and_elsewhere_within_half_a_minute(
    api: httpx.Client,
    instance: Services,
    visitor: Visitor,
    person: NewPerson,
    register: Register,
    clock: MovedClock,
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    used = await instance.apps.get(app)
    assert used is not None

    api.put(f"/v1/oauth2/{app}", json={"clientSecret": "not-the-secret"})

    failed = api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})
    assert "connected" == failed.json()["state"]  # nothing is blamed on the account
    told = api.get(f"/v1/oauth2/{app}").json()["lastError"]
    assert ("app_credential", 7000215) == (told["code"], told["aadsts"])
    assert "clientSecret" in told["action"]
    assert used.credentials == (await instance.apps.get(app) or used).credentials
    clock.forward(seconds=31)
    assert used.credentials != (await instance.apps.get(app) or used).credentials

    api.put(f"/v1/oauth2/{app}", json={"clientSecret": SECRET})

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None
    assert "ok" == steps(api, app, account=account)["grant"]["status"]


async def test_clients_of_changed_credentials_do_not_pile_up(
    environment: Environment, api: httpx.Client, register: Register
) -> None:
    app = register()
    here = build_services(environment.settings)
    try:
        for number in range(5):
            api.put(f"/v1/oauth2/{app}", json={"clientSecret": f"wrong-{number}", "clientSecret2": SECRET})
            here.apps.forget()
            used = await here.apps.get(app)
            assert used is not None
            await here.msal.authenticate(used)
            assert 2 >= len(here.msal._applications[app])  # noqa: SLF001 - memory shows nowhere else
    finally:
        await here.close()


def test_a_verification_walks_through_everything(
    api: httpx.Client, visitor: Visitor, person: NewPerson, register: Register
) -> None:
    app = register(secretExpires="2040-01-31")
    account = bind(api, visitor, person(), type=app)

    whole = api.post(f"/v1/oauth2/{app}/verify", json={"account": account}).json()
    without = steps(api, app, account=account, testConnection=False)

    assert (app, "outlook", "secret", account, True) == tuple(
        whole[name] for name in ("app", "provider", "authMethod", "account", "ok")
    )
    assert dict.fromkeys(("authority", "client", "redirect", "scopes", "secret", "grant", "mailbox"), "ok") == {
        step["id"]: step["status"] for step in whole["steps"]
    }
    assert ("ok", "skip") == (without["grant"]["status"], without["mailbox"]["status"])
    assert "skip" == steps(api, app)["grant"]["status"]
    assert "fail" == steps(api, app, account="nobody-of-that-name")["grant"]["status"]


@pytest.mark.parametrize(
    ("changes", "step", "hint"),
    [
        ({"authority": "9188040d-6c67-4c5b-b112-36a304b66dad"}, "authority", "no such tenant"),
        ({"clientId": "9188040d-6c67-4c5b-b112-36a304b66dad"}, "client", "no app of this clientId"),
        ({"clientSecret": "not-the-secret"}, "client", "value of the client secret"),
        ({"skipScopes": ["Mail.ReadWrite.Shared"]}, "scopes", "Mail.ReadWrite.Shared"),
        ({"secretExpires": "2020-01-31"}, "secret", "new one"),
        ({"secretExpires": (datetime.now(UTC) + timedelta(days=29)).isoformat()}, "secret", "new one"),
        ({"authentication": "federated", "clientSecret": "", "managedIdentity": TENANT_ID}, "client", "operator"),
    ],
)
def test_each_step_that_fails_says_what_to_do(
    api: httpx.Client, register: Register, changes: dict[str, Any], step: str, hint: str
) -> None:
    app = register(**changes)

    found = steps(api, app)[step]

    assert "fail" == found["status"]
    assert hint in found["hint"]
    if step == "client":
        assert found["hint"] == api.get(f"/v1/oauth2/{app}").json()["lastError"]["action"]


def test_one_good_secret_of_two_is_enough_and_the_other_is_named(api: httpx.Client, register: Register) -> None:
    app = register(clientSecret="not-the-secret", clientSecret2=SECRET)

    found = steps(api, app)["client"]

    assert "ok" == found["status"]
    assert "secret 1" in found["hint"]
    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None


async def test_a_breaker_is_the_last_error_of_its_app_until_entra_accepts_it_again(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="7000222", times=1)
    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    told = api.get(f"/v1/oauth2/{app}").json()["lastError"]
    assert ("app_credential", 7000222) == (told["code"], told["aadsts"])
    assert app in [one["app"] for one in api.get("/health").json()["oauthApps"]]

    assert "ok" == steps(api, app)["client"]["status"]

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None
    assert api.get("/health").json()["success"]


def test_what_a_verification_finds_wrong_holds_nobody_back(
    api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="700016", times=1)
    steps(api, app)
    assert "app_configuration" == api.get(f"/v1/oauth2/{app}").json()["lastError"]["code"]
    assert api.get("/health").json()["success"]

    api.put(f"/v1/account/{account}/reconnect", json={"reconnect": True})

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None


def test_an_outage_is_no_fault_of_the_app(api: httpx.Client, tenant: Tenant, register: Register) -> None:
    app = register()
    tenant.do("outage", endpoint="token", mode="503")

    assert "fail" == steps(api, app)["client"]["status"]

    assert api.get(f"/v1/oauth2/{app}").json()["lastError"] is None


@pytest.mark.usefixtures("register")
def test_the_app_of_the_settings_can_be_changed_and_changed_back(api: httpx.Client) -> None:
    before = api.get(f"/v1/oauth2/{APP_ID}").json()
    untouched = api.delete(f"/v1/oauth2/{APP_ID}", params={"force": "true"})

    api.put(f"/v1/oauth2/{APP_ID}", json={"title": "Other words"})
    changed = api.get(f"/v1/oauth2/{APP_ID}").json()
    page = httpx.get(ask(api)["url"]).text
    api.delete(f"/v1/oauth2/{APP_ID}")

    assert (409, "OAuthAppOfSettings") == (untouched.status_code, untouched.json()["code"])
    assert ("settings", "api", "Other words") == (before["source"], changed["source"], changed["title"])
    assert "Other words" in page
    assert before == api.get(f"/v1/oauth2/{APP_ID}").json()


def test_whoever_is_left_to_choose_binds_through_the_app_they_chose(
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


def test_a_choice_that_is_none_is_refused(api: httpx.Client, visitor: Visitor, register: Register) -> None:
    app, asked = register(), ask(api)
    form = visitor.open(asked["url"]).form_with("confirmation")
    api.put(f"/v1/oauth2/{app}", json={"enabled": False})

    for chosen in ("", "AAAAAAAAAAAAAAAA", app):
        assert "app_unavailable" == code_of(visitor.submit(form, app=chosen))


async def test_the_carried_grant_remembers_the_app_that_was_chosen(
    api: httpx.Client, visitor: Visitor, person: NewPerson, instance: Services, register: Register
) -> None:
    app, asked, who = register(), ask(api), person(access=False)
    page = visitor.open(asked["url"])
    refused = visitor.sign_in(visitor.submit(page.form_with("confirmation"), app=app), who)

    waiting = visitor.submit(refused.form_with("keep"))

    assert 202 == waiting.status
    stored = await instance.registrations.get(asked["registration"])
    assert stored is not None
    partition = await instance.principals.partition(str(stored.value.mailboxes[0].principal_id))
    assert [app] == [pending.value.app for pending in partition.pending.values()]


def test_an_account_that_moved_to_another_app_hands_out_nothing_once_it_is_paused_or_gone(
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
