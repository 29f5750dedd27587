"""HEAD answers as GET does: the same status and headers, and no body."""

import re
from collections.abc import Callable

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.visitor import Visitor
from tests.app_routes import operations
from tests.events.conftest import Receiver
from tests.journey.conftest import ask, bind
from tests.raw_http import RawAnswer, send

GETS = [route.removeprefix("GET ") for route in operations() if route.startswith("GET ")]
# A length is that of a body, and the other two are of one request.
OF_ONE_ANSWER = {"content-length", "date", "x-correlation-id"}
RANDOM = re.compile(r"(?<='nonce-)[^']+|(?<=__Host-mailbind=)[^;]+")


def headers_of(answer: RawAnswer) -> list[tuple[str, str]]:
    lines = [(name.lower(), RANDOM.sub("…", value)) for name, value in answer.headers]
    return sorted(line for line in lines if line[0] not in OF_ONE_ANSWER)


def hold(environment: Environment, target: str, **headers: str) -> int:
    """Fail unless HEAD answers as GET. Returns the status."""
    got, head = (send(environment.base_url, method, target, **headers) for method in ("GET", "HEAD"))

    assert (got.status, headers_of(got)) == (head.status, headers_of(head))
    assert b"" == head.body
    assert got.body or got.status == httpx.codes.NOT_MODIFIED
    return got.status


def query_of(route: str, ids: dict[str, str]) -> str:
    """The query that a route needs."""
    needed = {"accounts/new": f"?{ids['ticket']}", "v1/account/{account}/messages": "?path=INBOX"}
    return needed.get(route, "")


@pytest.fixture
def ids(api: httpx.Client, visitor: Visitor, person: Callable[..., str], receiver: Receiver) -> dict[str, str]:
    """An id of each kind that paths have."""
    asked = ask(api)
    hook = api.post("/v1/webhooks", json={"url": receiver.url("ok/head"), "verify": False}).json()
    account = bind(api, visitor, person())
    messages = api.get(f"/v1/account/{account}/messages", params={"path": "INBOX"}).json()["messages"]
    attachment = next(each for message in messages for each in message["attachments"])
    return {
        "account": account,
        "message": messages[0]["id"],
        "text": messages[0]["text"]["id"],
        "attachment": attachment["id"],
        "registration": asked["registration"],
        "app": "AAABiCtT7XUAAAAF",
        "webhook": hook["id"],
        "ticket": asked["url"].partition("?")[2],
    }


def test_head_of_what_exists_answers_as_get(environment: Environment, ids: dict[str, str]) -> None:
    token = f"Bearer {environment.secrets.admin_token}"

    statuses = {
        route: hold(
            environment,
            f"/{route}".format(**ids) + query_of(route, ids),
            Authorization=token,
        )
        for route in GETS
    }

    assert {"oauth": 400} == {route: status for route, status in statuses.items() if status != 200}


@pytest.mark.parametrize("route", GETS)
def test_head_is_refused_as_get_is(environment: Environment, route: str) -> None:
    assert hold(environment, f"/{re.sub(r'{\w+}', 'x', route)}") in {200, 400, 401, 404}


@pytest.mark.parametrize("target", ["/nowhere", "/v1/nothing", "/v1/account", "/accounts/old"])
def test_head_of_unknown_paths_is_refused_as_get_is(environment: Environment, target: str) -> None:
    assert hold(environment, target) in {404, 405}
    assert hold(environment, target, Accept="text/html") in {404, 405}


def test_head_of_a_known_document_is_not_modified(environment: Environment) -> None:
    tag = send(environment.base_url, "HEAD", "/docs").header("ETag")
    assert tag is not None

    assert 304 == hold(environment, "/docs", If_None_Match=tag)
