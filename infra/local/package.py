"""Builds the deployment package as a deployment would, and knows how to run it with nothing else on the path."""

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

# Where the platform's build puts packages and its worker looks for them (Azure docs, functions-reference-python).
PACKAGES = Path(".python_packages/lib/site-packages")
# Wheels that Debian 12, which Flex Consumption runs, can load; Azure's instances are x86_64.
WHEELS = tuple(f"{tag}_{platform.machine()}" for tag in ("manylinux_2_28", "manylinux2014"))
# What runs the app and is no part of it: in Azure the platform's worker, here the local host on Microsoft's library.
HOST = ("azure-functions-runtime", "uvicorn", "starlette", "cronsim")


@dataclass(frozen=True, slots=True)
class Package:
    """A deployment package, unpacked in `folder`; `beside` is a folder with the host's own packages."""

    folder: Path
    beside: Path

    @property
    def python(self) -> tuple[str, ...]:
        """A Python that knows neither the development packages nor the folder it is started in."""
        return sys.executable, "-S", "-P"

    @property
    def path(self) -> str:
        """Where that Python looks for packages, as PYTHONPATH."""
        return os.pathsep.join(map(str, (self.folder / PACKAGES, self.beside)))

    def size(self) -> tuple[int, int]:
        """Bytes of the app and of its packages."""
        sizes = {file: file.stat().st_size for file in self.folder.rglob("*") if file.is_file()}
        packages = sum(size for file, size in sizes.items() if file.is_relative_to(self.folder / PACKAGES))
        return sum(sizes.values()) - packages, packages


def left_out(name: str) -> bool:
    """Whether .funcignore keeps a file or folder of the project out of a deployment."""
    patterns = [line for line in (ROOT / ".funcignore").read_text().splitlines() if line and not line.startswith("#")]
    return any(fnmatch.fnmatch(part, pattern) for part in Path(name).parts for pattern in patterns)


def build(folder: Path, beside: Path) -> Package:
    """Make the package in two empty folders. Raises CalledProcessError when a dependency has no wheel for Linux."""
    for name in _deployed():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    options = ["-qq", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:"]
    options += ["--python-version", "3.13", *(word for tag in WHEELS for word in ("--platform", tag))]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / PACKAGES)]
    subprocess.run([*command, "--requirement", "requirements.txt"], check=True, cwd=folder)
    _link_host(beside, {path.name for path in (folder / PACKAGES).iterdir()})
    return Package(folder, beside)


def _deployed() -> Iterator[Path]:
    for where, folders, files in os.walk(ROOT):
        inside = Path(where).relative_to(ROOT)
        folders[:] = [name for name in folders if not left_out(name)]
        yield from (inside / name for name in files if not left_out(name))


def _link_host(beside: Path, packaged: set[str]) -> None:
    """What the package brings itself is taken from there."""
    (beside / "infra").symlink_to(ROOT / "infra")
    waiting, seen = list(HOST), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        waiting += [
            one.name for one in map(Requirement, found.requires or ()) if not one.marker or one.marker.evaluate()
        ]
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."} - packaged:
            if not (beside / top).exists():
                (beside / top).symlink_to(str(found.locate_file(top)))
