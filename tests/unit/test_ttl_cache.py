"""The TTL cache: entries of equal size, limited in number, none expired."""

from datetime import UTC, datetime, timedelta

from shared.domain.ttl_cache import TTLCache

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
