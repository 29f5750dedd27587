"""`mailbind` and what is configured: API tokens, OAuth apps, webhooks, settings."""

import re
from pathlib import Path

import httpx
import pytest

from infra.local.environment import APP_ID, Environment
from shared.domain.oauth_app import shadowing_notice
from shared.domain.webhook import Delivery
from shared.ports import App
from tests.events.conftest import SECRET as SIGNING_SECRET
from tests.events.conftest import Receiver
from tests.journey.apps import ARCHIVE, CONTOSO, SECRET, Register, registers_apps  # noqa: F401 - a fixture
from tests.journey.cli import Cli, captured_command, problem, told  # noqa: F401 - a fixture
from tests.keys.test_client_authentication import certificate


def test_token_is_issued_used_listed_and_revoked(cli: Cli) -> None:
    wish = ("--description", "desk\u202e", "--scope", "accounts:read", "--account-prefix", "de", "--days", "1")
    issued = told(cli("token", "create", *wish, "--json"))

    piped = cli("list", "--token-file", "-", "--limit", "1", stdin=f"{issued['token']}\n", MAILBIND_TOKEN=None)
    refused = cli("delete", "desk", "--yes", MAILBIND_TOKEN=issued["token"])
    listed = cli("token", "list").stdout

    assert (0, "") == (piped.returncode, piped.stderr)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "accounts:write" in refused.stderr
    (row,) = (line for line in listed.splitlines() if line.startswith(issued["id"]))
    assert ["desk?", "accounts:read", "de…", "just", "now"] == row.split()[1:6]
    assert "in 24 hours" in row
    assert issued["id"] in [token["id"] for token in told(cli("token", "list", "--json"))["tokens"]]
    assert f"{issued['id']} is revoked.\n" == cli("token", "revoke", f"{issued['id'][:12]}…").stdout
    again = problem(cli("token", "revoke", issued["id"], "--json"))
    assert ("CommandFailed", "No such API token.") == (again["code"], again["message"])


def test_beginning_of_several_ids_revokes_nothing(cli: Cli, api: httpx.Client) -> None:
    wish = {"description": "x", "scopes": ["register"]}
    ids = {api.post("/v1/token", json=wish).json()["id"] for _ in range(17)}
    firsts = [token[0] for token in ids]

    refused = cli("token", "revoke", max(firsts, key=firsts.count))
    for token in ids:
        assert api.delete(f"/v1/token/{token}").json()["deleted"]

    assert (1, "") == (refused.returncode, refused.stdout)
    assert "API tokens begin with this." in refused.stderr


def test_oauth_app_is_added_changed_and_given_a_new_secret(cli: Cli, api: httpx.Client) -> None:
    described = ("--name", "Archive", "--client-id", ARCHIVE, "--authority", CONTOSO)
    added = told(cli("app", "add", *described, "--extra-scope", "Mail.Send.Shared", "--json", stdin="wrong\n"))
    app = added["id"]
    try:
        assert ["Mail.Send.Shared"] == api.get(f"/v1/oauth2/{app}").json()["extraScopes"]
        faulty = cli("app", "verify", app)
        stored = cli("app", "set-secret", app, "--expires", "2099-01-31", stdin=f"{SECRET}\n")
        changed = cli("app", "change", app, "--enabled", "--title", "Old mail", "--extra-scope", "")
        listed = cli("app", "list").stdout

        assert (1, "") == (faulty.returncode, faulty.stderr)
        assert "fail  Entra accepts the app's credential" in faulty.stdout
        assert "\n      The secret is wrong." in faulty.stdout
        assert f"The secret of {app} is stored.\nCheck it: mailbind app verify {app}\n" == stored.stdout
        assert f"{app} is changed.\nCheck it: mailbind app verify {app}\n" == changed.stdout
        now = api.get(f"/v1/oauth2/{app}").json()
        assert (True, "Old mail", []) == (now["enabled"], now["title"], now["extraScopes"])
        assert "2099-01-31T00:00:00.000Z" == now["secretExpires"]
        verified = cli("app", "verify", app)
        assert (0, "ok") == (verified.returncode, verified.stdout.split()[0])
        assert {APP_ID, app} <= {line.split()[0] for line in listed.splitlines()[1:]}
        assert "Its end date is unknown." in cli("app", "set-secret", app, "--second", stdin="another").stdout
        assert "******" == api.get(f"/v1/oauth2/{app}").json()["clientSecret2"]
        nothing = problem(cli("app", "change", app, "--json"))
        assert "There is nothing to change. Add an option." == nothing["message"]
    finally:
        api.delete(f"/v1/oauth2/{app}")


def test_change_tells_that_the_settings_do_not_count_any_more(cli: Cli, api: httpx.Client) -> None:
    changed = cli("app", "change", APP_ID, "--title", "Other words")
    shadowing = cli("app", "list")
    api.delete(f"/v1/oauth2/{APP_ID}")

    notice = f"{APP_ID}: {shadowing_notice(APP_ID)}"
    assert (notice, notice) == (changed.stdout.splitlines()[1], shadowing.stdout.splitlines()[-1])
    assert "instead of the settings" not in cli("app", "list").stdout


def test_certificate_is_read_from_a_file(cli: Cli, api: httpx.Client, register: Register, tmp_path: Path) -> None:
    app, file = register(), tmp_path / "app.pem"
    file.write_text("".join(certificate(days=20)))

    told(cli("app", "change", app, "--certificate", str(file), "--json"))

    assert "certificate" == api.get(f"/v1/oauth2/{app}").json()["authentication"]
    assert 1 == cli("app", "change", app, "--certificate", str(tmp_path / "none")).returncode


@pytest.mark.parametrize("command", [["app", "set-secret", APP_ID], ["app", "add", "--name", "x"]], ids=" ".join)
def test_secret_comes_from_standard_input_only(cli: Cli, api: httpx.Client, command: list[str]) -> None:
    more = ["--client-id", ARCHIVE, "--authority", CONTOSO] if "add" in command else []

    refused = cli(*command, *more, stdin="\n")

    assert (1, "", "error: There is no secret on standard input.\n") == (
        refused.returncode,
        refused.stdout,
        refused.stderr,
    )
    assert "settings" == api.get(f"/v1/oauth2/{APP_ID}").json()["source"]


async def test_webhook_is_listed_shown_pinged_and_redelivered(
    cli: Cli, api: httpx.Client, receiver: Receiver, instance: App
) -> None:
    made = api.post("/v1/webhooks", json={"url": receiver.url("ok/command"), "secret": SIGNING_SECRET}).json()["id"]
    now = instance.clock()
    parked = Delivery(made, "0" * 28, "lane", "accountAdded", "{}", now, "desk", 3, error="it answered 500", parked=now)
    await instance.stores.deliveries.put([parked])

    (row,) = (line for line in cli("webhooks", "list").stdout.splitlines() if line.startswith(made))
    shown = cli("webhooks", "show", made[:12]).stdout
    trouble = cli("list", "--trouble", "--query", made).stdout

    assert ["*", "all", "0", "1", "it", "answered", "500"] == row.split()[2:]
    assert ["accountAdded", "desk", "just", "now", "3", "it", "answered", "500"] == shown.splitlines()[-3].split()
    assert re.search(r"(?m)^Parked events: \d+\. Run: mailbind webhooks list$", trouble)
    assert f"Send them again: mailbind webhooks redeliver {made}" == shown.splitlines()[-1]
    assert made in [each["id"] for each in told(cli("webhooks", "list", "--json"))["webhooks"] if each["parked"]]
    assert "The target accepted the ping.\n" == cli("webhooks", "ping", made).stdout
    assert 2 == len(receiver.took("ok/command"))  # the first one came with the subscription
    assert "1 event is sent again.\n" == cli("webhooks", "redeliver", made).stdout
    assert 0 == told(cli("webhooks", "redeliver", made, "--json"))["redelivered"]
    api.delete(f"/v1/webhooks/{made}")
    assert "error: No such webhook.\n" == cli("webhooks", "show", made).stderr


def test_ping_that_is_not_accepted_is_a_failure(cli: Cli, api: httpx.Client, receiver: Receiver) -> None:
    body = {"url": receiver.url("fails/command"), "secret": SIGNING_SECRET, "verify": False}
    made = api.post("/v1/webhooks", json=body).json()["id"]

    refused = cli("webhooks", "ping", made)
    api.delete(f"/v1/webhooks/{made}")

    assert (1, "The target did not accept the ping: it answered 500.\n") == (refused.returncode, refused.stdout)


def test_settings_and_statistics_are_shown(cli: Cli, environment: Environment) -> None:
    settings, stats = cli("settings").stdout, cli("stats").stdout

    assert ["serviceUrl", environment.base_url] in [line.split() for line in settings.splitlines()]
    assert environment.base_url == told(cli("settings", "--json"))["serviceUrl"]
    assert {"accounts", "overdue", "events"} <= {line.split()[0] for line in stats.splitlines()}
    assert {"accounts", "breakers", "setupFaults"} <= {*told(cli("stats", "--json"))}
    limited = told(cli("token", "create", "--description", "x", "--scope", "accounts:read", "--json"))["token"]
    assert "admin" == problem(cli("settings", "--json", MAILBIND_TOKEN=limited))["requestedScope"]
