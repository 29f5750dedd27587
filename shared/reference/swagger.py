"""The description in OpenAPI 2.0, which is what Power Platform reads."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.http.responses import JSON
from shared.reference.openapi import FORM, SCHEMAS

type Part = dict[str, Any]

DEFINITIONS = "#/definitions/"
FORMATS = {"date-time", "email", "uri"}  # those that the version or its readers know


def swagger(openapi: Part) -> Part:
    """The same operations and shapes; cookies and what callers receive cannot be said in it."""
    base = urlsplit(openapi["servers"][0]["url"])
    schemas = openapi["components"]["schemas"]
    bearer = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Bearer, a space, and an API token or an application's access token from Entra.",
    }
    return {
        "swagger": "2.0",
        "info": openapi["info"],
        "host": base.netloc,
        "basePath": base.path or "/",
        "schemes": [base.scheme],
        "consumes": [JSON],
        "produces": [JSON],
        "tags": openapi["tags"],
        "paths": {
            path: {method: _operation(one) for method, one in methods.items()}
            for path, methods in openapi["paths"].items()
        },
        "definitions": {name: plain(schema) for name, schema in schemas.items()},
        "securityDefinitions": {"bearer": bearer},
    }


def plain(schema: Part) -> Part:
    """A schema in the words of OpenAPI 2.0: one type each, what may be null marked by x-nullable."""
    if "$ref" in schema:
        reference = {"$ref": schema["$ref"].replace(SCHEMAS, DEFINITIONS)}
        beside = {word: value for word, value in schema.items() if word != "$ref"}
        return {"allOf": [reference], **plain(beside)} if beside else reference  # nothing may stand beside a $ref
    if "anyOf" in schema:
        return _one_of(schema)
    made = dict(_word(word, value) for word, value in schema.items())
    made = {word: value for word, value in made.items() if value != [] and (word != "format" or value in FORMATS)}
    if made.get("type") == "array":
        made.setdefault("items", {})  # this version asks for them
    return {"type": "string", **made} if "enum" in made else made


def _one_of(schema: Part) -> Part:
    first, *others = schema["anyOf"]
    nullable = {"x-nullable": True} if {"type": "null"} in others else {}
    own = plain({word: value for word, value in schema.items() if word != "anyOf"})
    if len(others) > len(nullable):
        return own  # several types: without any, all are let through
    kind = plain(first)
    return {**({"allOf": [kind]} if "$ref" in kind else kind), **own, **nullable}


def _word(word: str, value: Any) -> tuple[str, Any]:  # noqa: ANN401 - whatever a word of a schema holds
    match word, value:
        case "properties", _:
            return word, {name: plain(one) for name, one in value.items()}
        case (("items" | "additionalProperties"), Mapping()):
            return word, plain(dict(value))
        case "allOf", _:
            return word, [plain(one) for one in value]
        case "examples", _:
            return "example", value[0]
        case _:
            return word, value


def _operation(one: Part) -> Part:
    made = {word: value for word, value in one.items() if word not in {"parameters", "requestBody", "responses"}}
    made["parameters"] = [*_parameters(one)]
    if "security" in one:
        # Scopes are for OAuth 2 only in this version, so they are told in words.
        words = " or ".join(" and ".join(each["bearer"]) for each in one["security"])
        made |= {"description": f"{one['description']} Scope: {words}.", "security": [{"bearer": []}]}
    made["responses"] = {status: _answer(answer) for status, answer in one["responses"].items()}
    kinds = {kind for answer in one["responses"].values() for kind in answer.get("content", ())}
    if kinds - {JSON}:
        made["produces"] = sorted(kinds)
    if FORM in one.get("requestBody", {}).get("content", {}):
        made["consumes"] = [FORM]
    return made


def _parameters(one: Part) -> Iterable[Part]:
    for parameter in one["parameters"]:
        if parameter["in"] == "cookie":
            continue
        schema = plain(parameter["schema"])
        kept = {word: parameter[word] for word in ("in", "name", "description", "required")}
        yield {**kept, **{word: value for word, value in schema.items() if word not in {"example", "title"}}}
    for kind, content in one.get("requestBody", {}).get("content", {}).items():
        if kind == JSON:
            about = {"in": "body", "name": "body", "description": "The request."}
            yield {**about, "required": one["requestBody"]["required"], "schema": plain(content["schema"])}
        else:
            for name in content["schema"]["properties"]:
                yield {"in": "formData", "name": name, "description": "A field of the page's form.", "type": "string"}


def _answer(answer: Part) -> Part:
    made: Part = {"description": answer["description"]}
    for kind, content in answer.get("content", {}).items():
        made |= {"schema": plain(content["schema"]), "examples": {kind: content["example"]}}
    if "headers" in answer:
        made["headers"] = {
            name: {"type": "string", "description": header["description"]} for name, header in answer["headers"].items()
        }
    return made
