"""The requests of api.http succeed in their order, on a local run."""

import re
from typing import Any, NamedTuple

import httpx

from infra.local.parts import ROOT
from tests.described import as_described
from tests.examples.conftest import LocalRun

REQUEST = re.compile(
    r"(?:# @name (?P<name>\w+)\n)?(?P<method>[A-Z]+) (?P<url>\S+)\n(?P<headers>.*?)(?:\n\n(?P<body>.*))?", re.DOTALL
)
VARIABLE = re.compile(r"{{([\w.]+)}}")


class Request(NamedTuple):
    """One request. Texts may contain variables; `name` is what later requests call it."""

    title: str
    name: str | None
    method: str
    url: str
    headers: dict[str, str]
    body: str | None


def read_requests() -> tuple[dict[str, str], list[Request]]:
    """The variables of the file, and its requests."""
    beginning, *parts = re.split(r"(?m)^### ?", (ROOT / "api.http").read_text())
    return dict(re.findall(r"(?m)^@(\w+) = (.*)$", beginning)), [*map(_request, parts)]


def _request(part: str) -> Request:
    title, _, rest = part.partition("\n")
    match = REQUEST.fullmatch(rest.strip() + "\n")
    assert match, part
    headers = dict(line.split(": ", 1) for line in match["headers"].splitlines())
    return Request(title, match["name"], match["method"], match["url"], headers, match["body"])


def test_requests_succeed_in_order(local_run: LocalRun) -> None:
    variables, requests = read_requests()
    values: dict[str, Any] = {
        **variables,
        "base": local_run.variables["BASE"],
        "token": local_run.variables["TOKEN"],
    }
    assert len(requests) > 30
    with httpx.Client(timeout=30, trust_env=False, event_hooks={"response": [as_described]}) as client:
        for request in requests:
            url, body = filled_in(request.url, values), filled_in(request.body or "", values)
            headers = {name: filled_in(value, values) for name, value in request.headers.items()}
            answer = client.request(request.method, url, headers=headers, content=body)
            assert answer.is_success, (request.title, answer.status_code, answer.text)
            if request.name:
                values[request.name] = {"response": {"body": answer.json()}}
            if request.name == "form":
                local_run.sign_in(answer.json()["url"])


def filled_in(text: str, values: dict[str, Any]) -> str:
    """The text with the values of its variables."""

    def value(match: re.Match[str]) -> str:
        found: Any = values
        for name in match[1].split("."):
            found = found[name]
        return str(found)

    return VARIABLE.sub(value, text)
