"""Promises of the search for secrets in the history."""

import secrets
import subprocess
from pathlib import Path

from tests.repo.history import KNOWN, Finding, findings


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@contoso.example")
    subprocess.run(["git", *who, *arguments], check=True, cwd=folder, capture_output=True)  # noqa: S603, S607 - git is on the path


def test_a_secret_is_found_also_after_it_was_deleted(tmp_path: Path) -> None:
    value, file = secrets.token_hex(32), tmp_path / "shared" / "settings.py"
    file.parent.mkdir()
    git(tmp_path, "init")
    for text in (f'TOKEN = "{value}"\n', 'TOKEN = ""\n'):
        file.write_text(text)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--no-verify", "-m", "a version")

    count, found = findings(tmp_path)

    assert 2 == count
    assert Finding("shared/settings.py", "Hex High Entropy String", value) in found


def test_what_is_known_has_its_reason() -> None:
    assert [] == [value for value, reason in KNOWN.items() if not reason]
