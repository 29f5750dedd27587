"""Webhook routes, and every event that exists."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.domain.event import EventName
from shared.ports import App, Replace
from shared.usecases.events.delivery import deliver_events
from shared.usecases.tokens.hand_out import hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.sweep import sweep
from tests.conftest import MovedClock
from tests.described import hold, hold_event
from tests.events.conftest import SECRET, Receiver
from tests.journey.conftest import Tenant, ask, bind, tick
from tests.usecases.grants import grant_of

type NewPerson = Callable[..., str]
MASK = "******"
# tests/usecases/test_submits.py has these.
OF_SUBMITTED_MESSAGES = {EventName.MESSAGE_SENT, EventName.MESSAGE_FAILED}


def subscribe(api: httpx.Client, url: str, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/webhooks", json={"url": url, "secret": SECRET, **more})
    assert 201 == answer.status_code, answer.text
    return dict(answer.json())


def shown_of(url: str) -> str:
    """The origin: a chat's channel has its secret in the path."""
    return f"{httpx.URL(url).copy_with(path='/', query=None)}{MASK}"


def refused(answer: httpx.Response) -> dict[str, str]:
    assert 400 == answer.status_code, answer.text
    return {field["key"]: field["message"] for field in answer.json()["fields"]}


async def deliver(instance: App) -> None:
    assert await deliver_events(instance, instance.clock() + timedelta(minutes=4))


@pytest.fixture(autouse=True)
def clean(api: httpx.Client) -> None:
    """Removes webhooks and events of other tests."""
    for webhook in api.get("/v1/webhooks").json()["webhooks"]:
        api.delete(f"/v1/webhooks/{webhook['id']}")


def test_webhook_is_created_after_a_signed_ping(
    api: httpx.Client, environment: Environment, receiver: Receiver
) -> None:
    url = receiver.url("ok/made")
    answer = api.post("/v1/webhooks", json={"url": f"{url}?sig=of-a-flow", "description": "orders"})

    made = answer.json()
    assert 201 == answer.status_code
    assert f"{environment.base_url}/v1/webhooks/{made['id']}" == answer.headers["location"]
    assert ("new", ["*"], shown_of(url)) == (made["state"], made["events"], made["url"])
    (ping,) = receiver.took("ok/made")
    assert ("ping", None, environment.base_url) == tuple(
        ping["body"][name] for name in ("event", "account", "serviceUrl")
    )
    assert ("sig=of-a-flow", "application/json") == (ping["query"], ping["headers"]["content-type"])
    assert Webhook(made["secret"]).verify(ping["text"], ping["headers"])
    digest = hmac.new(made["secret"].encode(), ping["text"].encode(), hashlib.sha256).digest()
    headers = {name: value for name, value in ping["headers"].items() if name.startswith(("x-ee-", "user"))}
    assert {
        "user-agent": "mailbind",
        "x-ee-wh-id": f"{made['id']}.{ping['body']['id']}",
        "x-ee-wh-attempts-made": "1",
        "x-ee-wh-queued-time": "0s",
        "x-ee-wh-event-id": ping["body"]["id"],
        "x-ee-wh-signature": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    } == headers
    for path in ("/v1/webhooks", f"/v1/webhooks/{made['id']}"):
        shown = api.get(path).text
        assert MASK in shown
        assert not [word for word in (made["secret"], "of-a-flow") if word in shown]
    assert {"toFanOut", "waiting", "parked"} == {*api.get("/v1/stats").json()["events"]}
    assert {"id": made["id"], "success": True, "error": None} == api.post(f"/v1/webhooks/{made['id']}/ping").json()
    assert {"id": made["id"], "deleted": True} == api.delete(f"/v1/webhooks/{made['id']}").json()
    assert 404 == api.get(f"/v1/webhooks/{made['id']}").status_code


def test_subscribing_again_updates_the_same_webhook(api: httpx.Client, receiver: Receiver) -> None:
    url = receiver.url("ok/again")
    first = api.post("/v1/webhooks", json={"url": url, "account": "one"}).json()
    again = api.post("/v1/webhooks", json={"url": url, "accounts": ["ONE"], "events": ["accountAdded"]})
    other = api.post("/v1/webhooks", json={"url": url, "account": "two"}).json()

    assert (201, first["id"], "existing") == (again.status_code, again.json()["id"], again.json()["state"])
    assert "secret" in first
    assert MASK == again.json()["secret"]
    assert ["accountAdded"] == again.json()["events"]
    assert first["id"] != other["id"]


def test_filter_reads_back_with_an_id_that_no_account_has(api: httpx.Client, receiver: Receiver) -> None:
    made = api.post("/v1/webhooks", json={"url": receiver.url("ok/filter"), "accounts": ["a\\b/c"]})

    assert (201, ["a\\b/c"]) == (made.status_code, made.json()["accounts"])
    hold("/v1/webhooks", "POST", made.status_code, made.text)
    listed = api.get("/v1/webhooks")
    hold("/v1/webhooks", "GET", listed.status_code, listed.text)


def test_target_that_rejects_the_ping_is_refused_and_not_stored(api: httpx.Client, receiver: Receiver) -> None:
    said = {
        receiver.url("fails/now"): "it answered 500",
        receiver.url("redirects/now"): "it answered 307",
        "http://127.0.0.1:9/nobody": "it could not be reached",
        "https://10.0.0.1/inside": "its address is not a public one",
        "https://169.254.169.254/metadata": "its address is not a public one",
        "http://93.184.215.14/plain": "its address is not a public one",
        "https://no-such-name.invalid/": "its name is not known",
    }

    for url, words in said.items():
        fault = refused(api.post("/v1/webhooks", json={"url": url}))["url"]
        assert words in fault
        assert url not in fault
    assert [] == api.get("/v1/webhooks").json()["webhooks"]
    # A forbidden target is refused without a request.
    assert "url" in refused(api.post("/v1/webhooks", json={"url": "https://10.0.0.1/inside", "verify": False}))
    # A name may become known later.
    unknown = {"url": "https://no-such-name.invalid/", "verify": False}
    assert 201 == api.post("/v1/webhooks", json=unknown).status_code
    assert 201 == api.post("/v1/webhooks", json={"url": receiver.url("fails/now"), "verify": False}).status_code


def test_every_wrong_field_is_named_at_once(api: httpx.Client) -> None:
    wrong = {
        "url": "ftp://x.example/",
        "events": ["accountAdded", "nothing"],
        "account": "",
        "secret": "whsec_short",
        "description": "x" * 1025,
        "verify": "maybe",
        "odd": 1,
    }

    assert set(wrong) == set(refused(api.post("/v1/webhooks", json=wrong)))
    assert {"url"} == set(refused(api.post("/v1/webhooks", json={})))
    for url in (
        "https://",
        "https://x .example",
        "https://x.example:0/",
        "https://ä.example/",
        "https://x\\y.example/",
    ):
        assert {"url"} == set(refused(api.post("/v1/webhooks", json={"url": url})))


def test_bound_caller_gets_events_of_its_own_accounts_only(
    api: httpx.Client, environment: Environment, receiver: Receiver
) -> None:
    wish = {"description": "a flow", "scopes": ["webhooks"], "accountPrefix": "flow-", "ttl": 60}
    token = api.post("/v1/token", json=wish).json()["token"]
    everything = subscribe(api, receiver.url("ok/all"))
    with httpx.Client(base_url=environment.base_url, headers={"Authorization": f"Bearer {token}"}) as flow:
        own = subscribe(flow, receiver.url("ok/flow"))
        narrow = subscribe(flow, receiver.url("ok/flow"), accountPrefix="FLOW-a")

        assert "flow-" == own["accountPrefix"]
        assert {own["id"], narrow["id"]} == {one["id"] for one in flow.get("/v1/webhooks").json()["webhooks"]}
        for more in ({"account": "other"}, {"accounts": ["flow-1", "other"]}, {"accountPrefix": "flow"}):
            answer = flow.post("/v1/webhooks", json={"url": receiver.url("ok/flow"), **more})
            assert 403 == answer.status_code
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/ping"), ("POST", "/redeliver")):
            assert 404 == flow.request(method, f"/v1/webhooks/{everything['id']}{path}").status_code


def test_global_target_is_set_as_in_emailengine(
    api: httpx.Client, environment: Environment, receiver: Receiver
) -> None:
    assert "" == api.get("/v1/settings").json()["webhooks"]
    assert "webhooks" in refused(api.post("/v1/settings", json={"webhooks": receiver.url("fails/global")}))
    wish = {
        "webhooks": receiver.url("ok/global"),
        "webhooksEnabled": True,
        "webhookEvents": ["messageNew", "accountAdded"],
        "webhooksCustomHeaders": [{"key": "X-Key", "value": "of-the-receiver"}],
        "serviceSecret": SECRET,
    }
    answer = api.post("/v1/settings", json=wish)

    assert (200, {"updated": [*wish]}) == (answer.status_code, answer.json())
    assert {
        "serviceUrl": environment.base_url,
        "webhooks": shown_of(receiver.url("ok/global")),
        "webhooksEnabled": True,
        "webhookEvents": ["messageNew", "accountAdded"],
        "webhooksCustomHeaders": [{"key": "x-key", "value": MASK}],
        "serviceSecret": MASK,
    } == api.get("/v1/settings").json()
    seen = api.get("/v1/settings").json()
    for name in ("webhooks", "webhooksCustomHeaders", "serviceSecret"):
        assert {name} == set(refused(api.post("/v1/settings", json={name: seen[name], "verify": False})))
    assert {"webhooksEnabled": True} == api.get("/v1/settings?webhooksEnabled=true&webhooks=false").json()
    (ping,) = receiver.took("ok/global")
    assert (True, "of-the-receiver") == (ping["verified"], ping["headers"]["x-key"])
    assert "global" in [one["id"] for one in api.get("/v1/webhooks").json()["webhooks"]]
    token = api.post("/v1/token", json={"description": "other", "scopes": ["webhooks"], "ttl": 60}).json()["token"]
    with httpx.Client(base_url=environment.base_url, headers={"Authorization": f"Bearer {token}"}) as other:
        assert "global" not in other.get("/v1/webhooks").text
        assert 404 == other.delete("/v1/webhooks/global").status_code
    api.post("/v1/settings", json={"webhooks": ""})
    assert ("", False) == tuple(api.get("/v1/settings").json()[name] for name in ("webhooks", "webhooksEnabled"))
    pinged = api.post("/v1/webhooks/global/ping").json()
    assert {"id": "global", "success": False, "error": "it has no URL"} == pinged
    wrong = {
        "serviceUrl": "https://x.example",
        "webhooks": "no",
        "webhooksEnabled": "maybe",
        "webhookEvents": ["nothing"],
        "webhooksCustomHeaders": [{"key": "Host", "value": "x"}],
        "serviceSecret": "short",
        "odd": 1,
    }
    assert set(wrong) == set(refused(api.post("/v1/settings", json=wrong)))


async def test_each_event_is_reported_once_with_its_details(
    api: httpx.Client,
    visitor: Visitor,
    other_visitor: Visitor,
    person: NewPerson,
    tenant: Tenant,
    instance: App,
    clock: MovedClock,
    receiver: Receiver,
) -> None:
    await deliver(instance)  # events left by other tests have no webhook
    subscribe(api, receiver.url("ok/story"), verify=False)
    who = person()
    account = bind(api, visitor, who)
    # The account gets another mailbox, and then its own again.
    for mailbox in ("sales@contoso.example", "support@contoso.example"):
        tenant.do("access", person=who, mailbox=mailbox, fullAccess=True)
        bind(api, visitor, who, account=account, email=mailbox, changeMailbox=True)
    # The person's sign-in is revoked, and they sign in again.
    await hand_out(instance, account)
    tenant.do("revoke", person=who)
    clock.forward(minutes=66)
    await tick(instance)
    visitor.cookies.clear()
    bind(api, visitor, who, account=account)
    # Access is taken away and given back.
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=False)
    await reconnect_account(instance, account)
    tenant.do("access", person=who, mailbox="support@contoso.example", fullAccess=True)
    await reconnect_account(instance, account)
    # Microsoft refuses the app for a while.
    tenant.do("fail", endpoint="token", failure="7000222")
    for minutes in (1, 2):
        clock.forward(minutes=minutes)
        await reconnect_account(instance, account)
    # A person without access follows a link, which then expires.
    tried = ask(api)
    other_visitor.follow(tried["url"], person(access=False))
    clock.forward(hours=25)
    await tick(instance)
    await come_to_an_end(instance, account)
    api.delete(f"/v1/account/{account}")
    await deliver(instance)

    told = [record["body"] for record in receiver.took("ok/story")]
    data = {body["event"]: body["data"] for body in told if body["account"] in {account, tried["account"], None}}
    assert {*EventName} - OF_SUBMITTED_MESSAGES == {*data}
    for body in told:
        hold_event(body)
    assert [
        "accountAdded",
        "accountInitialized",
        "accountChanged",
        "accountChanged",
        "authenticationError",
        "authenticationSuccess",
        "connectError",
        "connectSuccess",
        "grantExpiring",
        "accountDeleted",
    ] == [body["event"] for body in told if body["account"] == account]
    assert ["registrationFailed", "registrationExpired"] == [
        body["event"] for body in told if body["account"] == tried["account"]
    ]
    assert ["oauthAppError", "oauthAppRecovered", "oauthAppSecretExpiring"] == sorted(
        body["event"] for body in told if body["account"] is None
    )
    assert not [word for word in ("eyJ", "whsec_", "ticket") if word in str(told)]
    check_data(data, account, who)
    assert tried["registration"] == data["registrationFailed"]["registration"]
    assert tried["registration"] == data["registrationExpired"]["registration"]
    assert instance.config.seed.id == data["oauthAppError"]["app"] == data["oauthAppRecovered"]["app"]


async def test_link_that_expired_during_a_long_stop_is_reported(
    api: httpx.Client, instance: App, clock: MovedClock, receiver: Receiver
) -> None:
    asked = ask(api)
    subscribe(api, receiver.url("ok/stopped"), account=asked["account"], verify=False)
    clock.forward(days=9)
    await tick(instance)
    await tick(instance)  # the deletion is scheduled by the link's end
    assert 404 == api.get(f"/v1/authentication/form/{asked['registration']}").status_code
    await deliver(instance)

    (told,) = [record["body"] for record in receiver.took("ok/stopped")]
    assert ("registrationExpired", asked["registration"]) == (told["event"], told["data"]["registration"])


async def come_to_an_end(instance: App, account: str) -> None:
    """A grant was not renewed for long, and an app's secret expires soon; the sweep runs twice."""
    stored = await grant_of(instance, account)
    old = replace(stored.value, refreshed=instance.clock() - timedelta(days=80))
    await instance.stores.principals.commit(old.principal.id, [Replace(old, stored.version)])
    ending = replace(
        instance.config.seed, id="B" * 16, enabled=False, secret_expires=instance.clock() + timedelta(days=3)
    )
    kept = await instance.stores.oauth_apps.insert(ending)
    instance.oauth_apps.forget()
    for _ in range(2):
        await sweep(instance, instance.clock() + timedelta(minutes=4))
    await instance.stores.oauth_apps.remove(kept)


def check_data(data: dict[str, Any], account: str, who: str) -> None:
    assert {"account": account} == data["accountAdded"] == data["accountDeleted"]
    assert {"initialized": True} == data["accountInitialized"]
    assert {"user": who} == data["authenticationSuccess"]
    error = data["authenticationError"]
    assert {"user": who, "serverResponseCode": "OauthRenewError", "code": "needs_sign_in", "kind": "needsSignIn"} == {
        name: error[name] for name in ("user", "serverResponseCode", "code", "kind")
    }
    assert isinstance(error["aadsts"], int)
    assert {"response", "action"} <= {*error}
    assert ("ApiRequestError", "no_mailbox_access", "no_mailbox_access", "app_credential") == (
        data["connectError"]["serverResponseCode"],
        data["connectError"]["code"],
        data["registrationFailed"]["code"],
        data["oauthAppError"]["code"],
    )
    assert "B" * 16 == data["oauthAppSecretExpiring"]["app"]
    assert {"user", "app", "expires", "action"} <= {*data["grantExpiring"]}
