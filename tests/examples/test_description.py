"""Every example of the API's description succeeds as it stands: those of the OpenAPI document, and the curls of /docs.

Only ids that Mailbind makes are replaced in paths, by the id of a thing of that kind.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared.browser import sign_in_pages
from shared.reference import confined
from tests.described import DOCUMENT, as_described
from tests.examples.conftest import LocalRun

# The requests of the pages are those of a person's browser, whose ticket, cookie and form come from the page before.
# Confined access needs ids of mail: tests/examples/test_confined.py.
ELSEWHERE = {sign_in_pages.resource.tag, confined.TAG}
TAGS = [tag["name"] for tag in DOCUMENT["tags"] if tag["name"] not in ELSEWHERE]
CURL = re.compile(r"(?s)<pre[^>]*>(?:<code[^>]*>)?(curl .*?)</pre>")
CALL = re.compile(r"curl (?:-X (\w+) )?'?(https?://[^/]+)([^\s'?]*)")


@dataclass(frozen=True)
class Operation:
    """A method of a path, as the document describes it. `example_path` has the examples of its parameters."""

    method: str
    path: str
    described: dict[str, Any]

    @property
    def example_path(self) -> str:
        return self.filled_in({each["name"]: each["example"] for each in self.parameters("path")})

    def parameters(self, where: str) -> list[dict[str, Any]]:
        return [each for each in self.described["parameters"] if each["in"] == where]

    def filled_in(self, ids: dict[str, str]) -> str:
        """The path with these ids."""
        path = self.path
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", value)
        return path


def operations(tag: str) -> list[Operation]:
    """The operations of a tag in the document's order, but those that delete last."""
    found = [
        Operation(method.upper(), path, described)
        for path, methods in DOCUMENT["paths"].items()
        for method, described in methods.items()
        if tag in described["tags"]
    ]
    return sorted(found, key=lambda operation: operation.method == "DELETE")


def example_of(operation_id: str) -> Any:
    """The body of an operation's example."""
    every_operation = [each for methods in DOCUMENT["paths"].values() for each in methods.values()]
    described = next(each for each in every_operation if each["operationId"] == operation_id)
    return described["requestBody"]["content"]["application/json"]["example"]


def path_of(run: LocalRun, operation: Operation) -> str:
    """The example's path, with the ids of a registration, a webhook, a token, a message and so on that are there."""
    made = {
        "registration": ("/v1/authentication/form", "StartRegistration", "registration"),
        "webhook": ("/v1/webhooks", "CreateWebhook", "id"),
        "token": ("/v1/token", "IssueToken", "id"),
    }
    ids = {each["name"]: each["example"] for each in operation.parameters("path")}
    with run.client() as api:
        for name in ids.keys() & made.keys():
            path, operation_id, field = made[name]
            ids[name] = api.post(path, json=example_of(operation_id)).raise_for_status().json()[field]
        if ids.keys() & {"message", "text", "attachment"}:
            ids |= ids_of_mail(api)
        if operation.path.endswith("/message/{message}/submit"):
            draft = api.post("/v1/account/shared/message", json=example_of("WriteDraft")).raise_for_status()
            ids["message"] = draft.json()["id"]
    return operation.filled_in(ids)


def ids_of_mail(api: httpx.Client) -> dict[str, str]:
    """The ids of a message with an attachment."""
    listed = api.get("/v1/account/shared/messages", params={"path": "INBOX", "pageSize": 100}).raise_for_status().json()
    message = next(each for each in listed["messages"] if each["attachments"])
    return {"message": message["id"], "text": message["text"]["id"], "attachment": message["attachments"][0]["id"]}


@pytest.fixture
def bound_run(local_run: LocalRun) -> LocalRun:
    local_run.bind()
    return local_run


@pytest.mark.parametrize("tag", TAGS)
def test_examples_of_the_document_succeed(bound_run: LocalRun, tag: str) -> None:
    with bound_run.client() as api:
        api.event_hooks = {"response": [as_described]}
        for operation in operations(tag):
            content = operation.described.get("requestBody", {}).get("content", {}).get("application/json", {})
            answer = api.request(
                operation.method,
                path_of(bound_run, operation),
                params={each["name"]: each["example"] for each in operation.parameters("query")},
                json=content.get("example"),
            )
            success = next(iter(operation.described["responses"]))
            assert success == str(answer.status_code), (operation.method, operation.path, answer.text)


@pytest.mark.parametrize("tag", TAGS)
def test_examples_of_the_page_succeed(bound_run: LocalRun, tag: str) -> None:
    curls = dict(shown_curls(bound_run))
    for operation in operations(tag):
        curl = curls[operation.method, operation.example_path]
        output = bound_run.shell(curl.replace(operation.example_path, path_of(bound_run, operation), 1))
        success = int(next(iter(operation.described["responses"])))
        assert [success] == [status for status, _ in output.statuses], (curl, output)


def shown_curls(run: LocalRun) -> Iterator[tuple[tuple[str, str], str]]:
    """The curls of /docs by method and path."""
    with run.client() as api:
        page = api.get("/docs").text
    for shown in CURL.findall(page):
        curl = html.unescape(re.sub(r"<[^>]+>", "", shown))
        call = CALL.match(curl)
        assert call, curl
        assert run.variables["BASE"] == call[2]
        yield (call[1] or "GET", call[3]), curl
