"""`make setup`: the Python that it needs, and what it says without."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = (ROOT / ".python-version").read_text().strip()
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt", "constraints-dev.txt")
ADVICE = f"install Python {NEEDED} and run PYTHON=python{NEEDED} make setup"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What `make` reads, in a folder of its own, without a package to install."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("Makefile", ".python-version"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in REQUIREMENTS:
        (folder / name).touch()
    return folder


def make(folder: Path, goal: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a terminal, also where it is make that runs the tests."""
    inherited = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON"}}
    return subprocess.run(  # noqa: S603 - a goal of our own
        ["make", goal],  # noqa: S607 - the one on the path
        check=False,
        cwd=folder,
        env=inherited | variables,
        capture_output=True,
        text=True,
    )


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("version", ["3.11.7", "3.14.0", "2.7.18", "3.1.3"])
def test_another_python_is_refused_at_once(copy: Path, tmp_path: Path, version: str) -> None:
    script(tmp_path / "bin/python3", f"echo {version}")

    refused = make(copy, "setup", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    assert (2, "") == (refused.returncode, refused.stdout)
    sentence, _makes_own = refused.stderr.splitlines()
    assert sentence == f"Mailbind needs Python {NEEDED}, but python3 is {version}: {ADVICE}"
    assert not (copy / ".venv").exists()


def test_a_missing_python_is_named(copy: Path) -> None:
    refused = make(copy, "setup", PYTHON="python-of-nobody")

    sentence, _makes_own = refused.stderr.splitlines()
    assert sentence == f"Mailbind needs Python {NEEDED}, but python-of-nobody is missing: {ADVICE}"
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("broken", ["echo 3.11", "exit 1"], ids=["another version", "does not start"])
def test_an_unusable_virtual_environment_is_not_ready(copy: Path, broken: str) -> None:
    script(copy / ".venv/bin/python", broken)
    (copy / ".venv/ready").touch()

    refused = make(copy, ".venv/ready", PYTHON="python-of-nobody")

    assert 2 == refused.returncode
    assert "but python-of-nobody is missing" in refused.stderr
    assert (copy / ".venv/bin/python").exists()


def test_another_virtual_environment_is_replaced_once(copy: Path) -> None:
    """With that of checkov, which uses the same Python. Later changes do not need the right Python on the path."""
    script(copy / ".venv/bin/python", "echo 3.11")
    for name in (".venv/ready", ".venv/old", ".local/checkov/ready"):
        script(copy / name, "")

    made = make(copy, ".venv/ready", PYTHON=sys.executable)

    assert (0, "") == (made.returncode, made.stderr)
    assert f"version = {platform.python_version()}" in (copy / ".venv/pyvenv.cfg").read_text()
    assert not (copy / ".venv/old").exists()
    assert not (copy / ".local/checkov").exists()

    created = (copy / ".venv/pyvenv.cfg").stat().st_mtime_ns
    os.utime(copy / ".venv/ready", (0, 0))  # older than the requirements
    updated = make(copy, ".venv/ready", PYTHON="python-of-nobody")

    assert (0, "", "Downloading packages ...\n") == (updated.returncode, updated.stderr, updated.stdout)
    assert created == (copy / ".venv/pyvenv.cfg").stat().st_mtime_ns
