"""The running system, and a world in it that the contract's calls are about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from tests.compat.contract import WISH
from tests.environments import StartApp, trust
from tests.journey.conftest import api, ask, bind, visitor  # noqa: F401 - fixtures

APP = "AAABiCtT7XUAAAAF"
MESSAGE = {
    "subject": "What a wonderful message",
    "from": {"emailAddress": {"name": "Andris Reinman", "address": "andris@example.com"}},
    "body": {"contentType": "html", "content": "<p>Hello</p>"},
    "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YQ=="}],
}


@dataclass
class World:
    """What `{account}` and the like stand for, and who calls by what name."""

    base_url: str
    callers: Mapping[str, str | None]
    names: dict[str, str] = field(default_factory=dict)

    def put_in(self, pattern: Any) -> Any:
        """A part of the contract with the names of this world."""
        match pattern:
            case str():
                for name, value in self.names.items():
                    pattern = pattern.replace(f"{{{name}}}", value)
                return pattern
            case dict():
                return {name: self.put_in(value) for name, value in pattern.items()}
            case list() | tuple():
                return type(pattern)(self.put_in(value) for value in pattern)
            case _:
                return pattern

    def call(self, method: str, path: str, caller: str, **sent: Any) -> httpx.Response:
        with self.client(caller) as client:
            return client.request(method, path, **sent)

    def client(self, caller: str) -> httpx.Client:
        token = self.callers[caller]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.base_url, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def environment(start_app: StartApp) -> Iterator[Environment]:
    """Grants serve many accounts, as in EmailEngine."""
    with start_app(MAILBIND_OAUTH_CREDENTIAL_REUSE="true") as running:
        yield running


@pytest.fixture(scope="module")
def world(environment: Environment) -> Iterator[World]:
    """Two bound accounts, another OAuth app, an open link, and callers of all kinds."""
    ready = environment.tenant.ready
    admin = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    with httpx.Client(base_url=environment.base_url, headers=admin, timeout=30) as client:
        with Visitor(ready["caFile"]) as browser:
            account = bind(client, browser, "alice@contoso.example", account="compat-account")
        with Visitor(ready["caFile"]) as browser:
            spare = bind(client, browser, "bob@contoso.example")
        delivered = {"mailbox": "support@contoso.example", "message": MESSAGE, "count": 2}
        mailed = httpx.post(f"{ready['controlUrl']}/deliver", json=delivered, verify=trust(ready["caFile"])).json()
        # Tests come in any order: what one deletes, no other may need.
        wish = {**WISH, "redirectUrl": f"{environment.base_url}/oauth"}
        yield World(
            environment.base_url,
            {
                "administrator": environment.secrets.admin_token,
                "nobody": None,
                "stranger": "0" * 64,
                "reader": issued(client, scopes=["accounts:read"]),
                "bound": issued(client, scopes=["accounts:read"], account="another"),
            },
            {
                "base": environment.base_url,
                "account": account,
                "spare": spare,
                "person": "alice@contoso.example",
                "message": mailed["immutableIds"][0],
                "text": mailed["immutableIds"][0],
                "spareMessage": mailed["immutableIds"][1],
                "app": APP,
                "otherApp": client.post("/v1/oauth2", json=wish).json()["id"],
                "spareApp": client.post("/v1/oauth2", json=wish).json()["id"],
                "link": ask(client)["url"].removeprefix(environment.base_url),
            },
        )


def issued(client: httpx.Client, **wish: Any) -> str:
    answer = client.post("/v1/token", json={"description": "compat", "ttl": 600, **wish})
    assert answer.is_success, answer.text
    return str(answer.json()["token"])
