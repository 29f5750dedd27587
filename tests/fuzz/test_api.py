"""Every route with what fits its description and with what does not: no 5xx, no way in, no leak."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET

from infra.local.environment import APP_ID, Environment
from infra.local.visitor import Visitor
from shared.domain.caller import Scope
from shared.reference import confined
from shared.reference.swagger import swagger
from tests.app_routes import operations
from tests.described import DOCUMENT, hold
from tests.fuzz.conftest import EXAMPLES, FUZZED, REQUESTS
from tests.fuzz.hints import OTHER, OWN, SECRET, hinted
from tests.journey.conftest import bind

type Case = schemathesis.Case[Any]

NEW, OLD = hinted(DOCUMENT), hinted(swagger(DOCUMENT))
PATHS = DOCUMENT["paths"]
# Both descriptions are gone through; neither needs all callers.
SCHEMAS = {
    "administrator": schemathesis.openapi.from_dict(NEW),
    "bound": schemathesis.openapi.from_dict(OLD),
    "nobody": schemathesis.openapi.from_dict(NEW),
}
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, methods in PATHS.items()
    for method, one in methods.items()
    if confined.TAG not in one["tags"]
]
CONFINED = [
    (method, path) for path, methods in PATHS.items() for method, one in methods.items() if confined.TAG in one["tags"]
]
CALLERS = ("administrator", "bound", "nobody")
WORDS = json.dumps([NEW, OLD])
LONG = 12  # a shorter value may stand in an answer by chance


@pytest.fixture(scope="module")
def tokens(environment: Environment) -> dict[str, str | None]:
    admin = environment.secrets.admin_token
    wish = {"description": "fuzzing", "scopes": [*set(Scope) - {Scope.ADMIN}], "account": OWN}
    issued = httpx.post(f"{environment.base_url}/v1/token", json=wish, headers={"Authorization": f"Bearer {admin}"})
    return {"administrator": admin, "bound": issued.json()["token"], "nobody": None}


@pytest.fixture
def accounts(api: httpx.Client, visitor: Visitor, person: Callable[..., str]) -> dict[str, dict[str, Any]]:
    """Both accounts, bound; what the administrator's run deletes is bound again."""
    for account in (OWN, OTHER):
        if api.get(f"/v1/account/{account}").status_code == 404:
            bind(api, visitor, person(), account=account, type=APP_ID)
            visitor.cookies.clear()
    return {account: api.get(f"/v1/account/{account}").json() for account in (OWN, OTHER)}


@contextmanager
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


def test_every_route_of_the_app_is_described() -> None:
    assert {one.replace(" ", " /") for one in operations()} == set(OPERATIONS)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_is_sent_is_answered_as_described(
    environment: Environment,
    api: httpx.Client,
    tokens: dict[str, str | None],
    accounts: dict[str, dict[str, Any]],
    operation: str,
    caller: str,
) -> None:
    method, path = operation.split(" ")
    token = tokens[caller]
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    with session() as client:

        @FUZZED
        @given(case=cases(caller, path, method))
        def send(case: Case) -> None:
            answer = case.call(environment.base_url, client, headers, timeout=60)
            REQUESTS[f"{operation} {caller} {answer.status_code}"] += 1
            check(case, answer, caller, token)

        send()

    reached = {"administrator": set(), "bound": {OTHER}, "nobody": {OWN, OTHER}}[caller]
    assert [] == [one for one in reached if changed(accounts[one], api.get(f"/v1/account/{one}").json())]


@pytest.mark.parametrize("caller", CALLERS)
def test_whatever_is_sent_to_a_mailbox_is_answered_as_described(
    environment: Environment,
    tokens: dict[str, str | None],
    accounts: dict[str, dict[str, Any]],
    caller: str,
) -> None:
    """The operations are drawn too: they pass through the same code, so they need no test each."""
    token = tokens[caller]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    assert {OWN, OTHER} == set(accounts)

    with session() as client:

        @settings(FUZZED, max_examples=5 * EXAMPLES)
        @given(data=st.data())
        def send(data: st.DataObject) -> None:
            method, path = data.draw(st.sampled_from(CONFINED))
            case = data.draw(cases(caller, path, method))
            answer = case.call(environment.base_url, client, headers, timeout=60)
            REQUESTS[f"confined {method} {caller} {answer.status_code}"] += 1
            check(case, answer, caller, token)

        send()


def cases(caller: str, path: str, method: str) -> st.SearchStrategy[Case]:
    operation = SCHEMAS[caller][path][method]
    fitting = operation.as_strategy(GenerationMode.POSITIVE)
    if not PATHS[path][method.lower()]["parameters"] and "requestBody" not in PATHS[path][method.lower()]:
        return fitting  # there is nothing that could fail to fit
    return fitting | operation.as_strategy(GenerationMode.NEGATIVE)


def check(case: Case, answer: schemathesis.Response, caller: str, token: str | None) -> None:
    status, text = answer.status_code, answer.text
    if status == 404 and not text and case.path_parameters:
        return  # a path that is no route of ours any more, such as one with "..": the platform answers
    if status == 414 and not text and len(answer.request.url or "") > 8000:
        return  # longer than the platform's web server takes: 8,192 bytes with the method (Kestrel, MaxRequestLineSize)
    hold(case.operation.path, case.method, status, text)
    assert status < 500, text
    public = case.operation.path in {"/openapi.json", "/swagger.json", "/docs"}
    assert ["public, max-age=300" if public else "no-store"] == answer.headers["cache-control"]
    assert status == 303 or ["nosniff"] == answer.headers["x-content-type-options"]
    assert [] == [value for value in secrets_of(case, token) if value in text]
    if case.operation.path.startswith("/v1/"):
        check_api(case, answer, caller)
    if case.operation.path.startswith("/v1.0/"):
        assert caller != "nobody" or status in {401, 429}


def check_api(case: Case, answer: schemathesis.Response, caller: str) -> None:
    status, body = answer.status_code, answer.json()
    if status >= 400:
        assert {"statusCode", "error", "message", "code"} <= set(body)
        assert status == body["statusCode"]
        assert [] == [value for value in values_of(case) if value in answer.text]
    if caller == "nobody":
        assert status in {401, 429}
    if caller == "bound" and status == 200:
        assert OTHER not in answer.text
        named = (case.path_parameters or {}).get("account", OWN)
        assert OWN == str(named).strip().lower()


def secrets_of(case: Case, token: str | None) -> list[str]:
    """What was sent where secrets are sent, and is long enough not to be in the answer by chance."""
    body = case.body if isinstance(case.body, dict) else {}
    sent = {**(case.query or {}), **(case.cookies or {}), **body}
    values = [str(value) for name, value in sent.items() if name in SECRET]
    return [value for value in [*values, token or ""] if len(value) >= LONG and value not in WORDS]


def values_of(case: Case) -> list[str]:
    """Text that was sent as a value, but for the words of the description."""
    sent = [*leaves(case.query), *leaves(None if case.body is NOT_SET else case.body)]
    return [value for value in sent if len(value) >= LONG and value not in WORDS]


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)


def changed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether an account is another one than it was, but for when its grant was last used or renewed."""
    same = ("account", "name", "email", "user", "created", "registration", "state")
    return any(before[name] != after.get(name) for name in same)
