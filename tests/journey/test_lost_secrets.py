"""Webhooks whose secrets cannot be decrypted are shown, and can be deleted or given new ones."""

import httpx
import pytest

from shared.ports import App
from tests.events.conftest import SECRET, Receiver, lose_secrets

MASK = "******"
WORDS = "its secrets cannot be decrypted any more"


def subscribe(api: httpx.Client, url: str) -> httpx.Response:
    return api.post("/v1/webhooks", json={"url": url})


async def test_webhook_with_lost_secrets_is_listed_and_can_be_deleted(
    api: httpx.Client, instance: App, receiver: Receiver
) -> None:
    made = subscribe(api, receiver.url("ok/lost")).json()
    await lose_secrets(instance, made["id"])

    listed = {one["id"]: one for one in api.get("/v1/webhooks").json()["webhooks"]}
    one = api.get(f"/v1/webhooks/{made['id']}").json()
    assert (made["url"], MASK) == (listed[made["id"]]["url"], listed[made["id"]]["secret"])
    assert WORDS in listed[made["id"]]["lastError"]
    assert WORDS in one["lastError"]
    assert WORDS in api.post(f"/v1/webhooks/{made['id']}/ping").json()["error"]
    assert {"id": made["id"], "deleted": True} == api.delete(f"/v1/webhooks/{made['id']}").json()
    assert 404 == api.get(f"/v1/webhooks/{made['id']}").status_code


async def test_subscribing_again_replaces_a_lost_secret(api: httpx.Client, instance: App, receiver: Receiver) -> None:
    made = subscribe(api, receiver.url("ok/revived")).json()
    await lose_secrets(instance, made["id"])

    again = subscribe(api, receiver.url("ok/revived")).json()

    assert (made["id"], "existing") == (again["id"], again["state"])
    assert again["secret"] not in {made["secret"], MASK}
    assert None is api.post(f"/v1/webhooks/{made['id']}/ping").json()["error"]
    assert None is api.get(f"/v1/webhooks/{made['id']}").json()["lastError"]
    api.delete(f"/v1/webhooks/{made['id']}")


@pytest.mark.parametrize("secret", [None, SECRET])
async def test_global_target_with_lost_secrets_needs_its_url_again(
    api: httpx.Client, instance: App, receiver: Receiver, secret: str | None
) -> None:
    headers = [{"key": "X-Key", "value": "of-the-receiver"}]
    target = {"webhooks": receiver.url("ok/lost-global"), "webhooksEnabled": True}
    api.post("/v1/settings", json={**target, "serviceSecret": SECRET, "webhooksCustomHeaders": headers})
    await lose_secrets(instance, "global")

    assert MASK in api.get("/v1/settings").json()["webhooks"]
    refused = api.post("/v1/settings", json={"webhooksEnabled": False})
    assert (400, ["webhooks"]) == (refused.status_code, [field["key"] for field in refused.json()["fields"]])
    again = api.post("/v1/settings", json={**target, **({"serviceSecret": secret} if secret else {})})
    assert 200 == again.status_code
    assert [] == api.get("/v1/settings").json()["webhooksCustomHeaders"]
    assert secret is None or receiver.took("ok/lost-global")[-1]["verified"]
    assert None is api.post("/v1/webhooks/global/ping").json()["error"]
    api.delete("/v1/webhooks/global")
