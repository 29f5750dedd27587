"""The TTL cache: entries of equal size, limited in number, none expired."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from shared.domain.ttl_cache import RememberedReads, TTLCache

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_long_names_use_no_more_memory() -> None:
    memory = TTLCache[bool](10)

    for name in ("a", "b" * 1_000_000, "ü" * 1000):
        memory.put(name, value=True, since=NOW, until=NOW + SECOND)
        assert memory.get(name, NOW)

    assert {64} == {len(name) for name in memory._entries}  # noqa: SLF001 - the promise is about what is kept


def test_expired_entries_are_dropped_on_insertion() -> None:
    memory = TTLCache[int](1000)
    for number in range(100):
        memory.put(str(number), number, NOW, NOW + SECOND)

    memory.put("new", 1, NOW + SECOND, NOW + 2 * SECOND)

    assert 1 == len(memory)
    assert memory.get("0", NOW + SECOND) is None


def test_the_oldest_entry_is_dropped_when_the_cache_is_full() -> None:
    memory = TTLCache[int](2)
    for number in range(3):
        memory.put(str(number), number, NOW, NOW + SECOND)

    assert [None, 1, 2] == [memory.get(str(number), NOW) for number in range(3)]


async def test_read_that_a_write_overtook_is_not_remembered() -> None:
    reads = RememberedReads[str](10, SECOND)
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slow_read() -> str:
        began.set()
        await may_end.wait()
        return "before the write"

    reading = asyncio.create_task(reads.read("one", NOW, slow_read))
    await began.wait()
    reads.forget("one")
    assert "after the write" == await reads.read("one", NOW, partial(returned, "after the write"))
    may_end.set()

    assert "before the write" == await reading
    assert "after the write" == reads.get("one", NOW)
    assert {} == reads._reads  # noqa: SLF001 - what is left of reads shows nowhere else


async def test_other_names_and_failed_reads_are_not_touched() -> None:
    reads = RememberedReads[str](10, SECOND)
    await reads.read("one", NOW, partial(returned, "1"))
    reads.forget("two")

    with pytest.raises(OSError, match="down"):
        await reads.read("one", NOW, failed)

    assert "1" == reads.get("one", NOW)
    assert reads.get("one", NOW + SECOND) is None
    assert reads.get("one", NOW - SECOND) is None
    assert {} == reads._reads  # noqa: SLF001 - as above


async def returned(value: str) -> str:
    return value


async def failed() -> str:
    raise OSError("down")
