"""The connector follows the rules that Microsoft publishes.

https://learn.microsoft.com/connectors/custom-connectors/certification-submission
https://learn.microsoft.com/connectors/custom-connectors/coding-standards
https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions
"""

import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest

from infra.connector.__main__ import build
from infra.connector.definition import ACTIONS, TRIGGERS, definition
from shared.api.field_types import IGNORED
from tests.described import DOCUMENT

DEFINITION = definition("https://mailbind.example")
OPERATIONS = {
    operation["operationId"]: operation
    for methods in DEFINITION["paths"].values()
    for method, operation in methods.items()
    if not method.startswith("x-")
}
VISIBILITY = {"important", "advanced", "internal"}
TITLE = re.compile(r"[A-Z][A-Za-z0-9]*( [A-Z][A-Za-z0-9]*)*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    connector = tmp_path_factory.mktemp("connector")
    build(connector, "https://mailbind.example")
    return connector


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_definition_is_openapi_2_and_small_enough(folder: Path) -> None:
    file = folder / "apiDefinition.swagger.json"

    openapi_spec_validator.validate(json.loads(file.read_text()))
    assert file.stat().st_size < 1_000_000


def test_definition_has_actions_triggers_and_unsubscribe() -> None:
    assert {*ACTIONS, *TRIGGERS, "RemoveWebhook"} == set(OPERATIONS)
    assert "internal" == OPERATIONS["RemoveWebhook"]["x-ms-visibility"]


def test_title_follows_the_certification_rules() -> None:
    info = DEFINITION["info"]

    assert not re.search(r"\b(API|Connector|Power|Copilot)\b", info["title"])
    assert 30 <= len(info["description"]) <= 500
    assert {"name", "url"} <= set(info["contact"])
    metadata = {entry["propertyName"] for entry in DEFINITION["x-ms-connector-metadata"]}
    assert {"Website", "Privacy policy", "Categories"} == metadata


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_describes_parameters_and_responses(name: str) -> None:
    operation = OPERATIONS[name]

    assert re.fullmatch(r"[A-Z][A-Za-z]+", name)
    assert len(operation["summary"]) <= 80
    assert not operation["summary"].endswith(".")
    assert operation["description"].endswith(".")
    assert operation["description"] != operation["summary"]
    assert operation["x-ms-visibility"] in VISIBILITY
    for parameter in operation["parameters"]:
        assert parameter["description"]
        assert TITLE.fullmatch(parameter["x-ms-summary"]), parameter["name"]
        assert parameter["in"] != "path" or parameter["required"]
        assert parameter["in"] != "path" or parameter["x-ms-url-encoding"] == "single"
    responses = operation["responses"]
    assert 1 == len([status for status in responses if status < "300"])
    assert all(response["description"] and "schema" in response for response in responses.values())


def test_every_field_has_title_description_and_visibility() -> None:
    fields = [(name, field) for schema in schemas(DEFINITION) for name, field in schema.get("properties", {}).items()]

    assert len(fields) > 50
    for name, field in fields:
        assert TITLE.fullmatch(field["x-ms-summary"]), name
        assert field["description"], name
        assert field["x-ms-visibility"] in VISIBILITY
        assert field["x-ms-visibility"] != "internal" or {"default", "x-ms-notification-url"} & set(field)


def test_field_that_refers_to_another_type_has_what_is_in_it() -> None:
    """Designers of flows offer nothing below an `allOf`, and put a schema's title before the names of its fields."""
    fields = [field for part in objects(DEFINITION["definitions"]) for field in part.get("properties", {}).values()]

    assert [] == [field for field in fields if {"allOf", "$ref", "title"} & set(field)]
    assert [] == [name for name, one in DEFINITION["definitions"].items() if "title" in one]
    notification = DEFINITION["definitions"]["EventNotification"]["properties"]
    assert {"response", "action", "user"} <= set(notification["data"]["properties"])


def test_form_is_for_a_shared_mailbox_by_default() -> None:
    form = DEFINITION["definitions"]["RegistrationForm"]
    fields = form["properties"]

    assert {"email", "delegated", "redirectUrl"} == set(form["required"])
    assert ["email", "delegated", "expectedEmail", "redirectUrl"] == [
        name for name, field in fields.items() if field["x-ms-visibility"] == "important"
    ]
    assert True is fields["delegated"]["default"]
    assert "mailboxes" not in fields


def test_texts_are_for_makers_of_flows() -> None:
    described = [part for part in objects(DEFINITION) if isinstance(part.get("description"), str)]

    assert [] == [part["description"] for part in described if "Scope:" in part["description"]]
    assert [] == [part["description"] for part in described if part["description"] == f"{part.get('x-ms-summary')}."]
    (states,) = (one["enum"] for one in OPERATIONS["ListAccounts"]["parameters"] if one["name"] == "state")
    assert ["connected", "authenticationError", "connectError", "paused"] == states


def test_connection_asks_for_the_token_alone(folder: Path) -> None:
    properties = json.loads((folder / "apiProperties.json").read_text())["properties"]
    policy = properties["policyTemplateInstances"][1]

    assert "Bearer" not in json.dumps(properties["connectionParameters"])
    assert "setheader" == policy["templateId"]
    assert {
        "x-ms-apimTemplateParameter.name": DEFINITION["securityDefinitions"]["api_key"]["name"],
        "x-ms-apimTemplateParameter.value": "Bearer @connectionParameters('api_key')",
        "x-ms-apimTemplateParameter.existsAction": "override",
        "x-ms-apimTemplate-policySection": "Request",
    } == policy["parameters"]


def test_fields_without_effect_are_not_shown() -> None:
    assert IGNORED not in json.dumps(DEFINITION)


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_has_a_callback_and_a_notification_schema(name: str) -> None:
    path = TRIGGERS[name][0]
    operation = DEFINITION["paths"][path]["post"]
    notification = DEFINITION["paths"][path]["x-ms-notification-content"]
    fields = operation["parameters"][0]["schema"]["properties"]

    assert "single" == operation["x-ms-trigger"]
    assert operation["x-ms-trigger-hint"]
    assert ["url"] == [name for name, field in fields.items() if field.get("x-ms-notification-url")]
    assert "201" in operation["responses"]
    assert "Location" in operation["responses"]["201"]["headers"]
    assert {"description", "schema"} == set(notification)
    assert set(DOCUMENT["components"]["schemas"]["EventNotification"]["properties"]) == set(
        DEFINITION["definitions"]["EventNotification"]["properties"]
    )


def test_accounts_are_picked_from_a_list() -> None:
    pickers = [part["x-ms-dynamic-values"] for part in objects(DEFINITION) if "x-ms-dynamic-values" in part]
    response = OPERATIONS["ListAccounts"]["responses"]["200"]["schema"]["$ref"].rpartition("/")[2]
    fields = DEFINITION["definitions"][response]["properties"]
    item = fields["accounts"]["items"]["$ref"].rpartition("/")[2]

    assert 6 == len(pickers)
    for picker in pickers:
        assert picker["operationId"] in OPERATIONS
        assert picker["value-collection"] in fields
        assert {picker["value-path"], picker["value-title"]} <= set(DEFINITION["definitions"][item]["properties"])


def test_definition_uses_only_supported_keywords() -> None:
    unsupported = [part for part in objects(DEFINITION) if {"anyOf", "oneOf", "const"} & set(part)]

    assert [] == unsupported
    assert {"api_key"} == set(DEFINITION["securityDefinitions"])


@pytest.mark.parametrize("file", ["apiProperties.json", "apiProperties.entra.json"])
def test_properties_follow_the_published_rules(folder: Path, file: str) -> None:
    properties = json.loads((folder / file).read_text())["properties"]
    policy = properties["policyTemplateInstances"][0]["parameters"]

    assert re.fullmatch("#[0-9a-f]{6}", properties["iconBrandColor"])
    assert properties["iconBrandColor"] not in {"#007ee5", "#ffffff"}
    assert {"connectionParameters", "capabilities", "publisher", "stackOwner"} <= set(properties)
    assert [*TRIGGERS] == policy["x-ms-apimTemplate-operationName"]
    if file == "apiProperties.json":
        assert {*properties["connectionParameters"]} == {*DEFINITION["securityDefinitions"]}
        assert "securestring" == properties["connectionParameters"]["api_key"]["type"]
    else:
        assert "aad" == properties["connectionParameters"]["token"]["oAuthSettings"]["identityProvider"]


def test_icon_is_a_square_png_in_the_brand_colour(folder: Path) -> None:
    png = (folder / "icon.png").read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    length = int.from_bytes(png[33:37])
    pixels = zlib.decompress(png[41 : 41 + length])

    assert 100 <= width == height <= 230
    assert bytes.fromhex("0b57a4") == pixels[1:4]


def objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from objects(item)
    elif isinstance(node, dict):
        yield node
        for value in node.values():
            yield from objects(value)


def schemas(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from definition["definitions"].values()
    for operation in OPERATIONS.values():
        yield from (parameter["schema"] for parameter in operation["parameters"] if parameter["in"] == "body")
