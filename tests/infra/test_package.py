"""The deployment package, built as in a deployment and started from an empty folder."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.local.environment import Environment
from infra.local.package import PACKAGES, Package

MEGABYTE = 1 << 20
IMPORT = """
import json, sys, sysconfig, time
began = time.perf_counter()
import function_app
seconds = time.perf_counter() - began
files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
print(json.dumps({"seconds": seconds, "files": files, "standard": sysconfig.get_path("stdlib")}))
"""


def imported(package: Package, environment: Environment) -> dict[str, Any]:
    path = f"{package.folder}{os.pathsep}{package.folder / PACKAGES}"
    done = subprocess.run(  # noqa: S603 - our own app
        [*package.python, "-c", IMPORT],
        env={**environment.settings, "PYTHONPATH": path},
        cwd=package.folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def test_journey_passes_with_the_package_alone(
    package: Package, deployed: Environment, journey: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ("alice@contoso.example", "support@contoso.example") == (journey["user"], journey["email"])

    first, second = imported(package, deployed), imported(package, deployed)
    inside = (str(package.folder), first["standard"])
    assert [] == [file for file in second["files"] if not file.startswith(inside)]
    app, packages = package.size()
    with capsys.disabled():
        print(  # noqa: T201 - a figure for the reader of the output
            f"\ndeployment package: app {app / MEGABYTE:.1f} MiB, packages {packages / MEGABYTE:.1f} MiB;"
            f" import {second['seconds']:.2f} s, the first time {first['seconds']:.2f} s"
        )


def test_package_has_only_what_runs(package: Package) -> None:
    tops = {path.name for path in package.folder.iterdir()} - {"__pycache__"}
    parts = {part for path in (package.folder / PACKAGES).iterdir() for part in Path(path.name).parts}

    assert {".python_packages", "function_app.py", "host.json", "requirements.txt", "constraints.txt", "shared"} == tops
    assert not {"pytest", "starlette", "uvicorn", "azure_functions_runtime", "playwright"} & parts
