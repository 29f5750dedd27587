"""Import of function_app against the import of the libraries that it cannot do without."""

import os
import statistics
import subprocess
import sys
import time

from infra.local.parts import ROOT
from tests.bench.figure import Figure, at_most
from tests.conftest import settings_for

ROUNDS = 11
FLOOR = "import azure.functions, azure.data.tables.aio"


def figures() -> list[Figure]:
    """Each in fresh processes, in turn, less what an empty Python costs."""
    # Bytecode is kept, as it is wherever an app starts more than once; the first round is not counted.
    environment = {**os.environ, **settings_for("UseDevelopmentStorage=true"), "PYTHONDONTWRITEBYTECODE": ""}
    times: dict[str, list[float]] = {"pass": [], FLOOR: [], "import function_app": []}
    for _ in range(ROUNDS + 1):
        for code, seconds in times.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)  # noqa: S603 - our own code
            seconds.append(time.perf_counter() - began)
    bare, floor, app = (statistics.median(seconds[1:]) for seconds in times.values())
    detail = {"floor_ms": round(1000 * (floor - bare)), "function_app_ms": round(1000 * (app - bare))}
    return [at_most("import of function_app against its floor", (app - bare) / (floor - bare), 1.5, **detail)]
