"""Finish a rotation now: seal every stored secret under the newest data key, while the app is running.

The operator's command runs these steps. Each may be repeated: running the command again finishes what was interrupted.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.errors import StaleWrite
from shared.domain.secret import KEY_CHECK_INTERVAL, DataKey, deletable_keys
from shared.ports import App, SealedRow

log = logging.getLogger(__name__)

MAX_ROWS_AT_ONCE = 32
MAX_ROUNDS = 5

type Pause = Callable[[timedelta], Awaitable[None]]
"""Waits that long."""

type Report = Callable[[str], None]
"""Shows a line of progress to the operator."""


@dataclass(slots=True)
class TableScan:
    """What one pass over all tables found and did. `values` counts sealed values by data key.

    `resealed` and `changed` count rows that were sealed again, and rows that another process wrote meanwhile. `broken`
    counts values that cannot be decrypted.
    """

    values: Counter[str | None] = field(default_factory=Counter)
    resealed: int = 0
    changed: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Rotation:
    """One run of the command. `broken` holds the places of undecryptable values, so that each is logged once."""

    app: App
    pause: Pause
    report: Report
    broken: set[str] = field(default_factory=set)


async def make_data_key(rotation: Rotation) -> None:
    """Make a new data key."""
    data_key = await rotation.app.sealing.data_keys.make()
    rotation.report(f"made data key {data_key.id}")


async def rewrap_data_keys(rotation: Rotation) -> bool:
    """Wrap every data key with the current key-encryption key. Returns False when one cannot be unwrapped."""
    rewrapped_count, failed_count = await rotation.app.sealing.data_keys.rewrap()
    rotation.report(f"re-wrapped {rewrapped_count} data keys; {failed_count} do not open")
    return not failed_count


async def reseal(rotation: Rotation) -> bool:
    """Seal everything under the newest data key. Returns False when a value is broken or its row keeps changing."""
    await _wait_until_all_processes_use_newest_key(rotation)
    for _ in range(MAX_ROUNDS):
        scan = await _scan(rotation, reseal=True)
        if scan.resealed + scan.changed == 0:
            break
    return scan.changed + scan.broken == 0


async def forget_data_keys(rotation: Rotation) -> Mapping[str, int]:
    """Delete the data keys that no process seals under and no stored value needs.

    Returns the keys that stay, except the newest, with the number of values that need them; a key with 0 is too young.
    """
    keys = await rotation.app.sealing.data_keys.listed()
    old_keys = deletable_keys(keys, rotation.app.clock())
    scan = await _scan(rotation, reseal=False)
    remaining_keys: dict[str, int] = {}
    for key in keys[:-1]:
        if key in old_keys and not scan.values[key.id]:
            await rotation.app.sealing.data_keys.forget(key)
            rotation.report(f"forgot data key {key.id}")
            log.warning("data key forgotten", extra={"data_key": key.id})
        else:
            remaining_keys[key.id] = scan.values[key.id]
    return remaining_keys


async def _wait_until_all_processes_use_newest_key(rotation: Rotation) -> None:
    newest = await _newest_key(rotation)
    remaining_time = newest.created + KEY_CHECK_INTERVAL - rotation.app.clock()
    if remaining_time > timedelta():
        seconds = f"{remaining_time.total_seconds():.0f} s"
        rotation.report(f"waiting {seconds} for every process to notice data key {newest.id}")
        await rotation.pause(remaining_time)


async def _newest_key(rotation: Rotation) -> DataKey:
    return (await rotation.app.sealing.data_keys.listed())[-1]


async def _scan(rotation: Rotation, *, reseal: bool) -> TableScan:
    newest, scan = (await _newest_key(rotation)).id, TableScan()
    for table in rotation.app.sealing.rows.tables:
        values_before = Counter(scan.values)
        page: list[SealedRow] = []
        async for row in rotation.app.sealing.rows.walk(table):
            scan.values.update(row.data_keys.values())
            if reseal and set(row.data_keys.values()) != {newest}:
                page.append(row)
            if len(page) == MAX_ROWS_AT_ONCE:
                await asyncio.gather(*(_reseal_row(rotation, table, each, newest, scan) for each in page))
                page = []
        await asyncio.gather(*(_reseal_row(rotation, table, each, newest, scan) for each in page))
        if values := scan.values - values_before:
            old_count = values.total() - values[newest]
            rotation.report(f"{table}: {values.total()} sealed values, {old_count} under older keys")
    rotation.report(f"re-sealed {scan.resealed}, changed meanwhile {scan.changed}, do not open {scan.broken}")
    return scan


async def _reseal_row(rotation: Rotation, table: str, row: SealedRow, newest: str, scan: TableScan) -> None:
    old_properties = [name for name, data_key in row.data_keys.items() if data_key != newest]
    try:
        broken_properties = await rotation.app.sealing.rows.reseal(table, row, old_properties)
    except StaleWrite:  # another process wrote the row, and sealed it under the newest key
        scan.changed += 1
        return
    scan.resealed += len(broken_properties) < len(old_properties)
    scan.broken += len(broken_properties)
    for place in (f"{row.place}/{name}" for name in broken_properties):
        if place not in rotation.broken:
            rotation.broken.add(place)
            log.warning("sealed value does not open", extra={"place": place})
