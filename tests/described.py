"""Holds answers to the description: the route, the status, and every field of the body."""

import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from shared.http.responses import JSON
from shared.reference.documents import RESOURCES
from shared.reference.openapi import openapi

DOCUMENT = openapi("https://mailbind.example", RESOURCES)
ROUTES = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in DOCUMENT["paths"]}
# Consumers shall bear fields that they do not know; a test shall not.
STRICT = {
    name: {**schema, "additionalProperties": False} if "properties" in schema else schema
    for name, schema in DOCUMENT["components"]["schemas"].items()
}


def as_described(answer: httpx.Response) -> None:
    """A hook of clients: fails when an answer is not as described."""
    answer.read()
    path = answer.request.url.path
    route = next((known for known, fits in ROUTES.items() if known == path), None)
    route = route or next((known for known, fits in ROUTES.items() if fits.fullmatch(path)), None)
    operation = DOCUMENT["paths"].get(route, {}).get(answer.request.method.lower())
    if operation is None or (answer.status_code == httpx.codes.NOT_FOUND and not answer.content):
        return  # the platform answers for what is no route
    hold(str(route), answer.request.method, answer.status_code, answer.text)


def hold(route: str, method: str, status: int, text: str) -> None:
    """Fail unless the route answers so."""
    described = DOCUMENT["paths"][route][method.lower()]["responses"]
    known = str(status) if str(status) in described or status < httpx.codes.BAD_REQUEST else "default"
    assert known in described, (method, route, status, text[:500])
    if JSON in described[known].get("content", {}):
        found = [str(error) for error in _validator(route, method.lower(), known).iter_errors(_json(text))]
        assert [] == found, (method, route, status, text[:500])


def hold_event(body: dict[str, Any]) -> None:
    """Fail unless a webhook is told so."""
    schema = {"$ref": "#/components/schemas/EventNotification", "components": {"schemas": STRICT}}
    assert [] == [str(error) for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(body)], body


def _json(text: str) -> Any:
    return httpx.Response(200, text=text).json()


@cache
def _validator(route: str, method: str, status: str) -> jsonschema_rs.Draft202012Validator:
    schema = DOCUMENT["paths"][route][method]["responses"][status]["content"][JSON]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": STRICT}})
