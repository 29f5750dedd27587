"""`python -m shared.cli`: the real command against the running app."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from infra.local.parts import ROOT
from infra.local.visitor import Visitor
from shared.domain.oauth_app import shadowing_notice
from shared.domain.remedy import Reader, remedy
from shared.usecases.upkeep.statistics import HEALTH_LIFETIME
from tests.journey.apps import Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, bind

type NewPerson = Callable[..., str]
type Run = subprocess.CompletedProcess[str]
type Cli = Callable[..., Run]

BACK = ("--redirect-url", "https://myapp.example/done")


@pytest.fixture
def cli(environment: Environment) -> Cli:
    """The command with address and token in its environment; `None` removes a variable."""

    def run(*arguments: str, stdin: str = "", **changes: str | None) -> Run:
        told = {"MAILBIND_BASE_URL": environment.base_url, "MAILBIND_TOKEN": environment.secrets.admin_token}
        variables = {name: value for name, value in {**os.environ, **told, **changes}.items() if value is not None}
        command = [sys.executable, "-m", "shared.cli", *arguments]
        return subprocess.run(  # noqa: S603 - our own command
            command, cwd=ROOT, env=variables, input=stdin, capture_output=True, text=True, check=False
        )

    return run


def told(run: Run) -> Any:
    assert (0, "") == (run.returncode, run.stderr)
    return json.loads(run.stdout)


def test_operator_binds_finds_repairs_and_removes_an_account(
    cli: Cli, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = f"desk-{who.partition('@')[0]}"
    asked = cli("link", "--account", account, "--email", "support@contoso.example", "--name", "Help Desk", *BACK)
    assert 0 == asked.returncode, asked.stderr
    visitor.follow(asked.stdout.splitlines()[0], who)

    heads, row = cli("list", "--authorized-by", who).stdout.splitlines()
    assert ["ACCOUNT", "STATE", "MAILBOX", "AUTHORIZED", "BY", "ERROR"] == heads.split()
    assert [account, "connected", "support@contoso.example", who, "-"] == row.split()
    assert ["authorizedBy.user", who] in [line.split() for line in cli("show", account).stdout.splitlines()]
    tenant.do("revoke", person=who)
    ailing = cli("reconnect", account)
    assert 1 == ailing.returncode
    assert "not reconnected: needs_sign_in; the account's state is authenticationError" == ailing.stdout.splitlines()[0]
    assert remedy("needs_sign_in", Reader.OPERATOR)[1:] == tuple(ailing.stdout.splitlines()[1:])
    assert ailing.stdout.splitlines()[1:] == cli("show", account).stdout.splitlines()[-2:]
    cli("pause", account)
    resumed = cli("resume", account)
    assert (1, "authenticationError: needs_sign_in") == (resumed.returncode, resumed.stdout.splitlines()[0][-34:])
    assert "needs_sign_in" in cli("list", "--state", "authenticationError", "--query", account).stdout
    visitor.follow(told(cli("reauthorize", account, *BACK, "--json"))["url"], who)
    assert "connected" == told(cli("reconnect", account, "--json"))["state"]
    assert f"{account} is paused\n" == cli("pause", account).stdout
    assert "paused" == told(cli("show", account, "--json"))["state"]
    assert f"{account} is resumed\n" == cli("resume", account).stdout

    assert 2 == cli("delete", account).returncode
    assert f"{account} is deleted, and its tokens too\n" == cli("delete", account, "--yes").stdout
    gone = cli("show", account)
    assert (1, "", "error: No such account (NotFound)\n") == (gone.returncode, gone.stdout, gone.stderr)


def test_one_link_requests_several_mailboxes(cli: Cli, reusing: Environment) -> None:
    where = {"MAILBIND_BASE_URL": reusing.base_url, "MAILBIND_TOKEN": reusing.secrets.admin_token}
    mailboxes = ("support@contoso.example", "sales@contoso.example")

    asked = told(cli("link", *BACK, "--json", *(word for one in mailboxes for word in ("--mailbox", one)), **where))

    with httpx.Client(headers={"Authorization": f"Bearer {reusing.secrets.admin_token}"}) as client:
        status = client.get(f"{reusing.base_url}/v1/authentication/form/{asked['registration']}").json()
    assert mailboxes == tuple(mailbox["email"] for mailbox in status["mailboxes"])


def test_long_list_is_fetched_page_by_page(cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    bind(api, visitor, person(), name="\u202edeR")

    everything = told(cli("list", "--json", "--limit", "1000000"))["accounts"]
    assert api.get("/v1/accounts").json()["total"] == len(everything)
    assert "\u202e" not in cli("list").stdout
    assert 1 == len(told(cli("list", "--json", "--limit", "1"))["accounts"])


def test_token_is_issued_and_used_from_standard_input(cli: Cli) -> None:
    issued = told(cli("token", "create", "--description", "desk", "--scope", "accounts:read", "--days", "1", "--json"))

    piped = cli("list", "--token-file", "-", "--limit", "1", stdin=f"{issued['token']}\n", MAILBIND_TOKEN=None)
    refused = cli("delete", "desk", "--yes", MAILBIND_TOKEN=issued["token"])

    assert (0, "") == (piped.returncode, piped.stderr)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "accounts:write" in refused.stderr


def test_oauth_app_is_verified_step_by_step(cli: Cli, api: httpx.Client, environment: Environment) -> None:
    wish = {"name": "Wrong", "provider": "outlook", "clientId": "8e41f7b2-60cd-4f1a-9d35-2a7be90c64d8"}
    where = {"authority": environment.tenant.ready["tenantId"], "redirectUrl": f"{environment.base_url}/oauth"}
    wrong = api.post("/v1/oauth2", json={**wish, **where, "clientSecret": "wrong", "enabled": False}).json()["id"]

    sound, faulty, listed = cli("app", "verify", APP_ID), cli("app", "verify", wrong), cli("app", "list")
    api.delete(f"/v1/oauth2/{wrong}")

    assert (0, "ok") == (sound.returncode, sound.stdout.split()[0])
    assert (1, "") == (faulty.returncode, faulty.stderr)
    assert "fail  Entra accepts the app's credential" in faulty.stdout
    assert "\n      The secret is wrong." in faulty.stdout
    assert {APP_ID, wrong} <= {line.split()[0] for line in listed.stdout.splitlines()[1:]}


def test_app_list_shows_what_counts_instead_of_settings(cli: Cli, api: httpx.Client) -> None:
    api.put(f"/v1/oauth2/{APP_ID}", json={"title": "Other words"})
    shadowing = cli("app", "list")
    api.delete(f"/v1/oauth2/{APP_ID}")

    assert f"{APP_ID}: {shadowing_notice(APP_ID)}" == shadowing.stdout.splitlines()[-1]
    assert "instead of the settings" not in cli("app", "list").stdout


def test_refused_oauth_app_is_named_below_the_list(
    cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="7000222", times=1)
    line = (
        "OAuth app Contoso archive is refused by Microsoft (app_credential): none of its grants is renewed."
        f" Run: python -m shared.cli app verify {app}"
    )

    reconnected, listed, counted = cli("reconnect", account), cli("list", "--query", account), cli("stats")

    assert (1, "not reconnected: app_credential") == (reconnected.returncode, reconnected.stdout.partition(";")[0])
    assert (0, line) == (listed.returncode, listed.stdout.splitlines()[-1])
    assert (0, line) == (counted.returncode, counted.stdout.splitlines()[-1])
    time.sleep(HEALTH_LIFETIME.total_seconds())
    health = cli("health")
    assert (1, line) == (health.returncode, health.stdout.splitlines()[-1])
    assert 0 == cli("app", "verify", app).returncode
    assert line not in cli("list", "--query", account).stdout


@pytest.mark.parametrize(
    ("code", "says", "arguments", "changes"),
    [
        (2, "MAILBIND_TOKEN", ["list"], {"MAILBIND_TOKEN": None}),
        (2, "MAILBIND_BASE_URL", ["list"], {"MAILBIND_BASE_URL": None}),
        (2, "https", ["list"], {"MAILBIND_BASE_URL": "http://mailbind.example"}),
        (2, "not an API token", ["list"], {"MAILBIND_TOKEN": "ü"}),
        (2, "--redirect-url", ["link"], {}),
        (2, "whole number", ["list", "--limit", "0"], {}),
        (1, "cannot read", ["list", "--token-file", "nowhere"], {}),
        (1, "cannot read", ["list", "--ca-file", "nowhere"], {}),
        (1, "cannot be reached", ["list"], {"MAILBIND_BASE_URL": "http://127.0.0.1:9"}),
        (1, "Check the address", ["list"], {"MAILBIND_BASE_URL": "{base}/wrong"}),
        (1, '"email" is required', ["link", *BACK], {}),
        (1, '"state" must be one of', ["list", "--state", "odd"], {}),
        (1, "Bad token", ["list"], {"MAILBIND_TOKEN": "f" * 64}),
    ],
)
def test_failure_has_a_message_and_an_exit_code(
    cli: Cli, environment: Environment, code: int, says: str, arguments: list[str], changes: dict[str, str | None]
) -> None:
    done = cli(*arguments, **{n: v and v.replace("{base}", environment.base_url) for n, v in changes.items()})

    assert (code, "") == (done.returncode, done.stdout)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
