"""What tests of several mailboxes through one sign-in need: everything where grants serve many accounts."""

import itertools
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from shared.bootstrap import build
from shared.ports import App
from tests.conftest import MovedClock
from tests.environments import trust
from tests.journey.conftest import Tenant, tick

SUPPORT, SALES, BOARD = "support@contoso.example", "sales@contoso.example", "board@contoso.example"
numbers = itertools.count(5001)


@dataclass
class Many:
    """Everything that a test of several mailboxes needs."""

    api: httpx.Client
    tenant: Tenant
    visitor: Visitor
    instance: App
    clock: MovedClock
    ca_file: str

    def person(self, *mailboxes: str) -> str:
        """A new person with Full Access to these mailboxes."""
        name: str = self.tenant.do("person", create=1, first=next(numbers))["people"][0]
        for mailbox in (SUPPORT, SALES, BOARD):
            self.tenant.do("access", person=name, mailbox=mailbox, fullAccess=mailbox in mailboxes)
        return name

    def form(self, **changes: Any) -> httpx.Response:
        body = {"redirectUrl": "https://myapp.example/done?x=1", **changes}
        return self.api.post("/v1/authentication/form", json=body)

    def ask(self, *mailboxes: str, **changes: Any) -> tuple[dict[str, Any], list[str]]:
        """The answer to the form, and the accounts in the order of the mailboxes."""
        accounts = [f"{mailbox.partition('@')[0]}-{secrets.token_hex(4)}" for mailbox in mailboxes]
        several = [{"account": a, "email": m} for a, m in zip(accounts, mailboxes, strict=True)]
        answer = self.form(mailboxes=several, **changes)
        assert 200 == answer.status_code, answer.text
        return answer.json(), accounts

    def status(self, asked: dict[str, Any]) -> dict[str, Any]:
        return dict(self.api.get(f"/v1/authentication/form/{asked['registration']}").json())

    def states(self, asked: dict[str, Any]) -> list[str]:
        """The overall status, and the state of each mailbox, or the code of why it is not bound."""
        told = self.status(asked)
        return [told["status"], *(mailbox.get("code") or mailbox["state"] for mailbox in told["mailboxes"])]

    def token(self, account: str) -> httpx.Response:
        return self.api.get(f"/v1/account/{account}/oauth-token")

    async def later(self, **by: float) -> None:
        """Move the clock, and run what is due."""
        self.clock.forward(**by)
        await tick(self.instance)


@pytest.fixture(name="many")
async def where_grants_serve_many(reusing: Environment, clock: MovedClock) -> AsyncIterator[Many]:
    headers = {"Authorization": f"Bearer {reusing.secrets.admin_token}"}
    ready = reusing.tenant.ready
    instance = build(reusing.settings, clock)
    with (
        httpx.Client(base_url=reusing.base_url, headers=headers, timeout=30) as api,
        httpx.Client(base_url=ready["controlUrl"] + "/", verify=trust(ready["caFile"]), timeout=30) as control,
        Visitor(ready["caFile"]) as visitor,
    ):
        tenant = Tenant(control)
        yield Many(api, tenant, visitor, instance, clock, ready["caFile"])
        tenant.do("reset")
    await instance.close()
