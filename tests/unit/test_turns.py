"""Turns at mailboxes are bounded, fair, and never lost."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.graph_mail import MAX_CONNECTIONS
from shared.domain.errors import TooManyRequests
from shared.usecases.mail import turns as module
from shared.usecases.mail.turns import MAX_CALLS, MAX_CALLS_PER_MAILBOX, MAX_WAITING, MAX_WAITING_PER_CALLER, FairTurns


@dataclass(eq=False)
class Call:
    """A call that goes on until it is told to end."""

    turns: FairTurns
    mailbox: str
    caller: str
    begun: list["Call"]
    told_to_end: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.task = asyncio.ensure_future(self.run())

    async def run(self) -> None:
        async with self.turns.turn(self.mailbox, self.caller):
            self.begun.append(self)
            await self.told_to_end.wait()

    @property
    def in_progress(self) -> bool:
        return self in self.begun and not self.task.done()


@dataclass
class World:
    """All calls, and those that began, in this order."""

    turns: FairTurns = field(default_factory=FairTurns)
    calls: list[Call] = field(default_factory=list)
    begun: list[Call] = field(default_factory=list)

    async def call(self, mailbox: str, caller: str, times: int = 1) -> None:
        self.calls += [Call(self.turns, mailbox, caller, self.begun) for _ in range(times)]
        await settled()

    async def end(self, call: Call) -> None:
        call.told_to_end.set()
        await settled()

    @property
    def in_progress(self) -> list[Call]:
        return [call for call in self.begun if call.in_progress]

    @property
    def waiting(self) -> list[Call]:
        return [call for call in self.calls if call not in self.begun and not call.task.done()]

    async def finish(self) -> None:
        """End all calls, also those that begin meanwhile, and see that nothing is left."""
        for call in self.calls:
            call.told_to_end.set()
        await asyncio.gather(*(call.task for call in self.calls), return_exceptions=True)
        assert vars(FairTurns()) == vars(self.turns)


async def settled() -> None:
    for _ in range(SETTLED):
        await asyncio.sleep(0)


def callers(calls: Iterable[Call]) -> list[str]:
    return [call.caller for call in calls]


SETTLED = 5
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call"] * 4 + ["end", "cancel", "cancel last"]),
        st.integers(0, 99),
        st.sampled_from(["busy", "busy", "busy", "other", "third"]),
        st.integers(0, SETTLED),
    ),
    min_size=10,
    max_size=80,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(steps=STEPS)
async def test_no_slot_is_lost_in_any_order(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int, str, int]]
) -> None:
    """Calls begin, end and are cancelled in any order, also while a turn passes from one to the next."""
    monkeypatch.setattr(module, "MAX_CALLS", 6)
    world = World()
    for kind, number, mailbox, pause in steps:
        if kind == "call":
            world.calls.append(Call(world.turns, mailbox, f"caller{number % 4}", world.begun))
        elif kind == "end" and world.in_progress:
            world.in_progress[number % len(world.in_progress)].told_to_end.set()
        elif candidates := world.waiting if kind == "cancel" else world.waiting[-1:]:
            candidates[number % len(candidates)].task.cancel()
        for _ in range(pause):
            await asyncio.sleep(0)
        if pause == SETTLED:
            counts = Counter(call.mailbox for call in world.in_progress)
            assert all(count <= MAX_CALLS_PER_MAILBOX for count in counts.values())
            assert counts.total() <= 6
            assert counts.total() == 6 or all(counts[call.mailbox] == MAX_CALLS_PER_MAILBOX for call in world.waiting)
    await world.finish()


@pytest.mark.parametrize("pause", range(SETTLED))
async def test_turn_of_a_cancelled_call_passes_on(pause: int) -> None:
    """The first waiting call is cancelled at each moment while the turn of the call that ends passes to it."""
    world = World()
    await world.call("mailbox", "caller", MAX_CALLS_PER_MAILBOX + 2)
    *_, cancelled, last = world.calls

    world.calls[0].told_to_end.set()
    for _ in range(pause):
        await asyncio.sleep(0)
    cancelled.task.cancel()
    await settled()

    assert last.in_progress
    await world.finish()


async def test_call_that_gives_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 1)
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    world = World()
    await world.call("mailbox", "caller")
    await world.call("other", "caller")
    await world.call("third", "caller")  # one too many

    world.calls[1].task.cancel()
    await settled()

    assert [] == world.waiting
    await world.finish()


async def test_mailboxes_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 1)
    world = World()
    await world.call("first", "caller")
    await world.call("a", "caller", 2)
    await world.call("b", "caller", 2)
    while world.in_progress:
        await world.end(world.in_progress[0])

    assert ["first", "a", "b", "a", "b"] == [call.mailbox for call in world.begun]
    await world.finish()


async def test_full_mailbox_does_not_take_the_turn_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", MAX_CALLS_PER_MAILBOX + 1)
    world = World()
    await world.call("quiet", "caller")
    await world.call("busy", "caller", MAX_CALLS_PER_MAILBOX + 1)

    await world.end(world.calls[0])

    assert MAX_CALLS_PER_MAILBOX == len(world.in_progress)
    await world.finish()


@given(queued=st.integers(1, MAX_WAITING_PER_CALLER))
async def test_greedy_caller_delays_another_by_one_call(queued: int) -> None:
    world = World()
    await world.call("mailbox", "greedy", MAX_CALLS_PER_MAILBOX + queued)
    await world.call("mailbox", "modest")

    await world.end(world.in_progress[0])

    assert "modest" == world.begun[-1].caller
    await world.finish()


async def test_callers_take_turns_and_their_own_calls_stay_in_order() -> None:
    world = World()
    await world.call("mailbox", "first", MAX_CALLS_PER_MAILBOX)
    for caller in ("a", "b", "c"):
        await world.call("mailbox", caller, 3)
    while world.in_progress:
        await world.end(world.in_progress[0])

    assert ["a", "b", "c"] * 3 == callers(world.begun[4:])
    for caller in ("a", "b", "c"):
        own = [world.calls.index(call) for call in world.begun if call.caller == caller]
        assert all(before < after for before, after in pairwise(own))
    await world.finish()


async def test_caller_of_many_mailboxes_delays_another_by_one_call() -> None:
    world = World()
    for number in range(MAX_CALLS + MAX_WAITING_PER_CALLER):
        await world.call(f"mailbox{number}", "greedy")
    assert MAX_CALLS == len(world.in_progress)
    await world.call("mailbox", "modest")

    await world.end(world.in_progress[5])

    assert "modest" == world.begun[-1].caller
    await world.finish()


async def test_other_mailboxes_do_not_wait() -> None:
    world = World()
    await world.call("busy", "caller", MAX_CALLS_PER_MAILBOX + 5)

    await world.call("quiet", "caller")

    assert "quiet" == world.in_progress[-1].mailbox
    await world.finish()


def test_every_call_in_progress_has_a_connection() -> None:
    assert MAX_CALLS <= MAX_CONNECTIONS


async def test_failed_call_ends_its_turn() -> None:
    turns = FairTurns()

    with pytest.raises(ValueError, match="fault of the call"):
        async with turns.turn("mailbox", "caller"):
            raise ValueError("fault of the call")

    assert vars(FairTurns()) == vars(turns)


async def test_wait_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAIT_SECONDS", 0.02)
    world = World()
    await world.call("mailbox", "caller", MAX_CALLS_PER_MAILBOX)

    with pytest.raises(TooManyRequests) as refused:
        async with world.turns.turn("mailbox", "another"):
            pass

    assert refused.value.retry_after
    await world.finish()


async def test_number_of_waiting_calls_is_bounded() -> None:
    world = World()
    await world.call("mailbox", "caller", MAX_CALLS_PER_MAILBOX)
    most = [f"caller{number}" for number in range(MAX_WAITING // MAX_WAITING_PER_CALLER)]
    for caller in most:
        await world.call("mailbox", caller, MAX_WAITING_PER_CALLER - 1)
        await world.call("another", caller)
    assert MAX_WAITING - MAX_CALLS_PER_MAILBOX == len(world.waiting)

    await world.call("mailbox", most[0], 2)
    await world.call("mailbox", "new", 5)

    refused = [call for call in world.calls if call.task.done()]
    assert [most[0], "new", "new"] == callers(refused)
    assert all(isinstance(call.task.exception(), TooManyRequests) for call in refused)
    await world.finish()
