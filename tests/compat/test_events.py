"""What is told by webhooks, against the contract."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.usecases.events.delivery import deliver_events
from tests.compat.conftest import World
from tests.compat.contract import SENT, SENT_BODY, SENT_HEADERS
from tests.compat.promises import misfits
from tests.environments import trust
from tests.journey.conftest import Tenant, bind

SECRET = "a secret as long as EmailEngine's"
WHO = "mallory@contoso.example"

type Took = list[tuple[dict[str, str], bytes]]


@pytest.fixture
def took() -> Iterator[tuple[str, Took]]:
    """A receiver's address, and what came to it."""
    came: Took = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/events", came
        server.shutdown()
        thread.join()


async def test_events_of_an_account_are_those_of_emailengine(
    world: World, environment: Environment, visitor: Visitor, took: tuple[str, Took]
) -> None:
    target, came = took
    told = {"webhooks": target, "webhooksEnabled": True, "webhookEvents": ["*"], "serviceSecret": SECRET}
    assert 200 == world.call("POST", "/v1/settings", "administrator", json=told).status_code
    came.clear()  # the ping that tried it
    ready = environment.tenant.ready
    api = world.client("administrator")
    control = httpx.Client(base_url=f"{ready['controlUrl']}/", verify=trust(ready["caFile"]))

    account = bind(api, visitor, WHO, account="compat-events", email=None, delegated=None)
    Tenant(control).do("revoke", person=WHO)
    api.put(f"/v1/account/{account}/reconnect")
    visitor.cookies.clear()
    bind(api, visitor, WHO, account=account, email=None, delegated=None)
    api.delete(f"/v1/account/{account}")
    services = build(environment.settings)
    await deliver_events(services, services.clock() + timedelta(minutes=1))
    await services.close()
    api.post("/v1/settings", json={"webhooksEnabled": False})
    api.close()
    control.close()

    names = {"account": account, "person": WHO, "base": environment.base_url}
    here = World(environment.base_url, {}, names)
    # The world's other accounts are told of too.
    mine = [(headers, raw, json.loads(raw)) for headers, raw in came if account.encode() in raw]
    assert list(SENT) == [body["event"] for _, _, body in mine]
    for headers, raw, body in mine:
        assert [] == misfits(here.put_in({**SENT_BODY, "data": SENT[body["event"]]}), body)
        assert [] == misfits(SENT_HEADERS, headers)
        signed = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), raw, hashlib.sha256)).rstrip(b"=")
        assert signed.decode() == headers["x-ee-wh-signature"]
