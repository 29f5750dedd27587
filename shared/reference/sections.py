"""The description as the reference page shows it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from shared.api.field_types import IGNORED
from shared.http.refusals import status_of
from shared.http.responses import JSON
from shared.reference.confined_refusals import GRAPH_ERROR, PART_REFUSALS, REFUSALS
from shared.reference.openapi import FORM, SCHEMAS, Part
from shared.reference.refusals import SHARED

ERROR = {"$ref": f"{SCHEMAS}Error"}


@dataclass(frozen=True, slots=True)
class Row:
    """A field: its name, type, whether a request has to have it, and what it is."""

    name: str
    kind: str
    required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an object, the required ones first. `ignored` names those that have no effect."""

    rows: list[Row]
    ignored: list[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """One operation: its parameters, what is sent with an example of it, what is answered, and its own errors."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    scopes: str
    parameters: list[Row]
    sent: Fields
    example: str | None
    status: str
    answer_about: str
    answer: str | None
    answered: Fields
    errors: list[tuple[str, str, str | None]]


def sections(openapi: Part) -> dict[str, Any]:
    """Operations by tag, the errors that they have in common, and the types that fields refer to."""
    schemas = openapi["components"]["schemas"]
    base = openapi["servers"][0]["url"]
    shown: dict[str, list[Shown]] = {tag["name"]: [] for tag in openapi["tags"]}
    for path, methods in openapi["paths"].items():
        for method, one in methods.items():
            curl = None if FORM in one.get("requestBody", {}).get("content", {}) else _curl(base, method, path, one)
            shown[one["tags"][0]].append(_shown((method, path), one, schemas, curl))
    for methods in openapi["webhooks"].values():
        for method, one in methods.items():
            shown[one["tags"][0]].append(_shown((method, "your URL"), one, schemas, _written(_body(one))))
    return {
        "tags": openapi["tags"],
        "operations": shown,
        "errors": [(status, HTTPStatus(status).phrase, error) for status, error in SHARED.items()],
        "graph_errors": [
            (int(status), status.phrase, error)
            for error in sorted((*REFUSALS, *PART_REFUSALS), key=status_of)
            for status in [status_of(error)]
        ],
        "types": {
            name: (schema.get("description", ""), _fields(schema), ", ".join(map(str, schema.get("enum", ()))))
            for name, schema in schemas.items()
            if name in {"Error", "GraphError", *_field_kinds(schemas)}
        },
    }


def _field_kinds(schemas: Part) -> set[str]:
    """The words of the kinds of all fields. The other types are bodies and answers, and shown with their operations."""
    return {word for schema in schemas.values() for row in _fields(schema).rows for word in row.kind.split()}


def _shown(call: tuple[str, str], one: Part, schemas: Part, example: str | None) -> Shown:
    method, path = call
    status, *refusals = one["responses"]
    answer = one["responses"][status]
    content = answer.get("content", {}).get(JSON)
    return Shown(
        name=one["operationId"],
        method=method.upper(),
        path=path,
        summary=one["summary"],
        description=one["description"],
        scopes=" or ".join(" and ".join(each["bearer"]) for each in one.get("security", ())),
        parameters=[
            Row(each["name"], f"{each['in']}, {_kind(each['schema'])}", each["required"], each["description"])
            for each in one["parameters"]
        ],
        sent=_content_fields(_body(one), schemas),
        example=example,
        status=status,
        answer_about=answer["description"],
        answer=_written(content),
        answered=_content_fields(content, schemas),
        errors=[_error(each, one["responses"][each]) for each in refusals if not _is_shared(each, one)],
    )


def _is_shared(status: str, one: Part) -> bool:
    """Whether many operations answer this error alike, so that the page shows it once."""
    schema = one["responses"][status].get("content", {}).get(JSON, {}).get("schema")
    return schema == GRAPH_ERROR or (schema == ERROR and int(status) in SHARED)


def _error(status: str, answer: Part) -> tuple[str, str, str | None]:
    return status, answer["description"], _written(answer.get("content", {}).get(JSON))


def _body(one: Part) -> Part | None:
    body: Part | None = one.get("requestBody", {}).get("content", {}).get(JSON)
    return body


def _content_fields(content: Part | None, schemas: Part) -> Fields:
    name = content["schema"].get("$ref", "").removeprefix(SCHEMAS) if content else ""
    return _fields(schemas[name]) if name else Fields([], [])


def _fields(schema: Part) -> Fields:
    # What has no other fields is a request; in an answer nobody has to provide anything.
    needed = schema.get("required", ()) if schema.get("additionalProperties") is False else ()
    rows = [
        Row(name, _kind(part), name in needed, part.get("description") or _inner(part).get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]
    effective = [row for row in rows if row.about != IGNORED]
    return Fields(
        sorted(effective, key=lambda row: not row.required), [row.name for row in rows if row not in effective]
    )


def _inner(schema: Part) -> Part:
    choices: list[Part] = schema.get("anyOf") or schema.get("allOf") or [{}]
    return choices[0]


def _kind(schema: Part) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].removeprefix(SCHEMAS))
    for word in ("anyOf", "allOf"):
        if word in schema:
            return " or ".join(map(_kind, schema[word]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {'type': 'anything'}))}"
    if len(schema.get("enum", ())) in range(1, 9):
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("format") or schema.get("type") or "text")


def _curl(base: str, method: str, path: str, one: Part) -> str:
    for parameter in one["parameters"]:
        path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    queries = [parameter for parameter in one["parameters"] if parameter["in"] == "query"]
    # Operations on many messages need a folder too, unless their search names the messages.
    needed = {each["name"]: each["example"] for each in queries if each["required"] or each["name"] == "path"}
    url = shlex.quote(base + path + (f"?{urlencode(needed)}" if needed else ""))
    lines = [f"curl -X {method.upper()} {url}" if method != "get" else f"curl {url}"]
    if "security" in one:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if body := _body(one):
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(json.dumps(body['example'], indent=1))}"]
    return " \\\n  ".join(lines)


def _written(content: Mapping[str, Any] | None) -> str | None:
    return json.dumps(content["example"], indent=2, ensure_ascii=False) if content else None
