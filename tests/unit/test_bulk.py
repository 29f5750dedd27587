"""The engine of bulk operations, with changes that the test makes up."""

import asyncio
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Forbidden, MailbindError, TooManyRequests, Unavailable
from shared.domain.mail.graph_error import NoSuchItem
from shared.domain.mail.refused import ChangeUnknown
from shared.usecases.mail import bulk
from shared.usecases.mail.bulk import BulkOutcome, OutOfTime, change_each
from tests.fuzz.conftest import FUZZED

NOW = timedelta(0)
BUSY, DOWN = TooManyRequests(NOW), Unavailable("graph_unavailable", "down", NOW)
GONE, LOST = NoSuchItem(), Forbidden("no longer")
IDS = [f"id{number}" for number in range(12)]


async def run(errors: dict[str, list[MailbindError]], seconds_left: float = 100) -> tuple[BulkOutcome, Counter[str]]:
    """What happens if a message's calls fail with these errors, one after another."""
    left, calls, running = defaultdict(list, {each: [*those] for each, those in errors.items()}), Counter[str](), 0

    async def change(message_id: str) -> None:
        nonlocal running
        running += 1
        assert running <= 4
        await asyncio.sleep(0)
        running -= 1
        calls[message_id] += 1
        if left[message_id]:
            raise left[message_id].pop(0)

    started = asyncio.get_running_loop().time() - bulk.MAX_SECONDS_TO_BEGIN + seconds_left
    return await change_each(IDS, change, started), calls


@FUZZED
@given(st.dictionaries(st.sampled_from(IDS[1:]), st.lists(st.sampled_from([BUSY, DOWN, GONE, LOST]), max_size=4)))
def test_each_message_has_one_outcome(errors: dict[str, list[MailbindError]]) -> None:
    outcome, calls = asyncio.run(run(errors))

    assert sorted(IDS) == sorted([*outcome.done, *outcome.failed, *outcome.not_tried])
    assert (LOST if outcome.not_tried else None) is outcome.reason
    assert all(calls[each] == len(errors.get(each, ())) + 1 for each in outcome.done)
    for message_id, failure in outcome.failed.items():
        met = errors[message_id][: calls[message_id]]
        assert failure is met[-1]
        assert failure is GONE or (failure is DOWN and met.count(DOWN) == bulk.MAX_TRIES_WHEN_UNAVAILABLE)
    assert {LOST, BUSY, DOWN} >= {errors[each][calls[each] - 1] for each in outcome.not_tried if calls[each]}


async def test_all_workers_pause_as_long_as_the_mailbox_asks() -> None:
    started = asyncio.get_running_loop().time()
    outcome, calls = await run({IDS[0]: [TooManyRequests(timedelta(seconds=1))]})

    assert sorted(IDS) == sorted(outcome.done)
    assert 13 == calls.total()
    assert 1 <= asyncio.get_running_loop().time() - started < 2


async def test_a_pause_beyond_the_time_ends_the_request() -> None:
    outcome, _ = await run({IDS[5]: [TooManyRequests(timedelta(minutes=5))]})

    assert isinstance(outcome.reason, TooManyRequests)
    assert IDS[5] in outcome.not_tried
    assert len(IDS) == len(outcome.done) + len(outcome.not_tried)


async def test_out_of_time_leaves_the_rest_to_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(message_id: str) -> None:
        await (asyncio.Event().wait() if message_id == IDS[0] else asyncio.sleep(0.07))

    monkeypatch.setattr(bulk, "MAX_SECONDS_TO_BEGIN", 0.1)
    monkeypatch.setattr(bulk, "MAX_SECONDS", 0.3)
    outcome = await change_each(IDS, endless, asyncio.get_running_loop().time())

    assert isinstance(outcome.reason, OutOfTime)
    assert [ChangeUnknown] == [type(failure) for failure in outcome.failed.values()]
    assert 6 == len(outcome.done)
    assert tuple(IDS[7:]) == outcome.not_tried


async def test_what_cannot_begin_is_refused_as_a_whole() -> None:
    with pytest.raises(Forbidden):
        await run({each: [LOST] for each in IDS})


async def test_nothing_to_change_is_no_failure() -> None:
    outcome = await change_each([], asyncio.sleep, 0)  # type: ignore[arg-type]

    assert BulkOutcome((), {}, (), None) == outcome
