"""The description in OpenAPI 3.1."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from shared.triggers.description.answers import Error
from shared.triggers.description.operation import Operation, refusal
from shared.triggers.description.operations import OPERATIONS, TAGS
from shared.triggers.description.settings_answers import EventNotification
from shared.triggers.description.words import AccountId, AppId, RegistrationId

type Part = dict[str, Any]

SCHEMAS = "#/components/schemas/"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
INTRODUCTION = (
    "Mailbind binds Microsoft 365 shared mailboxes to the people who may open them, keeps that authorization alive, and"
    " hands out short-lived access tokens. Where a boolean is taken, true, y and 1, or false, n and 0 will do, also as"
    " texts; an empty text counts as absent."
)
WHERE = {
    "account": AccountId,
    "app": AppId,
    "registration": RegistrationId,
    "webhook": str,
    "token": str,
}
ABOUT = {"webhook": "The id of a webhook, or global.", "token": "The id of an API token: its SHA-256 in hexadecimal."}


def openapi(base_url: str) -> Part:
    """The whole description, for an app that is at this address."""
    asked = [one for each in OPERATIONS for one in (each.body, each.query, each.answer) if one not in (None, dict)]
    _, schemas = msgspec.json.schema_components([*asked, Error, EventNotification], ref_template=SCHEMAS + "{name}")
    queries = {each.query.__name__ for each in OPERATIONS if each.query}
    paths: Part = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    hook = {"content": {JSON: _content({"$ref": f"{SCHEMAS}EventNotification"}, schemas)}, "required": True}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mailbind", "version": "1", "description": INTRODUCTION, "license": {"name": "MIT"}},
        "servers": [{"url": base_url}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "webhooks": {
            "event": {
                "post": {
                    "operationId": "ReceiveEvent",
                    "summary": "Receive an event",
                    "tags": ["Events"],
                    "requestBody": hook,
                    "responses": {"200": {"description": "Taken."}},
                }
            }
        },
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in queries},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, or an access token of Entra's for an application.",
                }
            },
        },
    }


def example(schema: Part, schemas: Part) -> Any:  # noqa: ANN401 - whatever the schema describes
    """What fits the schema: its own example, or one made of those of its parts."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].removeprefix(SCHEMAS)], schemas)
    if choices := schema.get("anyOf") or schema.get("allOf"):
        return example(choices[0], schemas)
    known = schema.get("examples") or schema.get("enum")
    return known[0] if known else _made(schema, schemas)


def _made(schema: Part, schemas: Part) -> Any:  # noqa: ANN401 - as above
    match schema.get("type"):
        case "object":
            inner = schema.get("properties", {})
            needed = schema.get("required") or list(inner)[:1]
            return {name: example(part, schemas) for name, part in inner.items() if name in needed}
        case "array":
            return [example(schema.get("items", {}), schemas)]
        case kind:
            return {"boolean": True, "integer": 0, "number": 0}.get(str(kind), "text")


def _operation(each: Operation, schemas: Part) -> Part:
    described: Part = {
        "operationId": each.name,
        "summary": each.summary,
        "description": each.description,
        "tags": [each.tag],
        "parameters": list(_parameters(each, schemas)),
        "responses": {
            str(each.status): _answer(each, schemas),
            **{str(status): _refusal(each, status) for status in each.refusals},
        },
    }
    if each.scopes:
        words = [scope.value for scope in each.scopes]
        described |= {"security": [{"bearer": words}] if each.all_of else [{"bearer": [word]} for word in words]}
    if each.body:
        schema = {"$ref": SCHEMAS + each.body.__name__}
        described["requestBody"] = {"content": {JSON: _content(schema, schemas)}, "required": each.body_needed}
    if each.form:
        texts: Part = {name: {"type": "string", "examples": ["aB3x"]} for name in each.form}
        fields = {"type": "object", "properties": texts}
        described["requestBody"] = {"content": {FORM: {"schema": fields, "example": {each.form[0]: "aB3x"}}}}
    return described


def _parameters(each: Operation, schemas: Part) -> Iterable[Part]:
    for name in re.findall(r"{(\w+)}", each.path):
        schema = msgspec.json.schema(WHERE[name])
        about = schema.pop("description", None) or ABOUT[name]
        yield _parameter("path", name, about, {**schema, "minLength": 1}, schemas, required=True)
    for name, schema in (schemas[each.query.__name__]["properties"] if each.query else {}).items():
        about = schema.get("description") or f"Whether to tell {name}."
        plain = {word: value for word, value in schema.items() if word != "description"}
        yield _parameter("query", name, about, plain, schemas)
    for name in each.queries:
        yield _parameter("query", name, "Of the link, or of Entra's answer.", {"type": "string"}, schemas)
    if each.cookie:
        yield _parameter("cookie", each.cookie, "The browser's own.", {"type": "string"}, schemas)


def _parameter(where: str, name: str, about: str, schema: Part, schemas: Part, *, required: bool = False) -> Part:
    if "allOf" in schema:
        schema = schema["allOf"][0]
    if "$ref" in schema:  # OpenAPI 2.0 takes none here
        schema = schemas[schema["$ref"].removeprefix(SCHEMAS)]
        schema = {word: value for word, value in schema.items() if word not in {"title", "description"}}
    shown = example(schema, schemas)
    return {
        "in": where,
        "name": name,
        "description": about,
        "required": required,
        "schema": schema,
        "example": shown,
    }


def _answer(each: Operation, schemas: Part) -> Part:
    answer: Part = {"description": each.summary}
    if each.kind != JSON:
        answer["content"] = {each.kind: {"schema": {"type": "string"}, "example": "<!doctype html>"}}
    elif each.answer is dict:
        answer["content"] = {JSON: {"schema": {"type": "object"}, "example": {"info": {"title": "Mailbind"}}}}
    elif each.answer:
        answer["content"] = {JSON: _content({"$ref": SCHEMAS + each.answer.__name__}, schemas)}
    if each.headers:
        answer["headers"] = {
            name: {"description": about, "schema": {"type": "string"}} for name, about in each.headers.items()
        }
    return answer


def _refusal(each: Operation, status: int) -> Part:
    about = HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": about}
    if each.kind != JSON:
        return {
            "description": about,
            "content": {each.kind: {"schema": {"type": "string"}, "example": "<!doctype html>"}},
        }
    if each.answer and not each.scopes and status == HTTPStatus.SERVICE_UNAVAILABLE:
        schema = {"$ref": SCHEMAS + each.answer.__name__}
        return {
            "description": about,
            "content": {JSON: {"schema": schema, "example": {"success": False, "storage": "storage_unavailable"}}},
        }
    return {
        "description": about,
        "content": {JSON: {"schema": {"$ref": f"{SCHEMAS}Error"}, "example": refusal(status)}},
    }


def _content(schema: Part, schemas: Part) -> Part:
    return {"schema": schema, "example": example(schema, schemas)}
