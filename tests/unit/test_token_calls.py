"""The threads of calls to Entra: a call starts soon or not at all."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from shared.adapters.token_calls import TokenCalls
from shared.domain.errors import EntraBusy
from tests.patience import until

SOON = 0.05


@dataclass
class Blocking:
    """A call that the test ends."""

    began: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.began.set()
        self.may_end.wait()


@pytest.fixture
async def calls() -> AsyncIterator[TokenCalls]:
    pool = TokenCalls(1, SOON)
    yield pool
    pool.close()


async def test_a_call_without_a_free_thread_is_refused(calls: TokenCalls) -> None:
    blocking, made = Blocking(), list[str]()
    first = asyncio.create_task(calls.run(blocking))
    await until(blocking.began.is_set)

    with pytest.raises(EntraBusy) as busy:
        await calls.run(lambda: made.append("second"))

    assert ("entra_unavailable", True) == (busy.value.code, bool(busy.value.retry_after))
    blocking.may_end.set()
    await first
    await calls.run(lambda: made.append("third"))
    assert ["third"] == made


async def test_a_cancelled_caller_does_not_free_the_thread(calls: TokenCalls) -> None:
    blocking = Blocking()
    gone = asyncio.create_task(calls.run(blocking))
    await until(blocking.began.is_set)
    gone.cancel()
    await asyncio.wait([gone])

    with pytest.raises(EntraBusy):
        await calls.run(int)

    blocking.may_end.set()
    calls.queue_timeout = 60
    assert 0 == await calls.run(int)


async def test_many_calls_share_the_threads_and_all_are_made() -> None:
    pool = TokenCalls(4, 60)

    assert list(range(100)) == await asyncio.gather(*(pool.run(partial(int, number)) for number in range(100)))
    pool.close()


async def test_an_exception_of_a_call_frees_its_thread(calls: TokenCalls) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await calls.run(lambda: 1 // 0)
