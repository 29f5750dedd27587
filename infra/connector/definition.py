"""The connector's definition: some operations of the description, in the words that flows show to people."""

import re
from collections.abc import Iterator
from typing import Any

from shared.domain.event import EventName
from shared.reference.documents import RESOURCES
from shared.reference.openapi import openapi
from shared.reference.swagger import DEFINITIONS, Part, swagger

ACTIONS = (
    *("StartRegistration", "GetRegistration", "EndRegistration", "ListAccounts", "GetAccount", "GetAccessToken"),
    *("ReconnectAccount", "RemoveAccount"),
)
# Both subscribe at /v1/webhooks; a path of its own each is what OpenAPI asks for, and a policy leads it there.
TRIGGERS = {
    "WhenMailboxBound": (
        "/v1/webhooks/bound",
        "When a mailbox is bound",
        "Starts when somebody has signed in and their mailbox is proven and bound.",
        (EventName.ACCOUNT_ADDED,),
    ),
    "WhenMailboxNeedsAttention": (
        "/v1/webhooks/attention",
        "When a mailbox needs attention",
        "Starts when a mailbox does not open any more, needs a new sign-in or is about to, or was replaced by another.",
        (
            EventName.AUTHENTICATION_ERROR,
            EventName.CONNECT_ERROR,
            EventName.GRANT_EXPIRING,
            EventName.ACCOUNT_CHANGED,
        ),
    ),
}
WORDS = {"url": "URL", "id": "ID", "ttl": "TTL", "oauth2": "OAuth", "sasl": "SASL", "aadsts": "AADSTS"}
PICKER = {
    "operationId": "ListAccounts",
    "value-collection": "accounts",
    "value-path": "account",
    "value-title": "email",
    "parameters": {"pageSize": 1000},
}
NO_EFFECT = "Accepted for callers of EmailEngine"


def definition(base_url: str) -> Part:
    """OpenAPI 2.0 with Microsoft's extensions for connectors, for a Mailbind at this address."""
    whole = swagger(openapi(base_url, RESOURCES))
    paths: Part = {}
    for path, methods in whole["paths"].items():
        for method, one in methods.items():
            if one["operationId"] in ACTIONS:
                paths.setdefault(path, {})[method] = _action(one)
    hook = "/v1/webhooks/{webhook}"
    paths[hook] = {"delete": {**_action(whole["paths"][hook]["delete"]), "x-ms-visibility": "internal"}}
    subscribed = whole["paths"]["/v1/webhooks"]["post"]
    for name, (path, summary, about, events) in TRIGGERS.items():
        paths[path] = _trigger({**subscribed, "operationId": name, "summary": summary, "description": about}, events)
    return {
        "swagger": "2.0",
        "info": {
            "title": "Mailbind",
            "version": "1.0",
            "description": (
                "Binds Microsoft 365 shared mailboxes to the people who may open them, keeps that authorization alive,"
                " and hands out short-lived access tokens for them."
            ),
            "contact": {"name": "Whoever runs your Mailbind", "url": base_url},
        },
        **{word: whole[word] for word in ("host", "basePath", "schemes", "consumes", "produces")},
        "paths": paths,
        "definitions": _used(paths, whole["definitions"]),
        "securityDefinitions": {"api_key": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        "security": [{"api_key": []}],
        "x-ms-connector-metadata": [
            {"propertyName": "Website", "propertyValue": base_url},
            {"propertyName": "Privacy policy", "propertyValue": base_url},
            {"propertyName": "Categories", "propertyValue": "Communication;Security"},
        ],
    }


def title(name: str) -> str:
    """A name in the words of a form: `redirectUrl` is Redirect URL."""
    words = re.findall(r"[A-Z]?[a-z0-9]+", name)
    return " ".join(WORDS.get(word.lower(), word.capitalize()) for word in words)


def _action(one: Part) -> Part:
    made = {word: one[word] for word in ("operationId", "summary", "description", "parameters", "responses")}
    made["parameters"] = [_parameter(parameter) for parameter in one["parameters"]]
    return {**made, "x-ms-visibility": "important"}


def _parameter(parameter: Part) -> Part:
    shown: Part = {**parameter, "x-ms-summary": title(parameter["name"])}
    if parameter["in"] == "path":
        shown["x-ms-url-encoding"] = "single"
        if parameter["name"] == "account":
            shown["x-ms-dynamic-values"] = PICKER
    elif parameter["in"] == "query":
        shown["x-ms-visibility"] = "advanced"
    return shown


def _trigger(one: Part, events: tuple[EventName, ...]) -> Part:
    """Subscribes for fixed events. A ping would start the flow, so none is asked for."""
    url = {"type": "string", "description": "Where the flow listens.", "x-ms-notification-url": True}
    fixed = {"type": "array", "items": {"type": "string"}, "description": "Which events.", "default": [*events]}
    unasked = {"type": "boolean", "description": "Whether to send a ping first.", "default": False}
    account: Part = {
        "type": "string",
        "description": "Only this account; every account that you reach if you leave it empty.",
        "x-ms-dynamic-values": PICKER,
    }
    fields: Part = {
        "url": {**url, "x-ms-visibility": "internal"},
        "events": {**fixed, "x-ms-visibility": "internal"},
        "verify": {**unasked, "x-ms-visibility": "internal"},
        "account": {**account, "x-ms-visibility": "important"},
    }
    shown = {name: {**field, "x-ms-summary": title(name)} for name, field in fields.items()}
    schema = {"type": "object", "properties": shown, "required": ["url", "events", "verify"]}
    body = {"in": "body", "name": "body", "required": True, "description": "What to subscribe to.", "schema": schema}
    return {
        "x-ms-notification-content": {
            "description": "What happened.",
            "schema": {"$ref": f"{DEFINITIONS}EventNotification"},
        },
        "post": {
            **_action({**one, "parameters": [body]}),
            "x-ms-trigger": "single",
            "x-ms-trigger-hint": one["summary"],
        },
    }


def _used(paths: Part, definitions: Part) -> Part:
    used: Part = {}
    waiting = [*_references(paths)]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = _shape(definitions[name])
            waiting += _references(used[name])
    return dict(sorted(used.items()))


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        for one in node:
            yield from _references(one)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.removeprefix(DEFINITIONS)
        for one in node.values():
            yield from _references(one)


def _shape(schema: Part) -> Part:
    """A shape with a title for each field; what has no effect is not shown."""
    if "properties" not in schema:
        return schema
    needed = schema.get("required", ())
    fields = {
        name: _field(name, part, needed=name in needed)
        for name, part in schema["properties"].items()
        if not part.get("description", "").startswith(NO_EFFECT)
    }
    return {**schema, "properties": fields}


def _field(name: str, part: Part, *, needed: bool) -> Part:
    if "$ref" in part:
        part = {"allOf": [part]}
    said = {"x-ms-summary": title(name), "x-ms-visibility": "important" if needed else "advanced"}
    return {"description": title(name) + ".", **part, **said}
