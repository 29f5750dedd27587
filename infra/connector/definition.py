"""The connector's definition: selected operations of the API, with the titles that flows show to people."""

import re
from collections.abc import Iterator
from typing import Any

from shared.api.field_types import IGNORED
from shared.domain.event import EventName
from shared.reference.documents import RESOURCES
from shared.reference.openapi import openapi
from shared.reference.swagger import DEFINITIONS, Part, swagger

ACTIONS = (
    *("StartRegistration", "GetRegistration", "EndRegistration", "ListAccounts", "GetAccount", "GetAccessToken"),
    *("ReconnectAccount", "RemoveAccount"),
)
# Both triggers subscribe at /v1/webhooks. OpenAPI needs a path for each; a policy routes both to that path.
TRIGGERS = {
    "WhenMailboxBound": (
        "/v1/webhooks/bound",
        "When a mailbox is bound",
        "Starts when a person has signed in, and the mailbox has been opened and bound.",
        (EventName.ACCOUNT_ADDED,),
    ),
    "WhenMailboxNeedsAttention": (
        "/v1/webhooks/attention",
        "When a mailbox needs attention",
        "Starts when a mailbox no longer opens, needs a new sign-in now or soon, or was replaced by another one.",
        (
            EventName.AUTHENTICATION_ERROR,
            EventName.CONNECT_ERROR,
            EventName.GRANT_EXPIRING,
            EventName.ACCOUNT_CHANGED,
        ),
    ),
}
ACRONYMS = {"url": "URL", "id": "ID", "ttl": "TTL", "oauth2": "OAuth", "sasl": "SASL", "aadsts": "AADSTS"}
ACCOUNT_PICKER = {
    "operationId": "ListAccounts",
    "value-collection": "accounts",
    "value-path": "account",
    "value-title": "email",
    "parameters": {"pageSize": 1000},
}


def definition(base_url: str) -> Part:
    """OpenAPI 2.0 with Microsoft's extensions for connectors, for the Mailbind at `base_url`.

    https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions
    """
    document = swagger(openapi(base_url, RESOURCES))
    paths: Part = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["operationId"] in ACTIONS:
                paths.setdefault(path, {})[method] = _action(operation)
    webhook_path = "/v1/webhooks/{webhook}"
    paths[webhook_path] = {
        "delete": {**_action(document["paths"][webhook_path]["delete"]), "x-ms-visibility": "internal"}
    }
    subscribe = document["paths"]["/v1/webhooks"]["post"]
    for name, (path, summary, description, events) in TRIGGERS.items():
        paths[path] = _trigger(
            {**subscribe, "operationId": name, "summary": summary, "description": description}, events
        )
    return {
        "swagger": "2.0",
        "info": _info(base_url),
        **{name: document[name] for name in ("host", "basePath", "schemes", "consumes", "produces")},
        "paths": paths,
        "definitions": _used_definitions(paths, document["definitions"]),
        "securityDefinitions": {"api_key": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        "security": [{"api_key": []}],
        "x-ms-connector-metadata": [
            {"propertyName": "Website", "propertyValue": base_url},
            {"propertyName": "Privacy policy", "propertyValue": base_url},
            {"propertyName": "Categories", "propertyValue": "Communication;Security"},
        ],
    }


def _info(base_url: str) -> Part:
    return {
        "title": "Mailbind",
        "version": "1.0",
        "description": (
            "Binds Microsoft 365 shared mailboxes to the people who may open them, keeps that authorization alive,"
            " and hands out short-lived access tokens for them."
        ),
        "contact": {"name": "The operator of your Mailbind", "url": base_url},
    }


def title(name: str) -> str:
    """The title of a field: Redirect URL for `redirectUrl`."""
    words = re.findall(r"[A-Z]?[a-z0-9]+", name)
    return " ".join(ACRONYMS.get(word.lower(), word.capitalize()) for word in words)


def _action(operation: Part) -> Part:
    return {
        **{name: operation[name] for name in ("operationId", "summary", "description")},
        "parameters": [_parameter(parameter) for parameter in operation["parameters"]],
        "responses": operation["responses"],
        "x-ms-visibility": "important",
    }


def _parameter(parameter: Part) -> Part:
    extended: Part = {**parameter, "x-ms-summary": title(parameter["name"])}
    if parameter["in"] == "path":
        extended["x-ms-url-encoding"] = "single"
        if parameter["name"] == "account":
            extended["x-ms-dynamic-values"] = ACCOUNT_PICKER
    elif parameter["in"] == "query":
        extended["x-ms-visibility"] = "advanced"
    return extended


def _trigger(operation: Part, events: tuple[EventName, ...]) -> Part:
    """Subscribe to fixed events, without a ping, which would start the flow."""
    url = {"type": "string", "description": "Where the flow listens.", "x-ms-notification-url": True}
    event_names = {"type": "array", "items": {"type": "string"}, "description": "Which events.", "default": [*events]}
    verify = {"type": "boolean", "description": "Whether to send a ping first.", "default": False}
    account: Part = {
        "type": "string",
        "description": "Only this account; every account that you reach if you leave it empty.",
        "x-ms-dynamic-values": ACCOUNT_PICKER,
    }
    fields: Part = {
        "url": {**url, "x-ms-visibility": "internal"},
        "events": {**event_names, "x-ms-visibility": "internal"},
        "verify": {**verify, "x-ms-visibility": "internal"},
        "account": {**account, "x-ms-visibility": "important"},
    }
    properties = {name: {**field, "x-ms-summary": title(name)} for name, field in fields.items()}
    schema = {"type": "object", "properties": properties, "required": ["url", "events", "verify"]}
    body = {"in": "body", "name": "body", "required": True, "description": "What to subscribe to.", "schema": schema}
    return {
        "x-ms-notification-content": {
            "description": "What happened.",
            "schema": {"$ref": f"{DEFINITIONS}EventNotification"},
        },
        "post": {
            **_action({**operation, "parameters": [body]}),
            "x-ms-trigger": "single",
            "x-ms-trigger-hint": operation["summary"],
        },
    }


def _used_definitions(paths: Part, definitions: Part) -> Part:
    used: Part = {}
    names = [*_references(paths)]
    while names:
        name = names.pop()
        if name not in used:
            used[name] = _definition(definitions[name])
            names += _references(used[name])
    return dict(sorted(used.items()))


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference.removeprefix(DEFINITIONS)
        for value in node.values():
            yield from _references(value)


def _definition(schema: Part) -> Part:
    """A schema with a title for each field, without the fields that have no effect."""
    if "properties" not in schema:
        return schema
    required = schema.get("required", ())
    fields = {
        name: _field(name, field, is_required=name in required)
        for name, field in schema["properties"].items()
        if field.get("description") != IGNORED
    }
    return {**schema, "properties": fields}


def _field(name: str, field: Part, *, is_required: bool) -> Part:
    if "$ref" in field:
        field = {"allOf": [field]}
    extensions = {"x-ms-summary": title(name), "x-ms-visibility": "important" if is_required else "advanced"}
    return {"description": title(name) + ".", **field, **extensions}
