"""The running system, and a world in it that the contract's calls are about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from infra.local.environment import Environment, local_environment
from infra.local.visitor import Visitor
from tests.journey.conftest import (  # noqa: F401 - fixtures
    STILL,
    api,
    ask,
    bind,
    environment,
    person,
    tenant,
    visitor,
)

__all__ = ["Environment", "local_environment"]
APP = "AAABiCtT7XUAAAAF"


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
        token = self.callers[caller]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, self.base_url + path, headers=headers, timeout=30, **sent)


@pytest.fixture
def world(environment: Environment, api: httpx.Client, visitor: Visitor, person: Callable[..., str]) -> World:  # noqa: F811 - fixtures
    """Two bound accounts, an open link, and callers of all kinds."""

    def issued(**wish: Any) -> str:
        answer = api.post("/v1/token", json={"description": "compat", "ttl": 600, **wish})
        assert answer.is_success, answer.text
        return str(answer.json()["token"])

    who = person()
    callers = {
        "administrator": environment.secrets.admin_token,
        "nobody": None,
        "stranger": "0" * 64,
        "reader": issued(scopes=["accounts:read"]),
        "bound": issued(scopes=["accounts:read"], account="another"),
    }
    account = bind(api, visitor, who, account=f"compat-{who.partition('@')[0]}")
    visitor.cookies.clear()
    spare = bind(api, visitor, person())
    link = ask(api)["url"].removeprefix(environment.base_url)
    return World(
        environment.base_url,
        callers,
        {"account": account, "spare": spare, "person": who, "app": APP, "link": link},
    )
