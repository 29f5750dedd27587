"""`python -m tests.bench.counts [field …]`: how large the app is, and how many of its files one request passes through.

A request is traced in this process, through its own handler, on Azurite and the local tenant. Files count when one of
their functions runs; importing a module counts for nothing. Nothing here depends on how the app's folders are called.
"""

import ast
import asyncio
import os
import re
import secrets
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import urlencode, urlsplit

import azure.functions as func
import httpx

from infra.local.caller import PERSON, SUPPORT
from infra.local.environment import Environment, local_environment
from infra.local.parts import ROOT
from infra.local.visitor import Form, Visitor

APP = ROOT / "shared"
FIELDS = ("expectedEmail", "allowPrincipalChange")
# One grant may serve many accounts here, so that one person can bind more than one.
CHANGES = {"MAILBIND_OAUTH_CREDENTIAL_REUSE": "true", "MAILBIND_WEBHOOKS_LOOPBACK": "true"}
HAND_OUT = "v1/account/{account}/oauth-token"
CALLBACK = "oauth"
# The first hand-out writes that the grant is in use, after it has answered.
SETTLING_SECONDS = 1


def main() -> None:
    """Print all counts."""
    print_sizes()
    for field in sys.argv[1:] or FIELDS:
        print_declarations(field)
    with tempfile.TemporaryDirectory() as folder, local_environment(Path(folder), changes=CHANGES) as environment:
        asyncio.run(print_traces(environment))


def modules() -> list[Path]:
    """Every Python file of the app."""
    return sorted(APP.rglob("*.py"))


def print_sizes() -> None:
    """Lines and files by package, and the longest files."""
    lengths = {path: len(path.read_text().splitlines()) for path in modules()}
    packages: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for path, lines in lengths.items():
        parts = path.relative_to(APP).parts
        package = parts[0] if len(parts) > 1 else "(top)"
        packages[package] += lines
        files[package] += 1
    for package in sorted(packages):
        print(f"{package:14} {files[package]:4} files {packages[package]:6} lines")
    print(f"{'shared':14} {len(lengths):4} files {sum(lengths.values()):6} lines")
    over = {limit: sum(lines > limit for lines in lengths.values()) for limit in (250, 400)}
    print(f"median file {statistics.median(lengths.values()):.0f} lines; {over[250]} over 250, {over[400]} over 400")
    for path, lines in sorted(lengths.items(), key=lambda item: -item[1])[:5]:
        print(f"  {lines:4} {path.relative_to(ROOT)}")


def print_declarations(field: str) -> None:
    """Where a field of the form is declared: as a class attribute, or by its name on the wire."""
    snake = re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), field)
    attributes: Counter[Path] = Counter()
    texts: Counter[Path] = Counter()
    for path in modules():
        tree = ast.parse(path.read_text())
        attributes[path] += sum(_declares(node, {field, snake}) for node in ast.walk(tree))
        texts[path] += sum(isinstance(node, ast.Constant) and node.value == field for node in ast.walk(tree))
    print(
        f"{field}: {attributes.total()} class attributes in {len(+attributes)} files,"
        f" {texts.total()} times its wire name in {len(+texts)} files; {len(+(attributes + texts))} files in all"
    )


def _declares(node: ast.AST, names: set[str]) -> int:
    if not isinstance(node, ast.ClassDef):
        return 0
    declared = [item.target for item in node.body if isinstance(item, ast.AnnAssign)]
    return sum(isinstance(target, ast.Name) and target.id in names for target in declared)


async def print_traces(environment: Environment) -> None:
    """The files that a hand-out and a binding run through, once everything is warm."""
    os.environ.update(environment.settings)
    functions = http_functions()
    with Visitor(environment.tenant.ready["caFile"]) as visitor:
        account, bind = secrets.token_hex(8), functions["POST", CALLBACK]
        await bind(callback(visitor, sign_in(environment, visitor, account)))
        request = callback(visitor, sign_in(environment, visitor, secrets.token_hex(8)))
        with traced() as binding:
            expect(await bind(request), "state=new")
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    path = f"/v1/account/{account}/oauth-token"
    request = func.HttpRequest(
        method="GET", url=environment.base_url + path, headers=headers, route_params={"account": account}, body=b""
    )
    hand_out = functions["GET", HAND_OUT]
    await hand_out(request)
    await asyncio.sleep(SETTLING_SECONDS)
    with traced() as handing:
        expect(await hand_out(request), "accessToken")
    print_trace("a warm hand-out", handing)
    print_trace("a binding (POST /oauth)", binding)


def http_functions() -> dict[tuple[str, str], Any]:
    """The app's handlers, by method and route."""
    import function_app  # noqa: PLC0415 - it reads the environment

    found = {}
    for function in function_app.app.get_functions():
        trigger = function.get_trigger()
        declared = trigger.get_dict_repr() if trigger else {}
        for method in declared.get("methods") or ():
            found[str(getattr(method, "value", method)), declared["route"]] = function.get_user_function()
    return found


def sign_in(environment: Environment, visitor: Visitor, account: str) -> Form:
    """Register and sign in; returns the form with which Entra sends the browser back."""
    body = {"account": account, "email": SUPPORT.email, "delegated": True, "redirectUrl": "https://myapp.example/done"}
    headers = {"Authorization": f"Bearer {environment.secrets.admin_token}"}
    answer = httpx.post(f"{environment.base_url}/v1/authentication/form", json=body, headers=headers)
    page = visitor.submit(visitor.go_to_microsoft(answer.raise_for_status().json()["url"]).forms[0], login=PERSON)
    if "login" in page.forms[0].fields:
        page = visitor.submit(page.forms[0], consent="accept")
    return page.forms[0]


def callback(visitor: Visitor, form: Form) -> func.HttpRequest:
    """The request that the browser makes of Entra's form."""
    cookies = visitor.cookies[urlsplit(form.action).netloc]
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }
    return func.HttpRequest(method="POST", url=form.action, headers=headers, body=urlencode(form.fields).encode())


def expect(answer: func.HttpResponse, text: str) -> None:
    """Raise RuntimeError for an answer that is no success with that text in it."""
    body = answer.get_body().decode()
    if answer.status_code != HTTPStatus.OK or text not in body:
        raise RuntimeError(f"{answer.status_code}: {body[:500]}")


@dataclass(frozen=True, slots=True)
class Trace:
    """The code objects of the app's functions that ran."""

    codes: set[CodeType]

    @property
    def files(self) -> Counter[str]:
        """How many functions ran in each file."""
        return Counter(str(Path(code.co_filename).relative_to(ROOT)) for code in self.codes)


@contextmanager
def traced() -> Iterator[Trace]:
    """Notes each function of the app that starts, in all threads."""
    monitoring = sys.monitoring
    trace = Trace(set())

    def start(code: CodeType, _offset: int) -> object:
        if code.co_filename.startswith(str(APP)) and code.co_name != "<module>":
            trace.codes.add(code)
        return monitoring.DISABLE

    monitoring.use_tool_id(monitoring.PROFILER_ID, __name__)
    monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.PY_START, start)
    monitoring.restart_events()
    monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.PY_START)
    try:
        yield trace
    finally:
        monitoring.set_events(monitoring.PROFILER_ID, 0)
        monitoring.free_tool_id(monitoring.PROFILER_ID)


def print_trace(what: str, trace: Trace) -> None:
    """One line, and the files."""
    files = trace.files
    print(f"{what}: {files.total()} functions in {len(files)} files, of {len(packages_of(files))} packages")
    for name, count in sorted(files.items()):
        print(f"  {count:3} {name}")


def packages_of(files: Iterable[str]) -> set[str]:
    """The folders that hold them."""
    return {str(Path(name).parent) for name in files}


if __name__ == "__main__":
    main()
