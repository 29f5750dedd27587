"""`mailbind` and accounts: the real command against the running app."""

import json
import subprocess
import time
from collections.abc import Callable

import httpx
import pytest

from infra.local.environment import Environment
from infra.local.parts import ROOT
from infra.local.visitor import Visitor
from shared.domain.remedy import Reader, remedy
from shared.usecases.upkeep.statistics import HEALTH_LIFETIME
from tests.journey.apps import Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.cli import BACK, COMMAND, Cli, captured_command, problem, told, variables  # noqa: F401 - a fixture
from tests.journey.conftest import Tenant, ask, bind

type NewPerson = Callable[..., str]


def test_operator_binds_finds_repairs_and_removes_an_account(
    cli: Cli, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who = person()
    account = f"desk-{who.partition('@')[0]}"
    asked = cli("link", "--account", account, "--email", "support@contoso.example", "--name", "Help Desk", *BACK)
    assert 0 == asked.returncode, asked.stderr
    visitor.follow(asked.stdout.splitlines()[0], who)

    heads, row = cli("list", "--authorized-by", who).stdout.splitlines()
    assert ["ACCOUNT", "STATE", "MAILBOX", "AUTHORIZED", "BY", "ERROR", "SINCE"] == heads.split()
    assert [account, "connected", "support@contoso.example", who, "-", "-"] == row.split()
    assert f"authorized by          {who}, bound just now\n" in cli("show", account).stdout
    tenant.do("revoke", person=who)
    ailing = cli("reconnect", account)
    assert 1 == ailing.returncode
    assert "not reconnected: needs_sign_in; the account's state is authenticationError" == ailing.stdout.splitlines()[0]
    assert remedy("needs_sign_in", Reader.OPERATOR)[1:] == tuple(ailing.stdout.splitlines()[1:])
    shown = cli("show", account).stdout.splitlines()
    assert [*ailing.stdout.splitlines()[1:], f"Run: mailbind reauthorize {account} --redirect-url URL"] == shown[-3:]
    assert ["error", "needs_sign_in,", "just", "now"] in [line.split() for line in shown]
    cli("pause", account)
    resumed = cli("resume", account)
    assert (1, "authenticationError: needs_sign_in") == (resumed.returncode, resumed.stdout.splitlines()[0][-34:])
    visitor.follow(told(cli("reauthorize", account, "--json", MAILBIND_REDIRECT_URL=BACK[1]))["url"], who)
    assert "connected" == told(cli("reconnect", account, "--json"))["state"]
    assert f"{account} is paused\n" == cli("pause", account).stdout
    assert "paused" == told(cli("show", account, "--json"))["state"]
    assert f"{account} is resumed\n" == cli("resume", account).stdout

    unconfirmed = cli("delete", account)
    assert 2 == unconfirmed.returncode
    assert "Deleting cannot be undone. Add --yes to confirm." in unconfirmed.stderr
    assert f"{account} is deleted, and its tokens too\n" == cli("delete", account, "--yes").stdout
    gone = cli("show", account)
    assert (1, "", "error: No such account (NotFound)\n") == (gone.returncode, gone.stdout, gone.stderr)


def test_list_shows_trouble_and_the_command_that_ends_it(
    cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant
) -> None:
    who, locked_out, well = person(), person(), person()
    signed_out = bind(api, visitor, who, account=f"it's {who.partition('@')[0]}")
    closed = bind(api, visitor, locked_out)
    bind(api, visitor, well)
    tenant.do("revoke", person=who)
    tenant.do("access", person=locked_out, mailbox="support@contoso.example", fullAccess=False)
    cli("reconnect", signed_out)
    cli("reconnect", closed)

    trouble = told(cli("list", "--trouble", "--json"))
    both = told(cli("list", "--state", "connectError", "--state", "authenticationError", "--json"))
    text = cli("list", "--trouble", "--authorized-by", who, MAILBIND_REDIRECT_URL=BACK[1]).stdout

    assert {"accounts", "refusedApps", "setupFaults", "events"} == {*trouble}
    assert {"authenticationError", "connectError"} == {account["state"] for account in trouble["accounts"]}
    ids = [account["account"] for account in trouble["accounts"]]
    assert {signed_out, closed} <= {*ids}
    assert sorted(ids) == sorted(account["account"] for account in both["accounts"])
    assert "connectError" == both["accounts"][0]["state"]
    table, _, what_to_do, command = text.splitlines()[1:5]
    assert table.endswith("needs_sign_in  just now")
    assert f"needs_sign_in: {remedy('needs_sign_in', Reader.OPERATOR).message}" == what_to_do
    assert f"""  mailbind reauthorize 'it'"'"'s {who.partition("@")[0]}'""" == command
    assert f"  mailbind reconnect {closed}\n" in cli("list", "--query", closed).stdout
    assert "No account is in trouble.\n" == cli("list", "--trouble", "--authorized-by", well).stdout
    assert "No accounts.\n" == cli("list", "--email", "nobody@contoso.example").stdout


def test_token_of_some_accounts_lists_what_is_in_trouble(cli: Cli) -> None:
    """Such a token may not read the statistics."""
    wish = ("--description", "desk", "--scope", "accounts:read", "--account-prefix", "no-such-account")
    limited = told(cli("token", "create", *wish, "--json"))["token"]

    assert {"accounts": [], "refusedApps": []} == told(cli("list", "--trouble", "--json", MAILBIND_TOKEN=limited))


def test_one_link_requests_several_mailboxes(cli: Cli, reusing: Environment) -> None:
    where = {"MAILBIND_BASE_URL": reusing.base_url, "MAILBIND_TOKEN": reusing.secrets.admin_token}
    mailboxes = ("support@contoso.example", "sales@contoso.example")

    asked = told(cli("link", *BACK, "--json", *(word for one in mailboxes for word in ("--mailbox", one)), **where))
    status = told(cli("registration", "show", asked["registration"], "--json", **where))

    assert mailboxes == tuple(mailbox["email"] for mailbox in status["mailboxes"])


def test_command_waits_until_somebody_has_signed_in(
    api: httpx.Client, environment: Environment, visitor: Visitor, person: NewPerson
) -> None:
    asked = ask(api)
    command = [*COMMAND, "registration", "wait", asked["registration"]]
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env=variables(environment, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stderr is not None
        assert "Waiting: nobody has opened the link.\n" == waiting.stderr.readline()
        assert 200 == visitor.follow(asked["url"], person()).status
        shown, _ = waiting.communicate(timeout=60)

    assert 0 == waiting.returncode
    assert "completed: somebody has signed in, and the mailbox is bound" in shown
    assert ["support@contoso.example", asked["account"], "new", "-"] == shown.splitlines()[-1].split()


def test_waiting_ends_without_a_sign_in(cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    asked = ask(api)
    visitor.follow(asked["url"], person(access=False))
    timed_out = cli("registration", "wait", asked["registration"], "--timeout", "1")
    api.delete(f"/v1/authentication/form/{asked['registration']}")
    ended = cli("registration", "wait", asked["registration"], "--json")

    assert (1, "Waiting: a sign-in failed; the link still works.\n") == (timed_out.returncode, timed_out.stderr)
    remedies = remedy("no_mailbox_access", Reader.OPERATOR)
    assert f"no_mailbox_access: {remedies.message}" == timed_out.stdout.splitlines()[-1]
    assert "cancelled" == problem(ended)["status"]
    assert "NotFound" == problem(cli("registration", "show", "0" * 64, "--json"))["code"]


def test_long_list_is_fetched_page_by_page(cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson) -> None:
    bind(api, visitor, person(), name="\u202edeR")

    everything = told(cli("list", "--json", "--limit", "1000000"))["accounts"]
    assert api.get("/v1/accounts").json()["total"] == len(everything)
    assert "\u202e" not in cli("list").stdout
    assert 1 == len(told(cli("list", "--json", "--limit", "1"))["accounts"])


def test_refused_oauth_app_is_named_below_the_list(
    cli: Cli, api: httpx.Client, visitor: Visitor, person: NewPerson, tenant: Tenant, register: Register
) -> None:
    app = register()
    account = bind(api, visitor, person(), type=app)
    tenant.do("fail", endpoint="token", failure="7000222", times=1)
    line = (
        "OAuth app Contoso archive is refused by Microsoft (app_credential): none of its grants is renewed."
        f" Run: mailbind app verify {app}"
    )

    reconnected, listed, counted = cli("reconnect", account), cli("list", "--query", account), cli("stats")

    assert (1, "not reconnected: app_credential") == (reconnected.returncode, reconnected.stdout.partition(";")[0])
    assert (0, line) == (listed.returncode, listed.stdout.splitlines()[-1])
    assert line == cli("list", "--trouble", "--query", account).stdout.splitlines()[-1]
    assert (0, line) == (counted.returncode, counted.stdout.splitlines()[-1])
    time.sleep(HEALTH_LIFETIME.total_seconds())
    health = cli("health")
    assert (1, "Not all is well.", line) == (health.returncode, *health.stdout.splitlines())
    assert [app] == [refused["app"] for refused in problem(cli("health", "--json"))["refusedApps"]]
    assert 0 == cli("app", "verify", app).returncode
    assert line not in cli("list", "--query", account).stdout
    time.sleep(HEALTH_LIFETIME.total_seconds())
    assert (0, "All is well.\n") == (cli("health").returncode, cli("health").stdout)


@pytest.mark.parametrize(
    ("code", "says", "arguments", "changes"),
    [
        (2, "MAILBIND_TOKEN", ["list"], {"MAILBIND_TOKEN": None}),
        (2, "MAILBIND_BASE_URL", ["list"], {"MAILBIND_BASE_URL": None}),
        (2, "https", ["list"], {"MAILBIND_BASE_URL": "http://mailbind.example"}),
        (2, "not an API token", ["list"], {"MAILBIND_TOKEN": "ü"}),
        (2, "--redirect-url", ["link"], {}),
        (2, "whole number", ["list", "--limit", "0"], {}),
        (2, "not allowed with argument", ["list", "--trouble", "--state", "paused"], {}),
        (1, "cannot be read", ["list", "--token-file", "nowhere"], {}),
        (1, "cannot be read", ["list", "--ca-file", "nowhere"], {}),
        (1, "cannot be reached", ["list"], {"MAILBIND_BASE_URL": "http://127.0.0.1:9"}),
        (1, "Check the address", ["list"], {"MAILBIND_BASE_URL": "{base}/wrong"}),
        (1, "is required", ["link", *BACK], {}),
        (1, "must be one of", ["list", "--state", "odd"], {}),
        (1, "Bad token", ["list"], {"MAILBIND_TOKEN": "f" * 64}),
    ],
)
def test_failure_has_a_message_and_an_exit_code(
    cli: Cli, environment: Environment, code: int, says: str, arguments: list[str], changes: dict[str, str | None]
) -> None:
    where = {name: value and value.replace("{base}", environment.base_url) for name, value in changes.items()}
    done, as_json = cli(*arguments, **where), cli(*arguments, "--json", **where)

    assert (code, "") == (done.returncode, done.stdout)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert (code, "") == (as_json.returncode, as_json.stderr)
    body = json.loads(as_json.stdout)
    assert {"error", "message", "code"} <= {*body}
    assert says in " ".join([body["message"], *(field["message"] for field in body.get("fields", []))])
