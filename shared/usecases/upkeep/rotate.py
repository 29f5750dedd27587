"""Finish a rotation now: everything that is sealed goes under the newest data key, beside live traffic."""

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
"""Tells the operator a line of progress."""


@dataclass(slots=True)
class Walked:
    """What a walk through all tables found: values by data key, and what became of those under older ones.

    `resealed` and `changed` count rows; the latter were written by somebody else meanwhile. `broken` counts values that
    do not decrypt.
    """

    values: Counter[str | None] = field(default_factory=Counter)
    resealed: int = 0
    changed: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Rotation:
    """One run of the operator's command. Every step may be repeated: running it again finishes what was interrupted.

    `broken` holds the places of values that do not decrypt, so that each is logged once.
    """

    app: App
    pause: Pause
    report: Report
    broken: set[str] = field(default_factory=set)


async def make_data_key(rotation: Rotation) -> None:
    """Make a new data key."""
    made = await rotation.app.sealing.data_keys.make()
    rotation.report(f"made data key {made.id}")


async def rewrap_data_keys(rotation: Rotation) -> bool:
    """Every data key under the present key-encryption key; False when one does not open."""
    done, stuck = await rotation.app.sealing.data_keys.rewrap()
    rotation.report(f"re-wrapped {done} data keys; {stuck} do not open")
    return not stuck


async def reseal(rotation: Rotation) -> bool:
    """Everything under the newest data key; False when something does not open or keeps changing."""
    await _wait_until_noticed(rotation)
    for _ in range(MAX_ROUNDS):
        walked = await _walk(rotation, reseal=True)
        if walked.resealed + walked.changed == 0:
            break
    return walked.changed + walked.broken == 0


async def forget_data_keys(rotation: Rotation) -> Mapping[str, int]:
    """Delete the data keys that nobody seals under any more and nothing is sealed under.

    Returns how many values hold each of the older data keys back; 0 means that only its age does.
    """
    keys = await rotation.app.sealing.data_keys.listed()
    old = deletable_keys(keys, rotation.app.clock())
    walked = await _walk(rotation, reseal=False)
    kept: dict[str, int] = {}
    for key in keys[:-1]:
        if key in old and not walked.values[key.id]:
            await rotation.app.sealing.data_keys.forget(key)
            rotation.report(f"forgot data key {key.id}")
            log.warning("data key forgotten", extra={"data_key": key.id})
        else:
            kept[key.id] = walked.values[key.id]
    return kept


async def _wait_until_noticed(rotation: Rotation) -> None:
    """Wait until every process seals under the newest data key, or what they write would have to be done again."""
    newest = await _newest(rotation)
    left = newest.created + KEY_CHECK_INTERVAL - rotation.app.clock()
    if left > timedelta():
        rotation.report(f"waiting {left.total_seconds():.0f} s for every process to notice data key {newest.id}")
        await rotation.pause(left)


async def _newest(rotation: Rotation) -> DataKey:
    return (await rotation.app.sealing.data_keys.listed())[-1]


async def _walk(rotation: Rotation, *, reseal: bool) -> Walked:
    newest, walked = (await _newest(rotation)).id, Walked()
    for table in rotation.app.sealing.rows.tables:
        before = Counter(walked.values)
        page: list[SealedRow] = []
        async for row in rotation.app.sealing.rows.walk(table):
            walked.values.update(row.data_keys.values())
            if reseal and set(row.data_keys.values()) != {newest}:
                page.append(row)
            if len(page) == MAX_ROWS_AT_ONCE:
                await asyncio.gather(*(_reseal_row(rotation, table, each, newest, walked) for each in page))
                page = []
        await asyncio.gather(*(_reseal_row(rotation, table, each, newest, walked) for each in page))
        found = walked.values - before
        if found:
            rotation.report(f"{table}: {found.total()} sealed values, {found.total() - found[newest]} under older keys")
    rotation.report(f"re-sealed {walked.resealed}, changed meanwhile {walked.changed}, do not open {walked.broken}")
    return walked


async def _reseal_row(rotation: Rotation, table: str, row: SealedRow, newest: str, walked: Walked) -> None:
    names = [name for name, data_key in row.data_keys.items() if data_key != newest]
    try:
        broken = await rotation.app.sealing.rows.reseal(table, row, names)
    except StaleWrite:  # somebody else wrote it, and sealed it anew as they did
        walked.changed += 1
        return
    walked.resealed += len(broken) < len(names)
    walked.broken += len(broken)
    for place in (f"{row.place}/{name}" for name in broken):
        if place not in rotation.broken:  # once, although a rotation goes through everything several times
            rotation.broken.add(place)
            log.warning("sealed value does not open", extra={"place": place})
