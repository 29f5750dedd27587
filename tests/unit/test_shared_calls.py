"""Calls that several callers share."""

import asyncio

import pytest

from shared.domain.ttl_cache import SharedCalls


class Counted:
    """A call that runs until it is released."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.started = 0

    async def __call__(self) -> int:
        self.started += 1
        await self.go.wait()
        return self.started

    async def fail(self) -> int:
        await self()
        raise LookupError


async def test_concurrent_callers_of_a_name_share_one_call() -> None:
    calls, call = SharedCalls(), Counted()
    waiting = [asyncio.create_task(calls("a", call)) for _ in range(5)]
    await asyncio.sleep(0)
    assert "a" in calls
    call.go.set()

    assert [1] * 5 == await asyncio.gather(*waiting)
    await calls.wait_until_idle()
    assert 2 == await calls("a", call)


async def test_a_cancelled_caller_does_not_cancel_the_call() -> None:
    calls, call = SharedCalls(), Counted()
    first, second = (asyncio.create_task(calls("a", call)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    call.go.set()

    assert 1 == await second
    assert first.cancelled()


async def test_names_do_not_wait_for_each_other() -> None:
    calls, slow, fast = SharedCalls(), Counted(), Counted()
    waiting = asyncio.create_task(calls("slow", slow))
    fast.go.set()

    assert 1 == await calls("fast", fast)
    assert not waiting.done()
    slow.go.set()
    assert 1 == await waiting


async def test_a_failure_reaches_all_callers_and_is_not_cached() -> None:
    calls, call = SharedCalls(), Counted()
    waiting = [asyncio.create_task(calls("a", call.fail)) for _ in range(3)]
    await asyncio.sleep(0)
    call.go.set()

    assert {LookupError} == {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)}
    await calls.wait_until_idle()
    assert 2 == await calls("a", call)


async def test_closing_cancels_running_calls() -> None:
    calls, call = SharedCalls(), Counted()
    task = calls.start("a", call)
    await asyncio.sleep(0)

    await calls.close()

    assert task.cancelled()
    assert "a" not in calls
    with pytest.raises(asyncio.CancelledError):
        await task
