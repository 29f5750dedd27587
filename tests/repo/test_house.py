"""Promises of the repository itself: what is deployed, what is committed, what the README says."""

import json
import re
import subprocess
from pathlib import Path

from infra.local.package import left_out
from shared.connections import TABLES

ROOT = Path(__file__).parents[2]
REGISTRIES = re.compile(r"(pypi|npmjs|nuget)\.(org|com)|pythonhosted\.")


def committed() -> list[str]:
    """What git knows, and what it would be told next."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is on the path
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_a_deployment_holds_the_app_and_nothing_else() -> None:
    deployed = [name for name in committed() if not left_out(name)]

    assert {"function_app.py", "host.json", "requirements.txt", "constraints.txt"} <= set(deployed)
    others = [name for name in deployed if "/" in name and not name.startswith("shared/")]
    assert [] == others
    assert {"function_app.py", "host.json", "requirements.txt", "constraints.txt"} == {
        n for n in deployed if "/" not in n
    }
    assert "shared/pages/confirm.html" in deployed
    for local in (
        ".local/run.json",
        "local.settings.json",
        ".venv/bin/python",
        "infra/local/run.py",
        "tests/conftest.py",
    ):
        assert left_out(local)


def test_no_committed_file_names_a_registry_or_a_place_on_a_machine() -> None:
    for name in committed():
        text = (ROOT / name).read_text(errors="replace")
        if name != "tests/repo/test_house.py":
            assert not REGISTRIES.search(text), name
        assert not re.search(r"(?<![\w.])/(home|root|work)/\w", text), name


def test_requirements_are_pinned_and_each_has_its_reason() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("-")]

    assert lines
    assert [] == [line for line in lines if not re.fullmatch(r"[\w-]+==[\w.]+ +# .{10,}", line)]


def test_constraints_pin_whatever_is_required() -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    required = re.findall(r"(?m)^([\w-]+)==", (ROOT / "requirements.txt").read_text())

    assert [] == [name for name in required if name.lower() not in pinned]


def test_the_lock_of_node_packages_holds_no_addresses() -> None:
    lock = json.loads((ROOT / "infra/local/package-lock.json").read_text())

    assert [] == [name for name, package in lock["packages"].items() if "resolved" in package]


def test_every_make_target_of_the_readme_exists_and_help_lists_at_most_ten() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = re.findall(r"(?m)^(\w+):.*##", makefile)

    assert len(listed) <= 10
    assert set(re.findall(r"`?make (\w+)", (ROOT / "README.md").read_text())) <= set(listed)


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "make test"
    assert "\n```\nmake test\n```\n" in (ROOT / "README.md").read_text()


def test_secrets_are_revealed_only_where_they_are_sealed_sent_compared_or_answered() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "shared").rglob("*.py") if ".reveal()" in path.read_text()}

    assert {
        "shared/adapters/client_authentication.py",
        "shared/adapters/entra.py",
        "shared/adapters/entra_callers.py",
        "shared/adapters/graph.py",
        "shared/adapters/imap.py",
        "shared/adapters/key_wrapping.py",
        "shared/adapters/sealing.py",
        "shared/adapters/shard_queue.py",
        "shared/adapters/tables/connection.py",
        "shared/adapters/webhook_sender.py",
        "shared/domain/keys.py",
        "shared/domain/webhook.py",
        "shared/domain/sasl.py",
        "shared/domain/secret.py",
        "shared/triggers/authentication_form.py",
        "shared/triggers/browser_cookie.py",
        "shared/triggers/browser_pages.py",
        "shared/triggers/oauth_token.py",
        "shared/triggers/tokens.py",
        "shared/triggers/webhooks.py",
        "shared/usecases/sign_in/carried_grant.py",
        "shared/usecases/callers/identify_caller.py",
        "shared/usecases/grants/list_accounts.py",
        "shared/usecases/grants/refresh_grant.py",
        "shared/usecases/sign_in/start_registration.py",
    } == found


def test_a_rotation_knows_every_table() -> None:
    """A table that TABLES lacks would keep its secrets under old data keys, and lose them when those are forgotten."""
    code = (ROOT / "shared/connections/tables.py").read_text()
    used = set(re.findall(r'_(?:table|rows)\("(\w+)"', code))

    assert len(used) >= 6
    assert [] == sorted(used - set(TABLES))
