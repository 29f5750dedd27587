"""The connector's definition: selected operations of the API, with the titles that flows show to people."""

import re
from collections.abc import Iterator
from typing import Any

from shared.api.field_types import IGNORED
from shared.domain.account import AccountState
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
# What makers see first of the form, and always. A default is sent only with a required field.
FORM = "RegistrationForm"
SHOWN_FORM_FIELDS = ("email", "delegated", "expectedEmail")
REQUIRED_FORM_FIELDS = ["email", "delegated", "redirectUrl"]
# No account is in another state; the API also takes those of EmailEngine.
STATES = [state for state in AccountState if state is not AccountState.INIT]
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
    document = _described(openapi(base_url, RESOURCES))
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


def _described(api: Part) -> Part:
    """OpenAPI 2.0 without the scopes in its descriptions, because a connection has one token for all operations."""
    document = swagger(api)
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            document["paths"][path][method]["description"] = operation["description"]
    return document


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
        if parameter["name"] == "state":
            extended["enum"] = STATES
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
            schema = definitions[name]
            used[name] = _definition(_form(schema) if name == FORM else schema, definitions)
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


def _form(schema: Part) -> Part:
    """The form as makers see it: for one mailbox, which is a shared one unless they say otherwise."""
    shown = {name: {**schema["properties"][name], "x-ms-visibility": "important"} for name in SHOWN_FORM_FIELDS}
    fields = {**schema["properties"], **shown, "delegated": {**shown["delegated"], "default": True}}
    del fields["mailboxes"]  # with it, `email` would have to be absent
    ordered = {name: fields[name] for name in (*SHOWN_FORM_FIELDS, *fields)}
    return {**schema, "properties": ordered, "required": REQUIRED_FORM_FIELDS}


def _definition(schema: Part, definitions: Part) -> Part:
    """A schema with a title for each field, without the fields that have no effect."""
    schema = {word: value for word, value in schema.items() if word != "title"}  # it would precede each field's own
    if "properties" not in schema:
        return schema
    required = schema.get("required", ())
    fields = {
        name: _field(name, field, definitions, is_required=name in required)
        for name, field in schema["properties"].items()
        if field.get("description") != IGNORED
    }
    return {**schema, "properties": fields}


def _field(name: str, field: Part, definitions: Part, *, is_required: bool) -> Part:
    """A field, with the schema that it refers to in its place: designers offer nothing that is below a reference."""
    for reference in _references({word: field.get(word) for word in ("$ref", "allOf")}):
        field = {**_definition(definitions[reference], definitions), **field}
    field = {word: value for word, value in field.items() if word not in {"$ref", "allOf"}}
    extensions = {"x-ms-summary": title(name), "x-ms-visibility": "important" if is_required else "advanced"}
    return {"description": title(name) + ".", **extensions, **field}
