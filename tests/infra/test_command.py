"""The command `mailbind` as `make setup` installs it, and as a wheel. Nothing is downloaded for either."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

from infra.local.parts import ROOT

UV = [sys.executable, "-m", "uv"]


def test_make_setup_installs_the_command(tmp_path: Path) -> None:
    (options,) = re.findall(r"(?m)^\t@\.venv/bin/uv (pip install .*)", (ROOT / "Makefile").read_text())
    installing = options.replace(".venv", str(tmp_path / "venv")).split()
    creating = ["venv", "--quiet", "--no-cache", "--python", sys.executable, str(tmp_path / "venv")]
    subprocess.run([*UV, *creating], check=True)  # noqa: S603 - uv
    subprocess.run([*UV, *installing], check=True, cwd=ROOT)  # noqa: S603 - uv

    variables = {"PYTHONPATH": sysconfig.get_path("purelib"), "MAILBIND_TOKEN": "token"}
    done = subprocess.run(  # noqa: S603 - our own command
        [tmp_path / "venv/bin/mailbind", "health", "--base-url", "http://127.0.0.1:9"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: http://127.0.0.1:9 cannot be reached")


def test_wheel_has_the_command_and_its_texts(tmp_path: Path) -> None:
    options = ["--wheel", "--quiet", "--offline", "--no-cache", "--out-dir", str(tmp_path)]
    subprocess.run([*UV, "build", *options, str(ROOT)], check=True)  # noqa: S603 - uv
    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))

    assert "mailbind = shared.cli.__main__:main" in entry_points
    assert {"shared/cli/__main__.py", "shared/domain/remedies.toml"} <= names
    assert [] == [name for name in names if name.startswith(("infra/", "tests/"))]


def test_command_has_the_packages_of_the_deployment() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    deployed = re.findall(r"(?m)^([\w-]+==\S+)", (ROOT / "requirements.txt").read_text())

    assert project["dependencies"]
    assert set(project["dependencies"]) <= set(deployed)
