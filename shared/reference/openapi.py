"""The description in OpenAPI 3.1."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.api.event_notification import EventNotification
from shared.api.field_types import IGNORED, AccountId, AppId, RegistrationId
from shared.api.mail.message_fields import MESSAGE_ID, AttachmentId, MessageId
from shared.domain.secret import Secret
from shared.http.bounds import BodyType
from shared.http.operations import Operation, Resource
from shared.http.responses import HTML, JSON, Answer, Error
from shared.reference import confined
from shared.reference.confined_refusals import GRAPH_ERROR_SCHEMAS
from shared.reference.refusals import refusal_example, refusal_statuses

type Part = dict[str, Any]

SCHEMAS = "#/components/schemas/"
FORM = BodyType.FORM.value
INTRODUCTION = (
    "Mailbind binds Microsoft 365 shared mailboxes to people with access to them, keeps their authorization alive, and"
    " hands out short-lived access tokens.\n\n"
    "In requests, booleans and numbers may be strings, and an empty string counts as an absent field: booleans are"
    " `true`, `y` or `1`, and `false`, `n` or `0`. A body without nested objects may also be a form"
    " (`application/x-www-form-urlencoded`)."
)
WHERE = {
    "account": AccountId,
    "app": AppId,
    "registration": RegistrationId,
    "webhook": Annotated[
        str, Meta(description="The id of a webhook, or global.", examples=["0f4cbb21d6a84c1e9b7350e2af618c4d"])
    ],
    "token": Annotated[
        str,
        Meta(
            description="The id of an API token: its SHA-256 in hexadecimal.",
            examples=["47de0b5c19a84f2e6d3370c1b8e5924fa0d6c87b31e92f54780cab16d5e3f029"],
        ),
    ],
    "message": MessageId,
    "attachment": AttachmentId,
    "text": Annotated[str, Meta(description="The id of a text: that of its message.", examples=[MESSAGE_ID])],
}


def openapi(base_url: str, resources: Sequence[Resource]) -> Part:
    """The whole description of these resources, for an app that is at this address."""
    operations = [operation for resource in resources for operation in resource.operations]
    queries = {each.types["query"] for each in operations if "query" in each.types}
    bodies = {each.types["body"] for each in operations if "body" in each.types}
    answers = {each.answer for each in operations if _is_answer(each.answer)}
    _, schemas = msgspec.json.schema_components(
        [*queries, *bodies, *answers, Error, EventNotification],
        schema_hook=_schema_of_secret,
        ref_template=SCHEMAS + "{name}",
    )
    # In one order in every process: the documents' ETags depend on it.
    schemas = {name: _ignored_last(schema) for name, schema in sorted((schemas | GRAPH_ERROR_SCHEMAS).items())}
    paths: Part = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    tags = {resource.tag: resource.about for resource in resources} | {confined.TAG: confined.ABOUT}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mailbind", "version": "1", "description": INTRODUCTION, "license": {"name": "MIT"}},
        "servers": [{"url": base_url}],
        "tags": [{"name": tag, "description": about} for tag, about in tags.items()],
        "paths": paths | confined.paths(),
        "webhooks": {"event": {"post": _event(schemas)}},
        "components": {
            "schemas": {
                name: schema for name, schema in schemas.items() if name not in {query.__name__ for query in queries}
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, or an application's access token from Entra.",
                }
            },
        },
    }


def example(schema: Part, schemas: Part) -> Any:  # noqa: ANN401 - whatever the schema describes
    """What fits the schema: its own example, or one made of those of its parts."""
    if "$ref" in schema:
        return example(schemas[schema["$ref"].removeprefix(SCHEMAS)], schemas)
    if known := schema.get("examples") or schema.get("enum"):
        return known[0]
    if choices := schema.get("anyOf") or schema.get("allOf"):
        return example(choices[0], schemas)
    return _made(schema, schemas)


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
            **{str(status): _refusal(each, status, schemas) for status in refusal_statuses(each)},
        },
    }
    if each.further_scope:
        described["security"] = [{"bearer": [*each.scopes, each.further_scope]}]
    elif each.scopes:
        described["security"] = [{"bearer": [scope]} for scope in each.scopes]
    if "body" in each.types:
        body_type = each.types["body"]
        content = _content({"$ref": SCHEMAS + body_type.__name__}, schemas)
        content["example"] = dict(body_type.example) or content["example"]
        described["requestBody"] = {"content": {JSON: content}, "required": not each.body_optional}
    if each.form:
        texts: Part = {name: {"type": "string", "examples": ["aB3x"]} for name in each.form}
        fields = {"type": "object", "properties": texts}
        described["requestBody"] = {"content": {FORM: {"schema": fields, "example": {each.form[0]: "aB3x"}}}}
    return described


def _event(schemas: Part) -> Part:
    return {
        "operationId": "ReceiveEvent",
        "summary": "Receive an event",
        "description": "What Mailbind posts to the URL of a webhook. An answer of 2xx within 30 seconds accepts it,"
        " and 410 ends the subscription.",
        "tags": ["Events"],
        "parameters": [],
        "requestBody": {
            "content": {JSON: _content({"$ref": f"{SCHEMAS}EventNotification"}, schemas)},
            "required": True,
        },
        "responses": {"200": {"description": "Accepted."}},
    }


def _ignored_last(schema: Part) -> Part:
    """The schema with the fields that have no effect after those that have one."""
    if "properties" not in schema:
        return schema
    fields = sorted(schema["properties"].items(), key=lambda field: field[1].get("description") == IGNORED)
    return {**schema, "properties": dict(fields)}


def _is_answer(answer: object) -> bool:
    return isinstance(answer, type) and issubclass(answer, Answer)


def _schema_of_secret(kind: type) -> Part:
    if kind is Secret:
        return {"type": "string"}
    raise NotImplementedError


def _parameters(each: Operation, schemas: Part) -> Iterable[Part]:
    for name in re.findall(r"{(\w+)}", each.path):
        schema = msgspec.json.schema(WHERE[name])
        about = schema.pop("description")
        yield _parameter("path", name, about, {**schema, "minLength": 1}, schemas, required=True)
    query = each.types.get("query")
    described = schemas[query.__name__] if query else {"properties": {}}
    for name, schema in described["properties"].items():
        about = schema.get("description") or f"Whether to return {name}."
        plain = {word: value for word, value in schema.items() if word != "description"}
        yield _parameter("query", name, about, plain, schemas, required=name in described.get("required", ()))
    for name, kind in each.request_headers.items():
        schema = msgspec.json.schema(kind)
        yield _parameter("header", name, schema.pop("description"), schema, schemas)
    for name in each.queries:
        yield _parameter("query", name, "From the link, or from Entra's answer.", {"type": "string"}, schemas)
    if each.cookie:
        yield _parameter("cookie", each.cookie, "Ties the sign-in to the browser.", {"type": "string"}, schemas)


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
    described = schemas[each.answer.__name__] if _is_answer(each.answer) else {}
    answer: Part = {"description": described.get("description", each.summary)}
    if each.media_type != JSON:
        shown = "<!doctype html>" if each.media_type == HTML else "Subject: Your order"
        answer["content"] = {each.media_type: {"schema": {"type": "string"}, "example": shown}}
    elif _is_answer(each.answer):
        answer["content"] = {JSON: _content({"$ref": SCHEMAS + each.answer.__name__}, schemas)}
    else:
        answer["content"] = {JSON: {"schema": {"type": "object"}, "example": {"info": {"title": "Mailbind"}}}}
    if each.headers:
        answer["headers"] = {
            name: {"description": about, "schema": {"type": "string"}} for name, about in each.headers.items()
        }
    return answer


def _refusal(each: Operation, status: int, schemas: Part) -> Part:
    about = HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": about}
    if each.media_type == HTML:
        return {
            "description": about,
            "content": {each.media_type: {"schema": {"type": "string"}, "example": "<!doctype html>"}},
        }
    if not each.scopes and status == HTTPStatus.SERVICE_UNAVAILABLE:
        schema = {"$ref": SCHEMAS + each.answer.__name__}
        return {
            "description": about,
            "content": {JSON: {"schema": schema, "example": {"success": False, "storage": "storage_unavailable"}}},
        }
    return {
        "description": about,
        "content": {JSON: {"schema": {"$ref": f"{SCHEMAS}Error"}, "example": refusal_example(each, status, schemas)}},
    }


def _content(schema: Part, schemas: Part) -> Part:
    return {"schema": schema, "example": example(schema, schemas)}
