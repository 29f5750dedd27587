"""`python -m tests.bench.idle [seconds]`: what an instance that has nothing to do asks of storage, and what it logs.

Counted on the way to Azurite, with the schedules of a deployment. Not one of `make bench`'s figures, because it takes
minutes: the timer of registrations runs every five, and queues are polled less and less often for the first two.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from infra.local import azurite, parts
from infra.local.environment import SCHEDULES
from infra.local.narration import LINE
from tests.conftest import settings_for
from tests.faults.lossy_proxy import lossy_proxy

SETTLING_SECONDS = 120
COUNTED_SECONDS = 600
MONTH_SECONDS = 30 * 24 * 3600


async def count(seconds: int) -> dict[str, object]:
    """Requests by service and log lines by event, over so many seconds and in a month of thirty days."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        storage = azurite.start(folder=folder)
        ports = {service: urlsplit(storage.part.ready[service]).port or 0 for service in ("table", "queue")}
        try:
            async with (
                lossy_proxy(ports["table"]) as (tables, to_tables),
                lossy_proxy(ports["queue"]) as (
                    queues,
                    to_queues,
                ),
            ):
                connection = storage.connection_string.replace(f":{ports['table']}/", f":{to_tables}/")
                connection = connection.replace(f":{ports['queue']}/", f":{to_queues}/")
                settings = settings_for(connection, **SCHEDULES)
                command = parts.python_part("infra.local.host", "--app", str(parts.ROOT))
                with parts.running(await asyncio.to_thread(_start, command, folder, settings)) as host:
                    await asyncio.sleep(SETTLING_SECONDS)
                    before = (tables.requests, queues.requests, _lines(host.log))
                    await asyncio.sleep(seconds)
                    requests = {"tables": tables.requests - before[0], "queues": queues.requests - before[1]}
                    logged = _lines(host.log) - before[2]
        finally:
            storage.stop()
    a_month = {what: round(number * MONTH_SECONDS / seconds) for what, number in {**requests, **logged}.items()}
    return {"seconds": seconds, "requests": requests, "lines": dict(logged), "a month": a_month}


def _start(command: list[str], folder: Path, settings: dict[str, str]) -> parts.Part:
    return parts.start("host", command, folder=folder, settings=settings)


def _lines(log: Path) -> Counter[str]:
    """The app's own lines, by level and event."""
    found = (LINE.fullmatch(line) for line in log.read_text().splitlines())
    return Counter(f"{line['level']} {line['event']}" for line in found if line and " shared." in line[0])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(count(int(sys.argv[1]) if sys.argv[1:] else COUNTED_SECONDS)), indent=2))
