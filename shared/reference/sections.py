"""The description as the reference page shows it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.http.responses import JSON
from shared.reference.openapi import FORM, SCHEMAS, Part


@dataclass(frozen=True, slots=True)
class Row:
    """A field: its name, type, whether it has to be there, and what it is."""

    name: str
    kind: str
    required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One operation. `rows` are parameters, `fields` those of the body, `answered` those of the answer."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    scopes: str
    rows: list[Row]
    fields: list[Row]
    answered: list[Row]
    curl: str | None
    status: str
    answer: str | None
    refusals: list[tuple[str, str, str | None]]


def sections(openapi: Part) -> dict[str, Any]:
    """Operations by tag, and what they send to and fro."""
    schemas = openapi["components"]["schemas"]
    base = openapi["servers"][0]["url"]
    shown: dict[str, list[Shown]] = {tag["name"]: [] for tag in openapi["tags"]}
    for path, methods in openapi["paths"].items():
        for method, one in methods.items():
            shown[one["tags"][0]].append(_shown(base, (method.upper(), path), one, schemas))
    types = {
        name: (schema.get("description", ""), _rows(schema), ", ".join(map(str, schema.get("enum", ()))))
        for name, schema in sorted(schemas.items())
    }
    return {"tags": openapi["tags"], "operations": shown, "types": types}


def _shown(base: str, call: tuple[str, str], one: Part, schemas: Part) -> Shown:
    method, path = call
    body = one.get("requestBody", {}).get("content", {}).get(JSON)
    status, *refusals = one["responses"]
    answer = one["responses"][status].get("content", {}).get(JSON)
    scopes = " or ".join(" and ".join(each["bearer"]) for each in one.get("security", ()))
    return Shown(
        name=one["operationId"],
        method=method,
        path=path,
        summary=one["summary"],
        description=one["description"],
        scopes=scopes,
        rows=[
            Row(each["name"], f"{each['in']}, {_kind(each['schema'])}", each["required"], each["description"])
            for each in one["parameters"]
        ],
        fields=_fields(body, schemas),
        answered=_fields(answer, schemas),
        curl=None if FORM in one.get("requestBody", {}).get("content", {}) else _curl(base, call, one, body),
        status=status,
        answer=_written(answer),
        refusals=[
            (each, one["responses"][each]["description"], _written(one["responses"][each].get("content", {}).get(JSON)))
            for each in refusals
        ],
    )


def _fields(content: Part | None, schemas: Part) -> list[Row]:
    name = content["schema"].get("$ref", "").removeprefix(SCHEMAS) if content else ""
    return _rows(schemas[name]) if name else []


def _rows(schema: Part) -> list[Row]:
    needed = schema.get("required", ())
    return [
        Row(name, _kind(part), name in needed, part.get("description") or _inner(part).get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]


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


def _curl(base: str, call: tuple[str, str], one: Part, body: Mapping[str, Any] | None) -> str:
    method, path = call
    for parameter in one["parameters"]:
        path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    lines = [f"curl -X {method} {base}{path}" if method != "GET" else f"curl {base}{path}"]
    if "security" in one:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if body:
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(json.dumps(body['example'], indent=1))}"]
    return " \\\n  ".join(lines)


def _written(content: Part | None) -> str | None:
    return json.dumps(content["example"], indent=2) if content else None
