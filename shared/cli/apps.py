"""`mailbind app`: OAuth apps."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.cli.advice import command
from shared.cli.api import Api, Failed, read_file, read_secret
from shared.cli.arguments import AddParser, add_command, add_group
from shared.cli.output import Result, Trouble, expiry, printable, red, table


class Field(NamedTuple):
    """A field of an OAuth app and the option that sets it. One that `repeats` takes several values."""

    option: str
    name: str
    help: str
    repeats: bool = False


REQUIRED_FIELDS = (
    Field("--name", "name", "its name for administrators"),
    Field("--client-id", "clientId", "the application (client) id in Entra"),
    Field("--authority", "authority", "a tenant id, organizations or common"),
)
OPTIONAL_FIELDS = (
    Field("--title", "title", "its name for people who choose between apps"),
    Field("--description", "description", "a note for administrators"),
    Field("--tenant", "tenants", "a tenant whose people may sign in", repeats=True),
    Field("--mail-domain", "mailDomains", "a mail domain and its tenant: domain=tenant id", repeats=True),
    Field("--cloud", "cloud", "Microsoft's cloud: global, gcc-high, dod or china"),
    Field("--extra-scope", "extraScopes", "a permission to ask for too", repeats=True),
    Field("--skip-scope", "skipScopes", "a permission not to ask for", repeats=True),
    Field("--managed-identity", "managedIdentity", "authenticate as the managed identity with this client id"),
)
BASE_SCOPES = Field("--base-scope", "baseScopes", "api or imap: how mailboxes are opened", repeats=True)


def add_commands(add: AddParser) -> None:
    """Declare the commands of this file."""
    group = add_group(add, "app", "OAuth apps")
    add_command(group, "list", list_apps, "list all OAuth apps")
    adding = add_command(group, "add", add_app, "register an OAuth app; its client secret is read from standard input")
    _add_fields(adding, *REQUIRED_FIELDS, required=True)
    _add_fields(adding, *OPTIONAL_FIELDS, BASE_SCOPES)
    adding.add_argument("--expires", metavar="DATE", help="when the client secret expires, to be warned before")
    changing = add_command(group, "change", change_app, "change an OAuth app; an empty value removes the old one")
    _add_fields(changing, *REQUIRED_FIELDS, *OPTIONAL_FIELDS)
    for parser in (adding, changing):
        parser.add_argument("--certificate", metavar="FILE", help="authenticate with this certificate and key, in PEM")
        parser.add_argument("--enabled", action=BooleanOptionalAction, help="people can sign in through it")
        parser.add_argument("--credential-reuse", action=BooleanOptionalAction, help="one grant serves many accounts")
    secret = add_command(group, "set-secret", set_secret, "store a client secret, which is read from standard input")
    secret.add_argument("--second", action="store_true", help="store it as the second secret, and keep the first")
    secret.add_argument("--expires", metavar="DATE", help="when it expires, to be warned before")
    verify = add_command(group, "verify", verify_app, "check the configuration of an OAuth app")
    verify.add_argument("--account", help="also check this account's grant")
    for parser in (changing, secret, verify):
        parser.add_argument("app", help="the OAuth app's id")


def _add_fields(parser: ArgumentParser, *fields: Field, required: bool = False) -> None:
    for field in fields:
        action, text = ("append", f"{field.help}; repeat for several") if field.repeats else ("store", field.help)
        metavar = field.option.removeprefix("--").rpartition("-")[2].upper()
        parser.add_argument(field.option, dest=field.name, action=action, required=required, metavar=metavar, help=text)


def list_apps(api: Api, _: Namespace) -> Result:
    """List all OAuth apps."""
    body = api.all_pages("oauth2", "apps")
    headings = ["APP", "NAME", "ENABLED", "SOURCE", "CLIENT ID", "SECRET EXPIRES", "ERROR"]
    rows = [
        [app["id"], app["name"], app["enabled"], app["source"], app["clientId"], _expiry(app), _error_code(app)]
        for app in body["apps"]
    ]
    notices = [line for app in body["apps"] for line in _shadowing_notice(app)]
    return Result(body, "\n".join([table(headings, rows), *notices]))


def _expiry(app: Mapping[str, Any]) -> object:
    """The later expiry of two secrets; that of the app's last credential."""
    return expiry(max(filter(None, (app["secretExpires"], app["secretExpires2"])), default=None))


def _error_code(app: Mapping[str, Any]) -> Trouble:
    error = app["lastError"]
    return Trouble(error["code"] if error else None)


def add_app(api: Api, arguments: Namespace) -> Result:
    """Register an OAuth app."""
    fields = _fields(arguments)
    if "authentication" not in fields:
        fields |= _secret(arguments, "clientSecret", "secretExpires")
    body = api.call("POST", "oauth2", body={"provider": "outlook", **fields})
    lines = [f"{printable(body['id'])} is registered.", _next_step(body)]
    if not arguments.enabled:
        lines.append(f"Then let people sign in through it: {command('app', 'change', body['id'], '--enabled')}")
    return Result(body, "\n".join(lines))


def change_app(api: Api, arguments: Namespace) -> Result:
    """Change the fields that are given."""
    fields = _fields(arguments)
    if not fields:  # even that would store an app of the settings, which then no longer apply
        raise Failed("There is nothing to change. Add an option.")
    body = api.call("PUT", "oauth2", arguments.app, body=fields)
    lines = [f"{printable(body['id'])} is changed.", *_shadowing_notice(body), _next_step(body)]
    return Result(body, "\n".join(lines))


def set_secret(api: Api, arguments: Namespace) -> Result:
    """Store a client secret. Mailbind forgets when the old one expires."""
    names = ("clientSecret2", "secretExpires2") if arguments.second else ("clientSecret", "secretExpires")
    fields = {"authentication": "secret", **_secret(arguments, *names)}
    body = api.call("PUT", "oauth2", arguments.app, body=fields)
    lines = [f"The secret of {printable(body['id'])} is stored.", *_shadowing_notice(body), _next_step(body)]
    if not arguments.expires:
        lines.append("Its end date is unknown. Add --expires to be warned before.")
    return Result(body, "\n".join(lines))


def _shadowing_notice(app: Mapping[str, Any]) -> list[str]:
    """What it means that a stored app counts instead of the settings."""
    notice = app.get("shadowsSettings")
    return [f"{printable(app['id'])}: {printable(notice)}"] if notice else []


def _next_step(body: Mapping[str, Any]) -> str:
    return f"Check it: {command('app', 'verify', body['id'])}"


def _fields(arguments: Namespace) -> dict[str, Any]:
    """The given fields of the app; an empty value removes the old one."""
    fields: dict[str, Any] = {}
    for field in (*REQUIRED_FIELDS, *OPTIONAL_FIELDS, BASE_SCOPES):
        value = getattr(arguments, field.name, None)
        if value is not None:
            fields[field.name] = [item for item in value if item] if field.repeats else value or None
    switches = {"enabled": arguments.enabled, "credentialReuse": arguments.credential_reuse}
    fields |= {name: value for name, value in switches.items() if value is not None}
    if arguments.certificate:
        fields |= {"authentication": "certificate", "certificate": read_file(arguments.certificate)}
    elif fields.get("managedIdentity"):
        fields["authentication"] = "federated"
    return fields


def _secret(arguments: Namespace, secret_name: str, expiry_name: str) -> dict[str, str]:
    fields = {secret_name: read_secret("Client secret")}
    return fields | ({expiry_name: arguments.expires} if arguments.expires else {})


def verify_app(api: Api, arguments: Namespace) -> Result:
    """Check an OAuth app's configuration. Succeeds if every step does."""
    request = {"account": arguments.account} if arguments.account else {}
    body = api.call("POST", "oauth2", arguments.app, "verify", body=request)
    lines = []
    for step in body["steps"]:
        line = printable(f"{step['status']:4}  {step['label']}: {step['message']}")
        lines.append(red(line) if step["status"] == "fail" else line)
        lines += [f"      {printable(step['hint'])}"] if step["hint"] else []
    return Result(body, "\n".join(lines), success=body["ok"])
