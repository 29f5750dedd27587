"""Both descriptions say what the app does: no more, no less."""

import json
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import httpx
import jsonschema_rs
import openapi_spec_validator
import pytest

from infra.local.environment import Environment
from infra.local.parts import ROOT
from shared.domain.caller import Scope
from shared.domain.confined.operations import OPERATIONS as TABLE
from shared.domain.confined.paths import match_path
from shared.domain.confined.queries import checked_options
from shared.http.responses import JSON
from shared.reference import confined
from shared.reference.components import with_components
from shared.reference.documents import RESOURCES
from shared.reference.swagger import swagger
from tests.app_routes import operations
from tests.conftest import settings_for
from tests.described import DOCUMENT
from tests.journey.test_callers import ROWS

OLD = swagger(DOCUMENT)
KINDS = ("parameters", "responses")
OPERATIONS = [operation for resource in RESOURCES for operation in resource.operations]
EACH = [pytest.param(one, id=one["operationId"]) for methods in DOCUMENT["paths"].values() for one in methods.values()]
OF_RESOURCES = [
    pytest.param(one, id=one["operationId"])
    for methods in DOCUMENT["paths"].values()
    for one in methods.values()
    if confined.TAG not in one["tags"]
]


def test_routes_are_those_of_the_app() -> None:
    assert {*operations()} == {f"{each.method} {each.path[1:]}" for each in OPERATIONS}


def test_document_is_the_same_in_every_process() -> None:
    """Its ETag depends on every byte."""
    code = "from tests.described import DOCUMENT; import json; print(json.dumps(DOCUMENT))"
    command = [sys.executable, "-c", code]
    first, second = (
        subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout  # noqa: S603 - Python
        for seed in ("1", "2")
    )

    assert first == second
    assert first.startswith(b"{")


def test_components_repeat_nothing_and_lose_nothing() -> None:
    served = with_components(DOCUMENT)
    components = served["components"]
    occurrences = Counter(
        json.dumps(part)
        for methods in served["paths"].values()
        for one in methods.values()
        for part in (*one["parameters"], *one["responses"].values())
        if "$ref" not in part
    )
    referenced = {json.dumps(part) for kind in KINDS for part in components[kind].values()}
    assert {1} == set(occurrences.values())
    assert not referenced & occurrences.keys()

    def whole(part: dict[str, Any]) -> Any:
        kind, _, name = part.get("$ref", "").removeprefix("#/components/").partition("/")
        return components[kind][name] if name else part

    for methods in served["paths"].values():
        for one in methods.values():
            one["parameters"] = [whole(part) for part in one["parameters"]]
            one["responses"] = {status: whole(part) for status, part in one["responses"].items()}
    assert DOCUMENT["paths"] == served["paths"]


def test_scopes_are_those_that_open_each_route() -> None:
    declared = {
        f"{each.method} {each.path[1:]}": (
            {*each.scopes, *filter(None, [each.further_scope])},
            bool(each.further_scope),
        )
        for each in OPERATIONS
        if each.scopes
    }

    tested = {route: (row.scopes - {Scope.ADMIN} or {Scope.ADMIN}, row.all_of) for route, row in ROWS.items()}
    assert tested == declared


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_descriptions_fit_their_specifications() -> None:
    openapi_spec_validator.validate(DOCUMENT)
    openapi_spec_validator.validate(with_components(DOCUMENT))
    openapi_spec_validator.validate(OLD)


def test_the_app_serves_both_and_they_may_be_cached(environment: Environment) -> None:
    with httpx.Client(base_url=environment.base_url) as anybody:
        new, old = anybody.get("/openapi.json"), anybody.get("/swagger.json")

    here = {**DOCUMENT, "servers": [{"url": environment.base_url}]}
    assert with_components(here) == new.json()
    assert swagger(here) == old.json()
    assert "public, max-age=300" == new.headers["cache-control"] == old.headers["cache-control"]


def test_the_older_one_has_one_type_for_each_thing() -> None:
    """Power Platform takes neither several types nor choices between schemas."""
    odd = [part for part in parts_of(OLD) if {"anyOf", "oneOf"} & set(part) or isinstance(part.get("type"), list)]

    assert [] == odd


def test_the_older_one_has_every_description_of_a_field() -> None:
    described = {
        (name, field): part["description"]
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, part in schema.get("properties", {}).items()
        if "description" in part
    }

    assert described == {
        (name, field): OLD["definitions"][name]["properties"][field].get("description") for name, field in described
    }


@pytest.mark.parametrize("one", EACH)
def test_an_operation_is_told_in_words_and_by_examples_that_fit(one: dict[str, Any]) -> None:
    contents = [content for answer in one["responses"].values() for content in answer.get("content", {}).values()]
    contents += one.get("requestBody", {}).get("content", {}).values()

    assert re.fullmatch(r"[A-Z][A-Za-z]+", one["operationId"])
    assert one["summary"]
    assert one["description"].endswith(".")
    assert all(parameter["description"] and "example" in parameter for parameter in one["parameters"])
    assert contents
    for content in contents:
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        assert jsonschema_rs.Draft202012Validator(schema).is_valid(content["example"]), content["example"]


@pytest.mark.parametrize("one", OF_RESOURCES)
def test_an_error_is_one_of_its_operation(one: dict[str, Any]) -> None:
    body = one.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {}).get("$ref", "")
    fields = DOCUMENT["components"]["schemas"].get(body.rpartition("/")[2], {}).get("properties", {})
    names = {*fields, *(parameter["name"] for parameter in one["parameters"])}
    scopes = {scope for each in one.get("security", ()) for scope in each["bearer"]}
    examples = {
        status: answer["content"][JSON]["example"]
        for status, answer in one["responses"].items()
        if JSON in answer.get("content", {})
    }

    if "400" in examples:
        assert set() < {field["key"] for field in examples["400"]["fields"]} <= names
    if "requestedScope" in examples.get("403", {}):
        assert examples["403"]["requestedScope"] in scopes


def test_confined_examples_pass_the_checks_of_their_rows() -> None:
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, one in methods.items():
            if confined.TAG not in one["tags"] or one["operationId"] == "MakeBatch":
                continue
            examples = {each["name"]: each["example"] for each in one["parameters"]}
            matched = match_path(method.upper(), path.removeprefix("/v1.0/").format(**examples))
            options = [each["name"] for each in one["parameters"] if each["in"] == "query"]
            texts = {name: str(examples[name]).lower() for name in options}
            assert len(options) == len(checked_options(matched.operation, texts))
            assert [{"bearer": [matched.operation.scope]}] == one["security"]
            assert matched.operation.about == one["summary"]
            found.append(matched.operation.name)

    assert sorted(found) == sorted(row.name for row in TABLE)


def test_refusals_look_alike() -> None:
    refusals = [
        (path, status)
        for path, methods in DOCUMENT["paths"].items()
        for one in methods.values()
        for status, answer in one["responses"].items()
        if path.startswith("/v1/") and int(status) >= 400
        if answer["content"][JSON]["schema"] != {"$ref": "#/components/schemas/Error"}
    ]

    assert [] == refusals


def test_starting_the_app_loads_no_description() -> None:
    code = "import function_app, sys; print({*sys.modules} & {f'shared.reference.{n}' for n in ('openapi', 'swagger')})"

    assert "set()" == printed_by(code)


def test_the_reference_page_asks_nobody_else_and_runs_nothing(environment: Environment) -> None:
    page = httpx.get(f"{environment.base_url}/docs")

    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert [] == re.findall(r"<(?:script|img|link|iframe)|src=|url\(|@import", page.text)
    targets, ids = (set(re.findall(rf'{name}="#?([\w-]+)"', page.text)) for name in ("href", "id"))
    assert {"ReceiveEvent", *(each.name for each in OPERATIONS)} <= ids
    assert targets <= ids
    assert 1 == page.text.count("<h1")


def parts_of(node: object) -> list[dict[str, Any]]:
    """Every object in a document that is a schema or holds some."""
    if isinstance(node, list):
        return [part for one in node for part in parts_of(one)]
    if isinstance(node, dict):
        return [node, *(part for one in node.values() for part in parts_of(one))]
    return []


def printed_by(code: str) -> str:
    settings = settings_for("UseDevelopmentStorage=true")
    return subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", code], check=True, cwd=ROOT, env=settings, capture_output=True, text=True
    ).stdout.strip()
