"""Values that get further than what is drawn from a description: accounts that are there, targets that are not."""

from typing import Any

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
SWITCH = [True, False, "true", "false", "y", "n", "1", "0", 1, 0, ""]
IDS = [OWN, OTHER, OWN.upper()]
GUID = "5f0c1d9e-0000-4000-8000-0000000000c1"
# Nobody listens there, so nothing is told to anybody.
TARGETS = ["http://127.0.0.1:9/hook?key=of-a-flow", "https://127.0.0.1:9/", "https://192.0.2.1/", "https://[::]/"]
# One of these, or what the description allows.
BESIDES: dict[str, list[Any]] = {
    "account": IDS,
    "delegatedAccount": IDS,
    "email": ["support@contoso.example"],
    "delegatedUser": ["support@contoso.example"],
    "redirectUrl": ["https://myapp.example/done?x=1#frag"],
    "claims": ['{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'],
    "webhook": ["global"],
    "folder": ["inbox", "drafts"],
    "$select": ["id,subject"],
    "$filter": ["isRead eq false"],
    "$orderby": ["receivedDateTime desc"],
    "$expand": ["attachments", "childFolders"],
}
# One of these and nothing else. Registered apps stay disabled, so that there is one to sign in through.
ONLY: dict[str, list[Any]] = {
    "mailbox": ["support@contoso.example", OWN, OTHER],
    "url": TARGETS,
    "webhooks": [*TARGETS, ""],
    "provider": ["AAABiCtT7XUAAAAF", "outlook"],
    "type": ["AAABiCtT7XUAAAAF", False, ""],
    "app": ["abcdefghijklmnop", "ponmlkjihgfedcba"],
    "enabled": [False, "n", "0", 0],
    "verify": [False, "n"],
    "authority": [GUID],
    "secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    "serviceSecret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "sixteen letters!"],
    "addresses": [["203.0.113.7"], ["2001:db8::/32", "203.0.113.0/24"]],
    "events": [["*"], [EventName.ACCOUNT_ADDED.value], [*EventName]],
    "certificate": ["no PEM"],
}
WIDER = 13  # a text that could be one of the ids would swallow them: what is drawn comes from the wider of two schemas


def hinted(document: Part) -> Part:
    """The description with these values in what is sent, whichever of its two versions it is."""
    old = "swagger" in document
    schemas = document["definitions"] if old else document["components"]["schemas"]
    changed = {
        name: {
            **schema,
            "properties": {field: _better(field, part, old=old) for field, part in schema["properties"].items()},
        }
        if schema.get("additionalProperties") is False and "properties" in schema
        else schema
        for name, schema in schemas.items()
    }
    paths = {
        path: {
            method: {**one, "parameters": [_parameter(each, old=old) for each in one["parameters"]]}
            for method, one in methods.items()
        }
        for path, methods in document["paths"].items()
    }
    return {**document, "paths": paths, **({"definitions": changed} if old else {"components": {"schemas": changed}})}


def _parameter(parameter: Part, *, old: bool) -> Part:
    name = parameter["name"]
    if parameter["in"] not in {"path", "query"}:
        return parameter
    if not old:
        return {**parameter, "schema": _better(name, parameter["schema"], old=old)}
    values = ONLY.get(name) or BESIDES.get(name)
    return {**parameter, "enum": values} if values else parameter


def _better(name: str, schema: Part, *, old: bool) -> Part:
    if name in ONLY:
        return {"enum": ONLY[name]}
    if schema.get("type") == "boolean":
        return {"enum": SWITCH}
    if name not in BESIDES:
        return schema
    wide = {**schema, "minLength": WIDER} if schema.get("type") == "string" else schema
    return {"enum": BESIDES[name]} if old else {"anyOf": [{"enum": BESIDES[name]}, wide]}
