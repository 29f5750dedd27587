"""Change many messages, one call for each, and say for each what happened."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.confined.refused import AnswerNotUnderstood, AnswerOverLimit, OutcomeUnknown
from shared.domain.errors import Conflict, MailbindError, TooManyRequests, Unavailable
from shared.domain.mail.graph_error import NoSuchItem, RefusedByGraph, RightMissing
from shared.domain.mail.refused import ChangeUnknown
from shared.usecases.mail.turns import MAX_CALLS_PER_MAILBOX

# Azure's load balancer gives up after 230 seconds (Functions: "Azure Functions scale and hosting", timeouts). No call
# begins after the first limit, and none is waited for after the second.
MAX_SECONDS_TO_BEGIN, MAX_SECONDS = 150.0, 210.0
MAX_TRIES_WHEN_UNAVAILABLE = 3
DEFAULT_PAUSE = timedelta(seconds=5)
# These say something about one message. Any other refusal holds for all that follow.
OF_ONE_MESSAGE = (
    NoSuchItem,
    RightMissing,
    RefusedByGraph,
    Conflict,
    OutcomeUnknown,
    AnswerNotUnderstood,
    AnswerOverLimit,
)

type Change = Callable[[str], Awaitable[object]]


class OutOfTime(MailbindError):
    """The request ended before all messages had their turn."""

    code = "out_of_time"

    def __init__(self) -> None:
        super().__init__("The time of one request is up. Send it again to continue")


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What happened to each message, by id. `reason` says why some were not tried."""

    done: tuple[str, ...]
    failed: Mapping[str, MailbindError]
    not_tried: tuple[str, ...]
    reason: MailbindError | None


@dataclass(slots=True)
class _Run:
    """The state that the workers share. Times are those of the event loop, in seconds."""

    change: Change
    waiting: deque[str]
    started: float
    resume_at: float = 0.0
    done: list[str] = field(default_factory=list)
    failed: dict[str, MailbindError] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    reason: MailbindError | None = None

    async def work(self) -> None:
        """Change waiting messages until none is left, or a reason to stop is found."""
        while self.waiting and self.reason is None:
            now = asyncio.get_running_loop().time()
            if now >= self.started + MAX_SECONDS_TO_BEGIN:
                self.reason = OutOfTime()
            elif now < self.resume_at:
                await asyncio.sleep(self.resume_at - now)
            else:
                await self._change_next(self.waiting.popleft())

    async def _change_next(self, message_id: str) -> None:
        try:
            async with asyncio.timeout_at(self.started + MAX_SECONDS):
                await self.change(message_id)
        except TimeoutError:
            self.failed[message_id] = ChangeUnknown()
        except OF_ONE_MESSAGE as failure:
            self.failed[message_id] = failure
        except (TooManyRequests, Unavailable) as busy:
            self._postpone(message_id, busy)
        except MailbindError as reason:
            self.waiting.appendleft(message_id)
            self.reason = self.reason or reason
        else:
            self.done.append(message_id)

    def _postpone(self, message_id: str, busy: TooManyRequests | Unavailable) -> None:
        """All workers pause: what makes one call wait makes the others wait too."""
        self.tries[message_id] += isinstance(busy, Unavailable)
        if self.tries[message_id] == MAX_TRIES_WHEN_UNAVAILABLE:
            self.failed[message_id] = busy
        else:
            self.waiting.appendleft(message_id)
        self.resume_at = max(self.resume_at, asyncio.get_running_loop().time() + _seconds_to_wait(busy))
        if self.waiting and self.resume_at >= self.started + MAX_SECONDS_TO_BEGIN:
            self.reason = self.reason or busy


async def when_free[T](call: Callable[[], Awaitable[T]], started: float) -> T:
    """The answer of a call; a mailbox that is busy is waited for, as long as the request lasts.

    Raises what the call raises, and TooManyRequests if the wait is too long.
    """
    while True:
        try:
            return await call()
        except TooManyRequests as busy:
            pause, now = _seconds_to_wait(busy), asyncio.get_running_loop().time()
            if now + pause >= started + MAX_SECONDS_TO_BEGIN:
                raise
            await asyncio.sleep(pause)


async def change_each(message_ids: Iterable[str], change: Change, started: float) -> BulkOutcome:
    """Apply `change` to each message, at most four at once. `started` is the event loop's time of the request.

    A mailbox that is busy is waited for, as long as it asks for. Raises the reason if the first calls already show that
    none can be made.
    """
    run = _Run(change, deque(dict.fromkeys(message_ids)), started)
    async with asyncio.TaskGroup() as workers:
        # A batch of Graph would save round trips, but its parts count as calls too.
        for _ in range(MAX_CALLS_PER_MAILBOX):
            workers.create_task(run.work())
    if run.reason is not None and not run.done and not run.failed:
        raise run.reason
    return BulkOutcome(tuple(run.done), run.failed, tuple(run.waiting), run.reason)


def _seconds_to_wait(busy: TooManyRequests | Unavailable) -> float:
    return (DEFAULT_PAUSE if busy.retry_after is None else busy.retry_after).total_seconds()
