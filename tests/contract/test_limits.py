"""Rate limits apply at once on one instance, and within seconds over several, on Azurite."""

import asyncio
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from infra.local.azurite import Azurite
from shared.bootstrap import build
from shared.domain.errors import TooManyRequests
from shared.domain.limit import LimitKind
from shared.ports import App
from shared.ports.state import RateLimit
from shared.usecases.callers.rate_limit import MAX_BUCKETS, SharedRateLimit
from tests.conftest import MovedClock, settings_for, storage_of

# One every ten seconds, so that what leaks while a test runs does not count.
SIX = {"MAILBIND_PAGES_PER_MINUTE": "6"}
PAGE = LimitKind.PAGE


@pytest.fixture
async def instances(azurite: Azurite, clock: MovedClock) -> AsyncIterator[list[App]]:
    built = [build(settings_for(azurite.connection_string, **SIX), clock) for _ in range(3)]
    yield built
    for one in built:
        await one.close()


@pytest.fixture
def who() -> str:
    """A new person."""
    return f"203.0.113.{secrets.token_hex(8)}"


def through(limit: RateLimit, who: str, times: int) -> int:
    """How many of that many requests pass."""
    passed = 0
    for _ in range(times):
        with suppress(TooManyRequests):
            limit.count(PAGE, who)
            passed += 1
    return passed


def waits(limit: RateLimit, who: str) -> timedelta:
    """How long a request has to wait."""
    with pytest.raises(TooManyRequests) as refused:
        limit.count(PAGE, who)
    assert refused.value.retry_after is not None
    return refused.value.retry_after


async def test_burst_passes_up_to_the_limit(instances: list[App], who: str) -> None:
    assert 6 == through(instances[0].rate_limit, who, 50)


async def test_wait_is_honest(instances: list[App], who: str, clock: MovedClock) -> None:
    limit = instances[0].rate_limit
    through(limit, who, 50)

    for _ in range(3):
        wait = waits(limit, who)
        assert timedelta() < wait <= timedelta(seconds=10)
        clock.forward(seconds=wait.total_seconds())
        assert 1 == through(limit, who, 5)


async def test_key_over_the_limit_delays_no_other_key(instances: list[App], who: str) -> None:
    limit = instances[0].rate_limit
    through(limit, who, 50)

    assert 6 == through(limit, f"{who}0", 50)
    limit.count(LimitKind.CALLBACK, who)


async def test_what_passed_on_one_instance_counts_on_the_next(instances: list[App], who: str) -> None:
    first, second, third = (one.rate_limit for one in instances)
    assert 6 == through(first, who, 50)
    await first.flush()

    for other in (second, third):
        # The first request of a key is answered before other instances are consulted.
        assert 1 == through(other, who, 1)
        await other.flush()
        assert 0 == through(other, who, 50)


async def test_flood_over_all_instances_stays_near_the_limit(instances: list[App], who: str) -> None:
    passed = 0
    for _ in range(20):
        passed += sum(through(one.rate_limit, who, 1) for one in instances)
        await asyncio.gather(*(one.rate_limit.flush() for one in instances))

    assert 6 <= passed <= 6 + len(instances)


async def test_who_is_refused_costs_no_writes(instances: list[App], who: str) -> None:
    limit = instances[0].rate_limit
    through(limit, who, 6)
    await limit.flush()
    before = await rows_of(instances[0])

    assert 0 == through(limit, who, 500)

    await limit.flush()
    assert before == await rows_of(instances[0])


async def test_memory_is_bounded_and_who_was_seen_last_is_remembered(instances: list[App], who: str) -> None:
    limit = instances[0].rate_limit
    assert isinstance(limit, SharedRateLimit)
    for number in range(MAX_BUCKETS + 500):
        limit.count(PAGE, f"{who}-{number}")

    through(limit, who, 50)
    for number in range(MAX_BUCKETS - 1):
        limit.count(PAGE, f"{who}-again-{number}")

    assert MAX_BUCKETS == len(limit)
    assert 0 == through(limit, who, 5)
    await limit.flush()


async def test_without_storage_each_instance_holds_the_limit_alone(
    clock: MovedClock, who: str, azurite: Azurite, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = closed.getsockname()[1]
    there = azurite.tables_url.rpartition(":")[2].partition("/")[0]
    alone = build(settings_for(azurite.connection_string.replace(f":{there}/", f":{nowhere}/"), **SIX), clock)
    try:
        with caplog.at_level(logging.WARNING, "shared.usecases.callers.rate_limit"):
            assert 6 == through(alone.rate_limit, who, 50)
            await alone.rate_limit.flush()

        assert 1 == caplog.messages.count("limits not shared")
        assert who not in caplog.text
        assert 0 == through(alone.rate_limit, who, 5)
        assert 6 == through(alone.rate_limit, f"{who}0", 50)
        clock.forward(minutes=1)
        assert 6 == through(alone.rate_limit, who, 50)
    finally:
        await alone.close()


async def test_stored_buckets_reveal_no_key_and_are_deleted(storage: Azurite, clock: MovedClock, who: str) -> None:
    one = build(settings_for(storage.connection_string, **SIX), clock)
    try:
        through(one.rate_limit, who, 3)
        await one.rate_limit.flush()
        first = await rows_of(one)
        clock.forward(days=1)
        through(one.rate_limit, who, 3)
        await one.rate_limit.flush()
        second = await rows_of(one)

        assert [2, 4] == [len(first), len(second)]
        assert who not in str(second)
        salts = [str(row["value"]) for row in second.values() if "value" in row]
        assert 2 == len(salts)
        assert all(salt.startswith("v1.") for salt in salts)

        clock.forward(minutes=2)
        assert 2 == await one.rate_limit.forget(one.clock() + timedelta(minutes=1))
        assert 2 == len(await rows_of(one))
        clock.forward(days=2)
        assert 2 == await one.rate_limit.forget(one.clock() + timedelta(minutes=1))
        assert {} == await rows_of(one)
    finally:
        await one.close()


async def rows_of(one: App) -> dict[str, dict[str, object]]:
    """What storage holds for limits, by partition."""
    rows = storage_of(one).get_table_client("Limits").list_entities()
    return {row["PartitionKey"]: dict(row) async for row in rows}
