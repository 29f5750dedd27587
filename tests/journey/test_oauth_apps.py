"""OAuth apps are registered, shown without secrets, listed and changed."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from shared.domain.oauth_app import shadowing_notice
from shared.ports import App
from shared.usecases.apps.catalogue import change_oauth_app
from tests.conftest import TENANT_ID, storage_of
from tests.journey.apps import CONTOSO, GOOD, SECRET, Register, fields_of, registers_apps, steps  # noqa: F401 - a fixture
from tests.journey.conftest import ask
from tests.keys.test_client_authentication import certificate


def test_app_is_registered_and_shown_without_its_secrets(
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
        "mailDomains": [],
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


async def test_secrets_are_sealed_and_bound_to_their_row(api: httpx.Client, instance: App, register: Register) -> None:
    app, other = register(clientSecret2="another-secret"), register()

    table = storage_of(instance).get_table_client("OAuthApps")
    rows = {row["id"]: row async for row in table.list_entities()}

    assert [] == [secret for secret in (SECRET, "another-secret") if secret in str(rows)]
    moved = {**rows[other], "client_secret": rows[app]["client_secret"]}
    await table.update_entity(moved)
    assert [2, 0] == [len(one.credentials) for one in await instance.stores.oauth_apps.all() if one.id in {app, other}]
    assert "fail" == steps(api, other)["client"]["status"]
    assert "app_credential" == api.get(f"/v1/oauth2/{other}").json()["lastError"]["code"]
    assert 200 == api.put(f"/v1/oauth2/{other}", json={"clientSecret": SECRET}).status_code
    assert "ok" == steps(api, other)["client"]["status"]


async def test_two_changes_at_once_are_both_kept(instance: App, api: httpx.Client, register: Register) -> None:
    app = register()

    changes: list[dict[str, Any]] = [{"title": "New title"}, {"description": "new words"}, {"credential_reuse": True}]
    await asyncio.gather(*(change_oauth_app(instance, app, told, {}) for told in changes))

    shown = api.get(f"/v1/oauth2/{app}").json()
    assert ("New title", "new words", True) == (shown["title"], shown["description"], shown["credentialReuse"])


def test_apps_are_listed_newest_first_and_the_settings_app_last(api: httpx.Client, register: Register) -> None:
    first, second = register(name="First"), register(name="Second")

    whole = api.get("/v1/oauth2", params={"pageSize": 1000}).json()
    total = len(whole["apps"])  # other tests may have registered some
    newest, last = (api.get("/v1/oauth2", params={"page": page, "pageSize": 1}).json() for page in (0, total - 1))

    assert [second, first] == [app["id"] for app in whole["apps"]][:2]
    assert (total, 1, 0) == (whole["total"], whole["pages"], whole["page"])
    assert ([second], total, total, 0) == ids_and_paging(newest)
    assert ([APP_ID], total, total, total - 1) == ids_and_paging(last)
    assert "settings" == last["apps"][0]["source"]


def ids_and_paging(page: dict[str, Any]) -> tuple[list[str], int, int, int]:
    return [app["id"] for app in page["apps"]], page["total"], page["pages"], page["page"]


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
        "mailDomains": ["contoso-value.example"],
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
def test_contradictory_fields_are_refused(api: httpx.Client, changes: dict[str, Any], field: str) -> None:
    assert field in fields_of(api.post("/v1/oauth2", json={**GOOD, **changes}))


def test_quirks_of_emailengine_are_accepted(api: httpx.Client, register: Register) -> None:
    app = register(enabled="Y", description="", extraScopes="User.ReadBasic.All", baseScopes=["imap"], cloud="")

    shown = api.get(f"/v1/oauth2/{app}").json()

    assert (True, None, ["User.ReadBasic.All"], "imap") == (
        shown["enabled"],
        shown["description"],
        shown["extraScopes"],
        shown["baseScopes"],
    )


def test_change_affects_only_the_named_fields(api: httpx.Client, register: Register) -> None:
    app = register(description="old", secretExpires="2030-01-31")
    before = api.get(f"/v1/oauth2/{app}").json()

    answer = api.put(f"/v1/oauth2/{app}", json={"description": None, "title": "Archive", "clientSecret": "******"})

    assert {"id": app, "updated": True} == answer.json()
    after = api.get(f"/v1/oauth2/{app}").json()
    assert {**before, "description": None, "title": "Archive", "updated": after["updated"]} == after
    assert "ok" == steps(api, app)["client"]["status"]


def test_expiry_of_a_secret_is_deleted_with_it(api: httpx.Client, register: Register) -> None:
    app = register(secretExpires="2030-01-31")

    api.put(f"/v1/oauth2/{app}", json={"clientSecret": "a-newer-one"})

    assert api.get(f"/v1/oauth2/{app}").json()["secretExpires"] is None


def test_new_authentication_method_deletes_old_credentials(api: httpx.Client, register: Register) -> None:
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
def test_unchangeable_field_is_reported(api: httpx.Client, register: Register, field: str) -> None:
    assert {field} == fields_of(api.put(f"/v1/oauth2/{register()}", json={field: "outlook"}))


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PUT", ""), ("POST", "/verify")], ids=str)
def test_unknown_app_is_not_found(api: httpx.Client, register: Register, method: str, path: str) -> None:
    for app in ("AAAAAAAAAAAAAAAA", register().swapcase(), "x" * 256):
        assert 404 == api.request(method, f"/v1/oauth2/{app}{path}", json={}).status_code
        assert {"id": app, "deleted": False, "accounts": 0} == api.delete(f"/v1/oauth2/{app}").json()


@pytest.mark.usefixtures("register")
def test_app_of_the_settings_can_be_changed_and_reset(api: httpx.Client) -> None:
    before = api.get(f"/v1/oauth2/{APP_ID}").json()
    untouched = api.delete(f"/v1/oauth2/{APP_ID}", params={"force": "true"})

    answer = api.put(f"/v1/oauth2/{APP_ID}", json={"title": "Other words"}).json()
    changed = api.get(f"/v1/oauth2/{APP_ID}").json()
    page = httpx.get(ask(api)["url"]).text
    (listed,) = [one for one in api.get("/v1/oauth2").json()["apps"] if one["id"] == APP_ID]
    verified = steps(api, APP_ID)
    api.delete(f"/v1/oauth2/{APP_ID}")

    assert (409, "OAuthAppOfSettings") == (untouched.status_code, untouched.json()["code"])
    assert ("settings", "api", "Other words") == (before["source"], changed["source"], changed["title"])
    assert "Other words" in page
    notices = [shown["shadowsSettings"] for shown in (answer, changed, listed)] + [verified["settings"]["hint"]]
    assert [shadowing_notice(APP_ID)] * 4 == notices
    assert before == api.get(f"/v1/oauth2/{APP_ID}").json()
    assert "settings" not in steps(api, APP_ID)
