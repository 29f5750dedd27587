"""Promises of the repository itself: what is deployed, what is committed, what the README says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.package import is_ignored

ROOT = Path(__file__).parents[2]
TEST_NAME = re.compile(r"(?m)^(?:async )?def (test_\w+)")
MAX_TEST_NAME_CHARACTERS = 60
REGISTRIES = re.compile(r"(pypi|npmjs|nuget)\.(org|com)|pythonhosted\.")

# Requirements and what `make lock` compiles them to.
LOCKED = [
    ("requirements.txt", "constraints.txt"),
    ("requirements-dev.txt", "constraints-dev.txt"),
    ("infra/checks/requirements.txt", "infra/checks/constraints.txt"),
]
PIN = re.compile(r"([\w.-]+)==([^\s;]+)( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(constraints: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of each package in a compiled file."""
    text = (ROOT / constraints).read_text()
    blocks = re.findall(r"(?m)^([\w.-]+)==([^\s;]+).*((?:\n .*)*)", text)
    return {normal(name): (version, frozenset(re.findall("[0-9a-f]{64}", hashes))) for name, version, hashes in blocks}


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
    deployed = [name for name in committed() if not is_ignored(name)]

    assert {"function_app.py", "host.json", "requirements.txt", "constraints.txt"} <= set(deployed)
    others = [name for name in deployed if "/" in name and not name.startswith("shared/")]
    assert [] == others
    assert {"function_app.py", "host.json", "requirements.txt", "constraints.txt"} == {
        n for n in deployed if "/" not in n
    }
    assert "shared/browser/templates/confirm.html" in deployed
    for local in (
        ".local/run.json",
        "local.settings.json",
        ".venv/bin/python",
        "infra/local/run.py",
        "tests/conftest.py",
    ):
        assert is_ignored(local)


def test_no_file_names_a_registry_or_a_machines_folder() -> None:
    for name in committed():
        text = (ROOT / name).read_text(errors="replace")
        if name != "tests/repo/test_house.py":
            assert not REGISTRIES.search(text), name
        assert not re.search(r"(?<![\w.])/(home|root|work)/\w", text), name


def test_requirements_are_pinned_and_each_has_its_reason() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[0] not in "-#"]

    assert lines
    assert [] == [line for line in lines if not re.fullmatch(r"[\w-]+==[\w.]+ +# .{10,}", line)]


@pytest.mark.parametrize("constraints", [one for pair in LOCKED for one in pair[1:]])
def test_every_pin_has_hashes(constraints: str) -> None:
    text = (ROOT / constraints).read_text()
    lines = [line for line in text.splitlines() if line[0] != "#"]

    assert len(pins(constraints)) == len([line for line in lines if not line.startswith(" ")])
    assert [] == [name for name, (_version, hashes) in pins(constraints).items() if not hashes]
    assert [] == [line for line in lines if not PIN.fullmatch(line) and not HASH.fullmatch(line)]


@pytest.mark.parametrize(("requirements", "constraints"), LOCKED)
def test_constraints_have_the_version_that_is_required(requirements: str, constraints: str) -> None:
    required = re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", (ROOT / requirements).read_text())
    locked = {name: version for name, (version, _hashes) in pins(constraints).items()}

    assert required
    assert {} == {name: version for name, version in required if locked.get(normal(name)) != version}


def test_the_deployment_and_its_tests_use_the_same_packages() -> None:
    runtime, development = pins("constraints.txt"), pins("constraints-dev.txt")

    assert {} == {name: pin for name, pin in runtime.items() if development.get(name) != pin}


@pytest.mark.parametrize(
    ("requirements", "included"),
    [
        ("requirements.txt", ["constraints.txt"]),
        ("requirements-dev.txt", ["constraints-dev.txt", "requirements.txt"]),
    ],
)
def test_hashes_come_before_the_requirements_that_they_are_for(requirements: str, included: list[str]) -> None:
    """Package installers ignore or refuse hashes elsewhere: docs/decisions/pins.md."""
    lines = [line for line in (ROOT / requirements).read_text().splitlines() if line[0] != "#"]

    assert [f"-r {name}" for name in included] == lines[: len(included)]
    assert not [line for line in lines[len(included) :] if line.startswith("-")]


@pytest.mark.parametrize(
    "installer", [("pip", "install"), ("uv", "pip", "install", "--no-cache")], ids=lambda it: it[0]
)
@pytest.mark.parametrize("name", ["standardwebhooks", "isodate"])
def test_a_package_that_differs_from_its_hash_is_not_installed(
    tmp_path: Path, name: str, installer: tuple[str, ...]
) -> None:
    """One that is required, and one that others need, by both installers that the platform's build may use."""
    (block,) = re.findall(rf"(?m)^{name}==.*(?:\n .*)*", (ROOT / "constraints.txt").read_text())
    (tmp_path / "requirements.txt").write_text(f"-r constraints.txt\n{block.split()[0]}\n")

    def install(constraints: str, folder: str) -> str:
        (tmp_path / "constraints.txt").write_text(constraints)
        command = [sys.executable, "-m", *installer, "--no-deps", "--target", folder, "-r", "requirements.txt"]
        return subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True).stderr  # noqa: S603 - an installer

    refused = install(re.sub("sha256:.{8}", "sha256:00000000", block), "other")
    install(block, "own")

    assert re.search(r"(?i)hash(es)? (mismatch|from the requirements file)", refused)
    assert not list(tmp_path.glob(f"other/{name}*"))
    assert list(tmp_path.glob(f"own/{name}*"))


@pytest.mark.parametrize("folder", ["infra/local", "infra/checks"])
def test_the_node_lock_has_checksums_and_no_addresses(folder: str) -> None:
    packages = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]

    assert [] == [name for name, package in packages.items() if "resolved" in package]
    assert [] == [name for name, package in packages.items() if name and "integrity" not in package]


def test_readme_targets_exist_and_help_lists_at_most_ten() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = re.findall(r"(?m)^(\w+):.*##", makefile)

    assert len(listed) <= 10
    assert set(re.findall(r"`?make (\w+)", (ROOT / "README.md").read_text())) <= set(listed)


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    _shell, _folder, *commands = (ROOT / ".ci/run").read_text().splitlines()
    assert ["make test"] == commands
    assert "\n```\nmake test\n```\n" in (ROOT / "README.md").read_text()


def test_secrets_are_revealed_in_few_places() -> None:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "shared").rglob("*.py") if ".reveal()" in path.read_text()}

    assert {
        "shared/adapters/msal_applications.py",
        "shared/adapters/entra.py",
        "shared/adapters/entra_callers.py",
        "shared/adapters/graph.py",
        "shared/adapters/graph_mail.py",
        "shared/adapters/imap.py",
        "shared/adapters/key_wrapping.py",
        "shared/adapters/sealing.py",
        "shared/adapters/shard_queue.py",
        "shared/adapters/tables/connection.py",
        "shared/adapters/webhook_sender.py",
        "shared/domain/formats.py",
        "shared/browser/cookie.py",
        "shared/browser/sign_in_pages.py",
        "shared/domain/webhook.py",
        "shared/domain/secret.py",
        "shared/api/access_tokens.py",
        "shared/http/responses.py",
        "shared/usecases/sign_in/consent.py",
        "shared/usecases/sign_in/outcome.py",
        "shared/usecases/sign_in/repeated.py",
        "shared/usecases/callers/identify.py",
        "shared/usecases/accounts/read.py",
        "shared/usecases/tokens/refresh.py",
        "shared/usecases/sign_in/start.py",
        "shared/usecases/mail/use_mailbox.py",  # the value of a link, which Graph made
        "shared/usecases/mail/list_messages.py",  # a cursor
    } == found


def test_every_tests_name_is_a_short_sentence() -> None:
    names = [name for file in (ROOT / "tests").rglob("test_*.py") for name in TEST_NAME.findall(file.read_text())]

    assert len(names) > 1000
    assert [] == [name for name in names if len(name) > MAX_TEST_NAME_CHARACTERS]
