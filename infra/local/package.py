"""Builds the deployment package as a deployment does, so that the app can run with nothing else on the path."""

import fnmatch
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from infra.local.parts import ROOT

# Where the platform's build installs packages.
# https://learn.microsoft.com/azure/azure-functions/functions-reference-python#folder-structure
PACKAGES = Path(".python_packages/lib/site-packages")
# Wheels for Debian 12, which Flex Consumption runs. Azure's instances are x86_64.
WHEELS = tuple(f"{tag}_{platform.machine()}" for tag in ("manylinux_2_28", "manylinux2014"))
# What runs the app without being part of it: here the local host, in Azure the platform's worker.
HOST_PACKAGES = ("azure-functions-runtime", "uvicorn", "starlette", "cronsim")


@dataclass(frozen=True, slots=True)
class Package:
    """An unpacked deployment package in `folder`; `host_folder` has the packages of the local host."""

    folder: Path
    host_folder: Path

    @property
    def python(self) -> tuple[str, ...]:
        """A Python without the development packages and without the current folder on its path."""
        return sys.executable, "-S", "-P"

    @property
    def path(self) -> str:
        """The PYTHONPATH for that Python."""
        return os.pathsep.join(map(str, (self.folder / PACKAGES, self.host_folder)))

    def size(self) -> tuple[int, int]:
        """The size of the app and of its packages, in bytes."""
        sizes = {file: file.stat().st_size for file in self.folder.rglob("*") if file.is_file()}
        packages = sum(size for file, size in sizes.items() if file.is_relative_to(self.folder / PACKAGES))
        return sum(sizes.values()) - packages, packages


def is_ignored(name: str) -> bool:
    """Whether .funcignore excludes a file or folder of the project from deployments."""
    patterns = [line for line in (ROOT / ".funcignore").read_text().splitlines() if line and not line.startswith("#")]
    return any(fnmatch.fnmatch(part, pattern) for part in Path(name).parts for pattern in patterns)


def build(folder: Path, host_folder: Path) -> Package:
    """Build the package in two empty folders. Raises CalledProcessError if a dependency has no wheel for Linux."""
    for name in _deployed_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    options = ["-qq", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:"]
    options += ["--python-version", "3.13", *(word for tag in WHEELS for word in ("--platform", tag))]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / PACKAGES)]
    subprocess.run([*command, "--requirement", "requirements.txt"], check=True, cwd=folder)
    _link_host_packages(host_folder, {path.name for path in (folder / PACKAGES).iterdir()})
    return Package(folder, host_folder)


def _deployed_files() -> Iterator[Path]:
    for where, folders, files in os.walk(ROOT):
        inside = Path(where).relative_to(ROOT)
        folders[:] = [name for name in folders if not is_ignored(name)]
        yield from (inside / name for name in files if not is_ignored(name))


def _link_host_packages(host_folder: Path, packaged: set[str]) -> None:
    """Link the packages of the local host and their dependencies, except those that the package has itself."""
    (host_folder / "infra").symlink_to(ROOT / "infra")
    waiting, seen = list(HOST_PACKAGES), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        installed = distribution(name)
        requirements = map(Requirement, installed.requires or ())
        waiting += [needed.name for needed in requirements if not needed.marker or needed.marker.evaluate()]
        top_names = {file.parts[0] for file in installed.files or () if file.parts[0] != ".."}
        for top_name in top_names - packaged:
            if not (host_folder / top_name).exists():
                (host_folder / top_name).symlink_to(str(installed.locate_file(top_name)))
