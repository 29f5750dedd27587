"""What the API takes and answers, in OpenAPI 3.1, as far as the fuzzing needs it."""

from collections.abc import Mapping
from typing import Any

from shared.domain.account import AccountState
from shared.domain.caller import Scope
from shared.domain.event import EventName

type Part = dict[str, Any]

# Two accounts that are there while the fuzzing runs. One caller is bound to the first.
OWN, OTHER = "fuzzed-own", "fuzzed-other"
# What nobody may find in an answer: it lets people in, or belongs to their sign-in.
SECRET = {
    "ticket",
    "state",
    "code",
    "confirmation",
    "clientSecret",
    "clientSecret2",
    "keep",
    "finish",
    "client_info",
    "session_state",
    "__Host-mailbind",
}

TEXT: Part = {"type": "string"}
SHORT: Part = {"type": "string", "maxLength": 256}
SWITCH: Part = {"enum": [True, False, "true", "false", "y", "n", "1", "0", 1, 0, ""]}
ADDRESS: Part = {
    "anyOf": [{"const": "support@contoso.example"}, {"type": "string", "format": "email", "maxLength": 320}]
}
# A text that could be one of the ids would swallow them: schemathesis draws from the wider of two schemas.
ACCOUNT: Part = {"anyOf": [{"enum": [OWN, OTHER, OWN.upper()]}, {**SHORT, "minLength": len(OTHER) + 1}]}
NAMES: Part = {"type": "array", "items": {**SHORT, "minLength": 1}, "minItems": 1, "maxItems": 50}
BACK: Part = {"anyOf": [{"const": "https://myapp.example/done?x=1#frag"}, {"type": "string", "format": "uri"}]}
FORM: Part = {
    "type": "object",
    "properties": {
        "redirectUrl": BACK,
        "account": {"anyOf": [*ACCOUNT["anyOf"], {"type": "null"}]},
        "name": SHORT,
        "email": ADDRESS,
        "expectedEmail": ADDRESS,
        "delegated": SWITCH,
        "type": {"enum": ["AAABiCtT7XUAAAAF", False, ""]},
        "allowPrincipalChange": SWITCH,
        "mailboxes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"account": ACCOUNT, "email": ADDRESS, "name": SHORT},
                "required": ["email"],
                "additionalProperties": False,
            },
            "minItems": 1,
            "maxItems": 50,
        },
        "syncFrom": TEXT,
        "subconnections": {"type": "array", "items": TEXT},
        "path": TEXT,
    },
    "required": ["redirectUrl"],
    "additionalProperties": False,
}
ACCOUNT_CHANGE: Part = {
    "type": "object",
    "properties": {
        "name": SHORT,
        "paused": SWITCH,
        "email": {"const": "support@contoso.example"},
        "expectedEmail": {"type": "null"},
        "notifyFrom": TEXT,
        "path": {"type": "array", "items": TEXT},
        "logs": {"type": "boolean"},
        "imap": {"const": False},
    },
    "additionalProperties": False,
}
FURTHER: Part = {
    "type": "object",
    "properties": {
        "account": {"anyOf": [*ACCOUNT["anyOf"], {"type": "null"}]},
        "name": SHORT,
        "email": ADDRESS,
        "oauth2": {
            "type": "object",
            "properties": {
                "provider": {"const": "AAABiCtT7XUAAAAF"},
                "authorize": SWITCH,
                "redirectUrl": {"type": "string", "format": "uri"},
                "auth": {
                    "type": "object",
                    "properties": {"delegatedUser": ADDRESS, "delegatedAccount": ACCOUNT, "user": SHORT},
                    "required": ["delegatedUser", "delegatedAccount"],
                    "additionalProperties": False,
                },
            },
            "required": ["provider", "auth"],
            "additionalProperties": False,
        },
        "copy": {"type": "boolean"},
        "imapIndexer": TEXT,
    },
    "required": ["oauth2"],
    "additionalProperties": False,
}
RESTRICTIONS: Part = {
    "type": "object",
    "properties": {
        "addresses": {
            "type": "array",
            "items": {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]},
            "minItems": 1,
        }
    },
    "required": ["addresses"],
    "additionalProperties": False,
}


def wish(**more: Part) -> Part:
    """What a token shall be; what cannot be given together is for different wishes."""
    return {
        "type": "object",
        "properties": {
            "description": {"type": "string", "minLength": 1, "maxLength": 1024},
            "scopes": {"type": "array", "items": {"enum": [*Scope]}, "minItems": 1, "maxItems": 5},
            "restrictions": RESTRICTIONS,
            **more,
        },
        "required": ["description", "scopes"],
        "additionalProperties": False,
    }


TTL: Part = {"type": "integer", "minimum": 1, "maximum": 315_360_000}
EXPIRES: Part = {"type": "string", "format": "date-time"}
NAME: Part = {**SHORT, "minLength": 1}
WISH: Part = {
    "anyOf": [
        wish(ttl=TTL, account=NAME),
        wish(ttl=TTL, accounts=NAMES),
        wish(expires=EXPIRES, accountPrefix=NAME),
        wish(expires=EXPIRES),
    ]
}
CLAIMS: Part = {"anyOf": [{"const": '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'}, TEXT]}
GUID: Part = {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}
SCOPES: Part = {"type": "array", "items": {"type": "string", "pattern": "^[A-Z][A-Za-z.]{1,60}$"}, "maxItems": 50}
DATE: Part = {"anyOf": [EXPIRES, {"type": "null"}]}
# Registered apps stay disabled, so that there is one to sign in through.
CHANGE: Part = {
    "type": "object",
    "properties": {
        "name": NAME,
        "description": {"anyOf": [{"type": "string", "maxLength": 1024}, {"type": "null"}]},
        "title": {"anyOf": [SHORT, {"type": "null"}]},
        "enabled": {"enum": [False, "n", "0", 0]},
        "clientId": GUID,
        "clientSecret": NAME,
        "clientSecret2": {"anyOf": [NAME, {"type": "null"}]},
        "authority": GUID,
        "tenants": {"type": "array", "items": GUID, "maxItems": 50},
        "cloud": {"enum": ["global", "gcc-high", "dod", "china"]},
        "extraScopes": SCOPES,
        "skipScopes": SCOPES,
        "credentialReuse": SWITCH,
        "authentication": {"enum": ["secret", "certificate", "federated"]},
        "certificate": TEXT,
        "managedIdentity": GUID,
        "secretExpires": DATE,
        "secretExpires2": DATE,
    },
    "additionalProperties": False,
}
OAUTH_APP: Part = {
    **CHANGE,
    "properties": {**CHANGE["properties"], "provider": {"const": "outlook"}, "baseScopes": {"enum": ["api", "imap"]}},
    "required": ["name", "provider", "clientId", "clientSecret", "authority"],
}
APP: Part = {"type": "string", "pattern": "^[a-z]{16}$"}
# Nobody listens there, so nothing is told to anybody.
TARGET: Part = {
    "enum": ["http://127.0.0.1:9/hook?key=of-a-flow", "https://127.0.0.1:9/", "https://192.0.2.1/", "https://[::]/"]
}
SECRET_TEXT: Part = {"anyOf": [{"const": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, {**SHORT, "minLength": 16}]}
HOOK: Part = {
    "type": "object",
    "properties": {
        "url": TARGET,
        "events": {"type": "array", "items": {"enum": ["*", *EventName]}, "minItems": 1, "maxItems": 14},
        "account": {"enum": [OWN, OTHER]},
        "secret": SECRET_TEXT,
        "description": {"type": "string", "maxLength": 1024},
        "verify": SWITCH,
    },
    "required": ["url"],
    "additionalProperties": False,
}
SETTINGS: Part = {
    "type": "object",
    "properties": {
        "webhooks": {"anyOf": [TARGET, {"const": ""}]},
        "webhooksEnabled": SWITCH,
        "webhookEvents": {"type": "array", "items": {"enum": ["*", "messageNew", *EventName]}, "maxItems": 64},
        "webhooksCustomHeaders": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"key": {"type": "string", "pattern": "^[A-Za-z-]{1,128}$"}, "value": SHORT},
                "required": ["key", "value"],
                "additionalProperties": False,
            },
            "maxItems": 20,
        },
        "serviceSecret": SECRET_TEXT,
        "verify": SWITCH,
    },
    "additionalProperties": False,
}
PAGE: Part = {"type": "integer", "minimum": 0, "maximum": 1_048_576}
SIZE: Part = {"type": "integer", "minimum": 1, "maximum": 1000}
CONTINUE: Part = {
    "type": "object",
    "properties": dict.fromkeys(("registration", "confirmation", "app", "keep", "finish"), TEXT),
}
CALLBACK_FIELDS = (
    "state",
    "code",
    "error",
    "error_description",
    "error_subcode",
    "client_info",
    "session_state",
    "iss",
)
CALLBACK: Part = {"type": "object", "properties": dict.fromkeys(CALLBACK_FIELDS, TEXT)}


def parameter(where: str, name: str, schema: Part) -> Part:
    return {"in": where, "name": name, "schema": schema, "required": where == "path"}


def queries(**schemas: Part) -> list[Part]:
    return [parameter("query", name, schema) for name, schema in schemas.items()]


def operation(*statuses: int, parameters: list[Part] | None = None, **body: Part) -> Part:
    """An operation for callers; `json` or `form` is its body."""
    return public(401, 403, 429, *statuses, parameters=parameters, **body)


def public(*statuses: int, parameters: list[Part] | None = None, **body: Part) -> Part:
    """An operation that asks for no token."""
    types = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
    content = {types[kind]: {"schema": schema} for kind, schema in body.items()}
    return {
        "parameters": parameters or [],
        "responses": {str(status): {"description": "see docs/api.md"} for status in statuses},
        **({"requestBody": {"content": content, "required": False}} if content else {}),
    }


WEBHOOK = parameter("path", "webhook", {"anyOf": [{"const": "global"}, {"type": "string", "minLength": 1}]})
COOKIE = parameter("cookie", "__Host-mailbind", {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"})
PATHS: Mapping[str, Mapping[str, Part]] = {
    "/v1/authentication/form": {"post": operation(200, 400, 413, json=FORM)},
    "/v1/authentication/form/{registration}": {
        "get": operation(200, 404, parameters=[parameter("path", "registration", {"type": "string", "minLength": 1})])
    },
    "/v1/accounts": {
        "get": operation(
            200,
            400,
            parameters=queries(
                page=PAGE,
                pageSize=SIZE,
                state={"enum": [*AccountState]},
                query=SHORT,
                cursor=TEXT,
                app=SHORT,
                email=ADDRESS,
                authorizedBy=SHORT,
            ),
        )
    },
    "/v1/account": {"post": operation(200, 400, 404, 409, 413, json=FURTHER)},
    "/v1/account/{account}": {
        "get": operation(200, 404, parameters=[parameter("path", "account", ACCOUNT)]),
        "put": operation(200, 400, 404, 413, parameters=[parameter("path", "account", ACCOUNT)], json=ACCOUNT_CHANGE),
        "delete": operation(200, 400, 404, parameters=[parameter("path", "account", ACCOUNT), *queries(revoke=SWITCH)]),
    },
    "/v1/account/{account}/reauthorize": {
        "post": operation(
            *(200, 400, 404, 413),
            parameters=[parameter("path", "account", ACCOUNT)],
            json={
                "type": "object",
                "properties": {"redirectUrl": BACK},
                "required": ["redirectUrl"],
                "additionalProperties": False,
            },
        )
    },
    "/v1/account/{account}/reconnect": {
        "put": operation(
            *(200, 400, 404, 413),
            parameters=[parameter("path", "account", ACCOUNT)],
            json={"type": "object", "properties": {"reconnect": SWITCH}, "additionalProperties": False},
        )
    },
    "/v1/account/{account}/oauth-token": {
        "get": operation(
            *(200, 400, 404),
            parameters=[
                parameter("path", "account", ACCOUNT),
                *queries(resource={"enum": ["graph", "outlook"]}, sasl=SWITCH),
            ],
        ),
        "post": operation(
            *(200, 400, 404, 413),
            parameters=[parameter("path", "account", ACCOUNT)],
            json={
                "type": "object",
                "properties": {"claims": CLAIMS, "resource": {"enum": ["graph", "outlook"]}, "sasl": SWITCH},
                "required": ["claims"],
                "additionalProperties": False,
            },
        ),
    },
    "/v1/stats": {"get": operation(200)},
    "/v1/oauth2": {
        "get": operation(200, 400, parameters=queries(page=PAGE, pageSize=SIZE)),
        "post": operation(200, 400, 413, json=OAUTH_APP),
    },
    "/v1/oauth2/{app}": {
        "get": operation(404, parameters=[parameter("path", "app", APP)]),
        "put": operation(400, 404, 413, parameters=[parameter("path", "app", APP)], json=CHANGE),
        "delete": operation(400, 404, parameters=[parameter("path", "app", APP), *queries(force=SWITCH)]),
    },
    "/v1/oauth2/{app}/verify": {
        "post": operation(
            *(400, 404, 413),
            parameters=[parameter("path", "app", APP)],
            json={"type": "object", "properties": {"account": ACCOUNT, "testConnection": SWITCH}},
        )
    },
    "/v1/settings": {
        "get": operation(200, 400, parameters=queries(webhooks=SWITCH, webhooksEnabled=SWITCH, serviceUrl=SWITCH)),
        "post": operation(200, 400, 409, 413, json=SETTINGS),
    },
    "/v1/webhooks": {
        "post": operation(201, 400, 409, 413, json=HOOK),
        "get": operation(200),
    },
    "/v1/webhooks/{webhook}": {
        "get": operation(200, 404, parameters=[WEBHOOK]),
        "delete": operation(200, 404, 409, parameters=[WEBHOOK]),
    },
    "/v1/webhooks/{webhook}/ping": {"post": operation(200, 404, parameters=[WEBHOOK])},
    "/v1/webhooks/{webhook}/redeliver": {"post": operation(200, 404, parameters=[WEBHOOK])},
    "/v1/token": {"post": operation(200, 400, 413, json=WISH)},
    "/v1/tokens": {"get": operation(200, 400, parameters=queries(page=PAGE, pageSize=SIZE))},
    "/v1/token/{token}": {
        "delete": operation(200, 404, parameters=[parameter("path", "token", {"type": "string", "minLength": 1})])
    },
    "/health": {"get": public(200)},
    "/accounts/new": {
        "get": public(200, 404, 410, 429, parameters=[*queries(ticket=TEXT), COOKIE]),
        "post": public(202, 303, 400, 403, 404, 410, 429, parameters=[COOKIE], form=CONTINUE),
    },
    "/oauth": {
        "get": public(
            *(200, 400, 403, 410, 429),
            parameters=[*queries(**dict.fromkeys((*CALLBACK_FIELDS, "admin_consent"), TEXT)), COOKIE],
        ),
        "post": public(400, 403, 410, 429, parameters=[COOKIE], form=CALLBACK),
    },
}
DESCRIPTION: Part = {"openapi": "3.1.0", "info": {"title": "Mailbind", "version": "1"}, "paths": PATHS}
